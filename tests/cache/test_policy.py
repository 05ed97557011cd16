"""What is to be done for a caller, decided without a clock, a lock or a service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.cache.freshness import (
    EMPTY,
    FIRST_PAUSE,
    LONGEST_ASKED,
    LONGEST_PAUSE,
    TTL_JITTER,
    CacheDecision,
    CachedPrompt,
    can_serve,
    confirmed,
    failed,
    invalidated,
    is_refusal,
    judge,
    pause_after,
)
from enprompta.errors import APIResponseError, APITimeoutError, AuthenticationError, InternalServerError, RateLimitError
from tests.cache.conftest import down, live, missing, status

NOW = 500.0
HELD = confirmed(live(), '"v1"', NOW, chance=0.0)


@pytest.mark.parametrize(
    ("held", "ttl", "after", "has_fallback", "verdict"),
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
    verdict: CacheDecision,
) -> None:
    """Each row of the table at the top of the module."""
    assert judge(held, NOW + after, ttl, has_fallback=has_fallback) is verdict


def test_what_was_abandoned_is_waited_for() -> None:
    """A refresh that its event loop did not let end would never end in the background: the next is waited for."""
    abandoned = CachedPrompt(live(), confirmed_at=NOW, was_abandoned=True)
    assert judge(abandoned, NOW + 100, 60.0, has_fallback=False) is CacheDecision.MISS
    assert judge(abandoned, NOW + 1, 60.0, has_fallback=False) is CacheDecision.FRESH


@given(st.floats(0, 1), st.floats(0.001, 1e6))
def test_a_ttl_may_end_early_and_never_late(chance: float, ttl: float) -> None:
    """Up to a tenth early, by chance, so that what was loaded together is not asked for together."""
    held = confirmed(live(), None, 0.0, chance)
    assert not held.is_fresh(ttl, ttl)
    assert held.is_fresh(ttl * (1 - TTL_JITTER) * 0.999, ttl)


@given(st.integers(1, 2_000), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_pauses_are_bounded(failures: int, chance: float, ttl: float | None) -> None:
    """Between half of a step and all of it; no step is longer than a minute, or than a TTL of a second or more."""
    pause = pause_after(failures, ttl, chance)
    assert FIRST_PAUSE / 2 <= pause <= LONGEST_PAUSE
    if ttl is not None:
        assert pause <= max(ttl, FIRST_PAUSE)


def test_pauses_double() -> None:
    """One second, two, four, until a minute."""
    assert [pause_after(n, None, 1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [pause_after(n, 10.0, 0.0) for n in range(1, 6)] == [0.5, 1, 2, 4, 5]


def test_the_service_may_ask_for_a_longer_pause() -> None:
    """`Retry-After` is kept to, up to five minutes."""
    for asked, pause in ((30.0, 30.0), (1e6, LONGEST_ASKED), (0.0, 1.0)):
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
def test_being_away_is_no_refusal(error: Exception | None, refuses: bool) -> None:  # noqa: FBT001
    """A 4xx is an answer, which asking again will not change; what passes by itself is none."""
    assert is_refusal(error) is refuses  # type: ignore[arg-type]


def test_what_is_no_more_is_not_given() -> None:
    """A 404 ends what was held; every other failure leaves it."""
    assert failed(HELD, missing(), NOW, 60.0, 1.0).value is None
    assert failed(HELD, down(), NOW, 60.0, 1.0).value is HELD.value
    assert failed(HELD, status(403), NOW, 60.0, 1.0).value is HELD.value


def test_a_snapshot_stands_in_for_who_is_away_only() -> None:
    """A key that was revoked does not read on from the disk."""
    snapshot = CachedPrompt(live(), is_valid=False, is_snapshot=True)
    assert can_serve(snapshot)
    assert can_serve(failed(snapshot, down(), NOW, 60.0, 1.0))
    assert not can_serve(failed(snapshot, status(401), NOW, 60.0, 1.0))
    assert can_serve(failed(HELD, status(401), NOW, 60.0, 1.0))


def test_success_forgets_failures() -> None:
    """After one good answer everything starts anew."""
    held = confirmed(live("v2"), None, NOW, 0.3)
    assert (held.failures, held.retry_at, held.error, held.is_valid, held.was_abandoned) == (0, 0.0, None, True, False)
