"""The cache decisions, without a clock, a lock or a service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.cache.freshness import (
    EMPTY,
    FIRST_BACKOFF_SECONDS,
    MAX_BACKOFF_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    TTL_JITTER,
    CacheDecision,
    CachedPrompt,
    backoff_seconds,
    can_serve,
    confirmed,
    decide,
    failed,
    invalidated,
    is_refusal,
)
from enprompta.errors import APIResponseError, APITimeoutError, AuthenticationError, InternalServerError, RateLimitError
from tests.cache.conftest import down, live, missing, status

NOW = 500.0
HELD = confirmed(live(), '"v1"', NOW, chance=0.0)


@pytest.mark.parametrize(
    ("held", "ttl", "after", "has_fallback", "decision"),
    [
        (EMPTY, 60.0, 0.0, False, CacheDecision.MISS),
        (EMPTY, 60.0, 0.0, True, CacheDecision.MISS),
        (HELD, 60.0, 0.0, False, CacheDecision.FRESH),
        (HELD, 60.0, 59.9, False, CacheDecision.FRESH),
        (HELD, 60.0, 60.0, False, CacheDecision.STALE),
        (HELD, 0.0, 0.0, False, CacheDecision.MISS),
        (HELD, None, 1e9, False, CacheDecision.FRESH),
        (invalidated(HELD), 60.0, 0.0, False, CacheDecision.MISS),
        (invalidated(HELD), None, 0.0, False, CacheDecision.MISS),
        (failed(EMPTY, down(), NOW, 60.0, 1.0), 60.0, 0.9, False, CacheDecision.BACKING_OFF),
        (failed(EMPTY, down(), NOW, 60.0, 1.0), 60.0, 0.9, True, CacheDecision.BACKING_OFF),
        (failed(EMPTY, down(), NOW, 60.0, 1.0), 60.0, 1.0, False, CacheDecision.MISS),
        (failed(EMPTY, down(), NOW, 60.0, 1.0), 60.0, 1.0, True, CacheDecision.STALE),
        (failed(HELD, down(), NOW, 60.0, 1.0), 60.0, 0.9, False, CacheDecision.FRESH),
        (failed(HELD, down(), NOW + 70, 60.0, 1.0), 60.0, 70.9, False, CacheDecision.BACKING_OFF),
        (failed(HELD, down(), NOW + 70, 60.0, 1.0), 60.0, 71.0, False, CacheDecision.STALE),
        (failed(HELD, down(), NOW, 60.0, 1.0), 0.0, 0.9, False, CacheDecision.BACKING_OFF),
        (failed(HELD, down(), NOW, 60.0, 1.0), 0.0, 1.0, False, CacheDecision.STALE),
        (failed(EMPTY, missing(), NOW, 60.0, 1.0), 60.0, 0.5, False, CacheDecision.MISS),
        (failed(EMPTY, missing(), NOW, 60.0, 1.0), 60.0, 0.5, True, CacheDecision.BACKING_OFF),
    ],
)
def test_decisions(
    held: CachedPrompt,
    ttl: float | None,
    after: float,
    has_fallback: bool,  # noqa: FBT001
    decision: CacheDecision,
) -> None:
    """Each row of the table in the module's docstring."""
    assert decide(held, NOW + after, ttl, has_fallback=has_fallback) is decision


def test_what_was_abandoned_is_waited_for() -> None:
    """After a refresh was cancelled with its event loop, the next caller waits for a fetch."""
    abandoned = CachedPrompt(live(), confirmed_at=NOW, was_abandoned=True)
    assert decide(abandoned, NOW + 100, 60.0, has_fallback=False) is CacheDecision.MISS
    assert decide(abandoned, NOW + 1, 60.0, has_fallback=False) is CacheDecision.FRESH


@given(st.floats(0, 1), st.floats(0.001, 1e6))
def test_a_ttl_may_end_early_and_never_late(chance: float, ttl: float) -> None:
    """A TTL ends up to a tenth early at random, so that prompts loaded together are not fetched together."""
    held = confirmed(live(), None, 0.0, chance)
    assert not held.is_fresh(ttl, ttl)
    assert held.is_fresh(ttl * (1 - TTL_JITTER) * 0.999, ttl)


@given(st.integers(1, 2_000), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_pauses_are_bounded(failures: int, chance: float, ttl: float | None) -> None:
    """The backoff is between half of the step and all of it; a step is at most a minute, or a shorter TTL."""
    pause = backoff_seconds(failures, ttl, chance)
    assert FIRST_BACKOFF_SECONDS / 2 <= pause <= MAX_BACKOFF_SECONDS
    if ttl is not None:
        assert pause <= max(ttl, FIRST_BACKOFF_SECONDS)


def test_pauses_double() -> None:
    """The steps are one, two and four seconds, up to a minute."""
    assert [backoff_seconds(n, None, 1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [backoff_seconds(n, 10.0, 0.0) for n in range(1, 6)] == [0.5, 1, 2, 4, 5]


def test_the_service_may_ask_for_a_longer_pause() -> None:
    """`Retry-After` is respected, up to five minutes."""
    for asked, pause in ((30.0, 30.0), (1e6, MAX_RETRY_AFTER_SECONDS), (0.0, 1.0)):
        error = status(503, InternalServerError, retry_after=asked)
        assert failed(HELD, error, NOW, 60.0, 1.0).retry_at == NOW + pause


@pytest.mark.parametrize(
    ("error", "refuses"),
    [
        (down(), False),
        (APITimeoutError("late"), False),
        (APIResponseError("<html>", status_code=200), False),
        (status(500, InternalServerError), False),
        (status(408), False),
        (status(429, RateLimitError), False),
        (status(302), False),
        (status(401, AuthenticationError), True),
        (status(403), True),
        (status(400), True),
        (missing(), True),
        (None, False),
    ],
    ids=repr,
)
def test_an_unavailable_service_is_not_a_refusal(error: Exception | None, refuses: bool) -> None:  # noqa: FBT001
    """A 4xx is a refusal, which a retry would repeat; a temporary failure is not."""
    assert is_refusal(error) is refuses  # type: ignore[arg-type]


def test_what_is_no_more_is_not_given() -> None:
    """A 404 removes the cached value; every other failure keeps it."""
    assert failed(HELD, missing(), NOW, 60.0, 1.0).value is None
    assert failed(HELD, down(), NOW, 60.0, 1.0).value is HELD.value
    assert failed(HELD, status(403), NOW, 60.0, 1.0).value is HELD.value


def test_a_snapshot_replaces_an_unavailable_service_only() -> None:
    """A revoked key cannot continue to read from the disk."""
    snapshot = CachedPrompt(live(), is_valid=False, is_snapshot=True)
    assert can_serve(snapshot)
    assert can_serve(failed(snapshot, down(), NOW, 60.0, 1.0))
    assert not can_serve(failed(snapshot, status(401), NOW, 60.0, 1.0))
    assert can_serve(failed(HELD, status(401), NOW, 60.0, 1.0))


def test_success_forgets_failures() -> None:
    """One success resets the state."""
    held = confirmed(live("v2"), None, NOW, 0.3)
    assert (held.failures, held.retry_at, held.error, held.is_valid, held.was_abandoned) == (0, 0.0, None, True, False)
