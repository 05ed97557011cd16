"""Runtime prompts: kept in memory and on disk, so that a program has its prompts whatever becomes of the service.

`client.prompts.get_live` is what uses it; `client.prompts.live_cache` is where it can be looked at.
"""

from __future__ import annotations

from enprompta.cache.fallback import Fallback, FallbackValue
from enprompta.cache.keys import CacheMetrics
from enprompta.cache.live_cache import LiveCache

__all__ = ["CacheMetrics", "Fallback", "FallbackValue", "LiveCache"]
