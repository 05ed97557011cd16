"""Runtime prompts, cached in memory and on disk, so that a program keeps its prompts during an outage.

`client.prompts.get_live` uses the cache; `client.prompts.live_cache` gives access to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.cache.entries import Request as Request
    from enprompta.cache.fallback import Fallback, FallbackValue
    from enprompta.cache.keys import CacheMetrics
    from enprompta.cache.keys import PromptKey as PromptKey
    from enprompta.cache.live_cache import LiveCache
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".entries": "Request",
            ".fallback": "Fallback FallbackValue",
            ".keys": "CacheMetrics PromptKey",
            ".live_cache": "LiveCache",
        },
    )

__all__ = ["CacheMetrics", "Fallback", "FallbackValue", "LiveCache"]
