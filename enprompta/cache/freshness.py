"""When a kept prompt is fresh, when it is asked for again, and when not: pure, on the caller's clock.

======================  =============================================  ================================================
what is held            and                                            then
======================  =============================================  ================================================
younger than its TTL    it was not invalidated                         FRESH: give it
older than its TTL      nothing failed lately                          DUE: give it, and refresh it in the background
nothing, or             somebody can wait for the service              ASK: ask, wait, give what comes
invalidated, or TTL 0
whatever                the last request failed, and its pause runs    BARRED: give what there is, or that failure again
something               the last request failed, its pause has passed  DUE: nobody waits for a service that was away
======================  =============================================  ================================================

Nothing here looks at a clock or draws a random number: moments are monotonic seconds, chances are from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from enprompta.errors import APIStatusError, NotFoundError, RateLimitError

if TYPE_CHECKING:
    from enprompta.errors import APIError
    from enprompta.models.prompts import LivePrompt

TTL_JITTER = 0.1  # the share of a TTL by which it may end early, so that what was loaded together is not due together
FIRST_PAUSE = 1.0  # seconds after a first failure, then twice as many each time
LONGEST_PAUSE = (
    60.0  # seconds; a TTL that is shorter bounds the pauses too, so that it is kept once the service is back
)
LONGEST_ASKED = 300.0  # seconds that a service may ask for by `Retry-After`
_TIMEOUT_STATUS = 408
_CLIENT_ERRORS = range(400, 500)


class CacheDecision(Enum):
    """What to do for a caller."""

    FRESH = auto()
    """Give what is held."""
    STALE = auto()
    """Give what there is, and have it refreshed in the background."""
    MISS = auto()
    """Ask the service and wait for it."""
    BACKING_OFF = auto()
    """Ask nobody: give what there is, or the failure."""


@dataclass(frozen=True, slots=True)
class CachedPrompt:
    """What is known of one live prompt. A value: each change is a new one, so that no reader sees half of it."""

    value: LivePrompt | None = None
    etag: str | None = None
    confirmed_at: float = 0.0
    """When the service last said that `value` is what is live."""
    chance: float = 0.0
    """Decides by how much the TTL ends early."""
    is_valid: bool = True
    """False once somebody said that it has changed, and for what was read from disk."""
    is_snapshot: bool = False
    """Whether it was read from disk, and not yet confirmed."""
    failures: int = 0
    """Requests that failed since the last one that did not."""
    retry_at: float = 0.0
    """When the next request may be made after a failure."""
    error: APIError | None = None
    """How the last request failed; None when it did not."""
    was_abandoned: bool = False
    """Whether the last refresh was broken off, as when its event loop ended: the next one is waited for."""

    def age(self, now: float) -> float:
        """Seconds since the service said that this is what is live."""
        return max(0.0, now - self.confirmed_at)

    def is_fresh(self, now: float, ttl: float | None) -> bool:
        """Tell whether it may be given as the live one."""
        if self.value is None or not self.is_valid:
            return False
        return ttl is None or now - self.confirmed_at < ttl * (1.0 - TTL_JITTER * self.chance)


EMPTY = CachedPrompt()


def judge(held: CachedPrompt, now: float, ttl: float | None, *, has_fallback: bool) -> CacheDecision:
    """Decide what to do for a caller.

    Args:
        held: What is known.
        now: The moment of the call.
        ttl: The age in seconds up to which the caller takes it for live; 0 always asks, None never does again.
        has_fallback: Whether the caller brought something to do with when there is nothing else.
    """
    if held.is_fresh(now, ttl):
        return CacheDecision.FRESH
    has_any = has_fallback or can_serve(held)
    if now < held.retry_at and (has_any or not is_refusal(held.error)):
        return CacheDecision.BACKING_OFF
    if not has_any or held.was_abandoned:
        return CacheDecision.MISS
    if held.failures:
        return CacheDecision.STALE
    return CacheDecision.MISS if held.value is None or not held.is_valid or ttl == 0 else CacheDecision.STALE


def can_serve(held: CachedPrompt) -> bool:
    """Tell whether there is something to give; a snapshot is, when the service is away, not when it refuses."""
    return held.value is not None and not (held.is_snapshot and is_refusal(held.error))


def is_refusal(error: APIError | None) -> bool:
    """Tell whether the service answered, and the answer is no: asking again gives the same, being away would pass."""
    return (
        isinstance(error, APIStatusError)
        and error.status_code in _CLIENT_ERRORS
        and error.status_code != _TIMEOUT_STATUS
        and not isinstance(error, RateLimitError)
    )


def confirmed(value: LivePrompt, etag: str | None, now: float, chance: float) -> CachedPrompt:
    """Note that the service gave this, or said that it is still so."""
    return CachedPrompt(value, etag, now, chance)


def failed(held: CachedPrompt, error: APIError, now: float, ttl: float | None, chance: float) -> CachedPrompt:
    """Note that a request failed: when the next one may be made, and that a prompt that is no more is not given."""
    failures = held.failures + 1
    pause = pause_after(failures, ttl, chance)
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None:
        pause = max(pause, min(asked, LONGEST_ASKED))
    base = EMPTY if isinstance(error, NotFoundError) else held
    return replace(base, failures=failures, retry_at=now + pause, error=error, was_abandoned=False)


def pause_after(failures: int, ttl: float | None, chance: float) -> float:
    """Give the seconds without a request after so many failures: doubling, between half of the step and all of it."""
    longest = LONGEST_PAUSE if ttl is None else min(LONGEST_PAUSE, max(ttl, FIRST_PAUSE))
    step = min(longest, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
    return step * (0.5 + 0.5 * chance)


def invalidated(held: CachedPrompt) -> CachedPrompt:
    """Note that it has changed: it is asked for at the next call, and given only when that fails."""
    return replace(held, is_valid=False)
