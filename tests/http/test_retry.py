"""The retry policy: what is retried, and after which delay."""

from __future__ import annotations

from typing import Any

import pytest

from enprompta._http.exchange.retry import FIRST_WAIT, LONGEST_WAIT, RETRIED_STATUSES, Retrier, RetryPolicy
from enprompta.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    status_error_class,
)


def answered(status: int, retry_after: float | None = None) -> APIStatusError:
    """Build the error of a status."""
    return status_error_class(status)("no", status_code=status, retry_after=retry_after)


def policy(max_retries: int = 3, max_wait: float = 65.0, **more: Any) -> RetryPolicy:
    """Build a policy without randomness."""
    return RetryPolicy(max_retries, max_wait, **{"jitter": lambda: 1.0, **more})


def waits(of: RetryPolicy, *errors: Exception) -> list[float]:
    """Return the delay after each failure in turn."""
    retrier = Retrier(of)
    return [retrier.failed(error) for error in errors]


@pytest.mark.parametrize("status", range(300, 600))
def test_only_statuses_that_say_later_are_tried_again(status: int) -> None:
    """408, 429, 500, 502, 503 and 504 are retried; no other status is."""
    assert policy().is_retried(answered(status)) == (status in {408, 429, 500, 502, 503, 504})
    assert (status in RETRIED_STATUSES) == (status in {408, 429, 500, 502, 503, 504})


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (APIConnectionError("reset"), True),
        (APITimeoutError("silent"), True),
        (APIResponseError("html", status_code=200), False),
        (ConfigurationError("closed"), False),
        (ValueError("foreign"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_only_failures_to_get_an_answer_are_tried_again(error: BaseException, retried: bool) -> None:  # noqa: FBT001
    """A response that cannot be read is not requested again."""
    assert policy().is_retried(error) == retried


def test_waits_double_from_half_a_second_to_eight() -> None:
    """Exponential backoff has a minimum and a maximum for any number of attempts."""
    assert (FIRST_WAIT, LONGEST_WAIT) == (0.5, 8.0)
    error = answered(503)
    assert [policy().wait(error, attempt) for attempt in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert policy().wait(error, 10**9) == 8.0


def test_jitter_is_full() -> None:
    """The delay is random from zero to its span, so that clients that failed together spread out."""
    assert policy(jitter=lambda: 0.0).wait(answered(503), 5) == 0.0
    assert policy(jitter=lambda: 0.25).wait(answered(503), 2) == 0.25
    drawn = [RetryPolicy(3, 65.0).wait(APIConnectionError("reset"), 1) for _ in range(200)]
    assert min(drawn) >= 0.0
    assert max(drawn) <= 0.5
    assert len(set(drawn)) > 100


def test_the_servers_word_goes_first() -> None:
    """A delay that the server asks for is not shortened, capped or jittered; 0 is a valid delay."""
    without_chance = policy(jitter=lambda: pytest.fail("drawn"))
    assert without_chance.wait(answered(429, 30.0), 1) == 30.0
    assert without_chance.wait(answered(503, 0.25), 4) == 0.25
    assert without_chance.wait(answered(503, 0.0), 4) == 0.0


def test_a_wait_above_max_wait_is_not_slept() -> None:
    """Longer waits are left to the caller; one of exactly `max_wait` is slept."""
    assert policy(max_wait=10.0).is_retried(answered(429, 10.0))
    assert not policy(max_wait=10.0).is_retried(answered(429, 10.1))
    assert not policy(max_wait=0.0).is_retried(answered(503, 0.5))
    assert policy(max_wait=0.0).is_retried(answered(503))
    assert not policy().is_retried(answered(429, float("inf")))


def test_tenacity_counts_the_tries() -> None:
    """After `max_retries` retries the last error is raised unchanged."""
    errors = [answered(503), APIConnectionError("reset"), answered(503), answered(500)]
    assert waits(policy(), *errors[:3]) == [0.5, 1.0, 2.0]
    with pytest.raises(APIStatusError) as caught:
        waits(policy(), *errors)
    assert caught.value is errors[3]


def test_the_servers_word_reaches_the_wait() -> None:
    """The delay that the server asks for applies to any attempt; the backoff still counts all attempts."""
    assert waits(policy(), answered(429, 7.0), answered(503), answered(503, 0.0)) == [7.0, 1.0, 0.0]


def test_no_retries_means_one_try() -> None:
    """`max_retries=0` raises the first failure."""
    error = answered(503)
    with pytest.raises(APIStatusError) as caught:
        waits(policy(max_retries=0), error)
    assert caught.value is error


def test_what_is_not_retried_ends_it_at_once() -> None:
    """A final error after retried ones is raised at once."""
    error = answered(404)
    with pytest.raises(APIStatusError) as caught:
        waits(policy(), answered(503), error)
    assert caught.value is error
