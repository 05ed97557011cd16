"""The key of a cached prompt, and the counters of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class PromptKey(NamedTuple):
    """What a kept prompt is found by."""

    slug: str
    label: str
    project: str | None


@dataclass(frozen=True, slots=True)
class CacheMetrics:
    """What became of calls to `get_live` since the client was made."""

    hits: int = 0
    """Answered from memory, within the TTL."""
    stale: int = 0
    """Answered with what was held beyond the TTL, in memory or on disk."""
    misses: int = 0
    """Answered by the service, which was waited for."""
    fallbacks: int = 0
    """Answered with the caller's fallback."""
    refreshes: int = 0
    """Requests in the background."""
    errors: int = 0
    """Requests that failed, in the background or not."""
