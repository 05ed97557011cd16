"""The key of a cached prompt, and the counters of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class PromptKey(NamedTuple):
    """The key of a cached prompt."""

    slug: str
    label: str
    project: str | None


@dataclass(frozen=True, slots=True)
class CacheMetrics:
    """Outcomes of `get_live` calls since the client was created."""

    hits: int = 0
    """Served from memory, within the TTL."""
    stale: int = 0
    """Served after the TTL, from memory or disk."""
    misses: int = 0
    """Fetched from the service while the caller waited."""
    fallbacks: int = 0
    """Served from the caller's fallback."""
    refreshes: int = 0
    """Background requests."""
    errors: int = 0
    """Failed requests, in the background or not."""
