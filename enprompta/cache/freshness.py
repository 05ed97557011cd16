"""Decide when a cached prompt is fresh, when to fetch it again, and when to back off.

====================================  ===============================  ===============================================
cached                                and                              decision
====================================  ===============================  ===============================================
younger than its TTL                  not invalidated                  FRESH: serve it
older than its TTL                    no recent failure                STALE: serve it and refresh in the background
nothing                               no backoff running               MISS: fetch and wait
invalidated, or TTL is 0              no recent failure                MISS: fetch and wait
any                                   failed, backoff not over         BACKING_OFF: serve what is cached, or the error
something                             failed, backoff over             STALE: no caller waits for a failing service
====================================  ===============================  ===============================================

The functions are pure: times are monotonic seconds and random numbers are from 0 to 1, both passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from enprompta.errors import APIStatusError, NotFoundError, RateLimitError

if TYPE_CHECKING:
    from enprompta.errors import APIError
    from enprompta.models.live_prompts import LivePrompt

TTL_JITTER = 0.1  # share of the TTL by which it may end early, so that prompts loaded together do not expire together
FIRST_BACKOFF_SECONDS = 1.0  # after the first failure; doubles with each further one
MAX_BACKOFF_SECONDS = 60.0  # a shorter TTL lowers this limit, so that the TTL holds again once the service recovers
MAX_RETRY_AFTER_SECONDS = 300.0  # longest `Retry-After` that is respected
_TIMEOUT_STATUS = 408
_CLIENT_ERRORS = range(400, 500)


class CacheDecision(Enum):
    """How to answer a caller."""

    FRESH = auto()
    """Serve the cached prompt."""
    STALE = auto()
    """Serve what is available and refresh it in the background."""
    MISS = auto()
    """Fetch the prompt and wait for it."""
    BACKING_OFF = auto()
    """Send nothing: serve what is available, or raise the last error."""


@dataclass(frozen=True, slots=True)
class CachedPrompt:
    """The known state of one live prompt. Immutable: each change creates a new value."""

    value: LivePrompt | None = None
    etag: str | None = None
    confirmed_at: float = 0.0
    """When the service last confirmed that `value` is live."""
    chance: float = 0.0
    """Random number from 0 to 1 that sets how much earlier the TTL ends."""
    is_valid: bool = True
    """False if the prompt was invalidated or read from disk."""
    is_snapshot: bool = False
    """True if it was read from disk and not yet confirmed."""
    failures: int = 0
    """Consecutive failed requests."""
    retry_at: float = 0.0
    """Earliest time of the next request after a failure."""
    error: APIError | None = None
    """The error of the last request; None if it succeeded."""
    was_abandoned: bool = False
    """True if the last refresh was cancelled, as when its event loop ended; the next caller waits for a fetch."""

    def age(self, now: float) -> float:
        """Seconds since the service confirmed that the value is live."""
        return max(0.0, now - self.confirmed_at)

    def is_fresh(self, now: float, ttl: float | None) -> bool:
        """Return True if the value can be served as live."""
        if self.value is None or not self.is_valid:
            return False
        return ttl is None or now - self.confirmed_at < ttl * (1.0 - TTL_JITTER * self.chance)


EMPTY = CachedPrompt()


def decide(cached: CachedPrompt, now: float, ttl: float | None, *, has_fallback: bool) -> CacheDecision:
    """Decide how to answer a caller.

    Args:
        cached: The known state of the prompt.
        now: The time of the call.
        ttl: Maximum age in seconds of a fresh value; 0 always fetches, None never expires.
        has_fallback: True if the caller passed a fallback.
    """
    if cached.is_fresh(now, ttl):
        return CacheDecision.FRESH
    has_value = has_fallback or can_serve(cached)
    if now < cached.retry_at and (has_value or not is_refusal(cached.error)):
        return CacheDecision.BACKING_OFF
    if not has_value or cached.was_abandoned:
        return CacheDecision.MISS
    if cached.failures:
        return CacheDecision.STALE
    return CacheDecision.MISS if cached.value is None or not cached.is_valid or ttl == 0 else CacheDecision.STALE


def can_serve(cached: CachedPrompt) -> bool:
    """Return True if a value can be served. A snapshot can during an outage, but not after a refusal."""
    return cached.value is not None and not (cached.is_snapshot and is_refusal(cached.error))


def is_refusal(error: APIError | None) -> bool:
    """Return True if the service refused the request (4xx other than 408 and 429), so that a retry would fail too."""
    return (
        isinstance(error, APIStatusError)
        and error.status_code in _CLIENT_ERRORS
        and error.status_code != _TIMEOUT_STATUS
        and not isinstance(error, RateLimitError)
    )


def confirmed(value: LivePrompt, etag: str | None, now: float, chance: float) -> CachedPrompt:
    """Build the state after a successful or 304 response."""
    return CachedPrompt(value, etag, now, chance)


def failed(cached: CachedPrompt, error: APIError, now: float, ttl: float | None, chance: float) -> CachedPrompt:
    """Build the state after a failed request: set the backoff, and drop a prompt that no longer exists."""
    failures = cached.failures + 1
    backoff = backoff_seconds(failures, ttl, chance)
    retry_after = error.retry_after if isinstance(error, APIStatusError) else None
    if retry_after is not None:
        backoff = max(backoff, min(retry_after, MAX_RETRY_AFTER_SECONDS))
    base = EMPTY if isinstance(error, NotFoundError) else cached
    return replace(base, failures=failures, retry_at=now + backoff, error=error, was_abandoned=False)


def backoff_seconds(failures: int, ttl: float | None, chance: float) -> float:
    """Return the backoff in seconds: exponential, with jitter between half of the step and the whole step."""
    longest = MAX_BACKOFF_SECONDS if ttl is None else min(MAX_BACKOFF_SECONDS, max(ttl, FIRST_BACKOFF_SECONDS))
    step = min(longest, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 30))
    return step * (0.5 + 0.5 * chance)


def invalidated(cached: CachedPrompt) -> CachedPrompt:
    """Mark the value as changed: the next call fetches it, and serves the old value only if that fails."""
    return replace(cached, is_valid=False)
