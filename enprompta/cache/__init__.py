"""Runtime prompts, cached in memory and on disk, so that a program keeps its prompts during an outage.

`client.prompts.get_live` uses the cache; `client.prompts.live_cache` gives access to it.
"""

from __future__ import annotations

from enprompta.cache.fallback import Fallback, FallbackValue
from enprompta.cache.keys import CacheMetrics
from enprompta.cache.live_cache import LiveCache

__all__ = ["CacheMetrics", "Fallback", "FallbackValue", "LiveCache"]
