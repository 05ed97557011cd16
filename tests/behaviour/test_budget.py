"""An exhausted request budget raises an error immediately or before the deadline."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from enprompta import RateLimitError
from enprompta.limiters import LocalLimiter, blocks

PROMPT = {"id": "pmt_1", "title": "Greeting", "content": "Hello"}


def reported(remaining: int, *, seconds: int = 300, status: int = 200) -> httpx.Response:
    """Answer with a prompt and a budget that resets after the given seconds."""
    headers = {
        "Date": formatdate(usegmt=True),
        "X-RateLimit-Limit": "60",
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(time.time()) + seconds),
    }
    return httpx.Response(status, json={"success": True, "data": PROMPT}, headers=headers)


def get(client: Any) -> Any:
    """Fetch a prompt."""
    return client.prompts.get("p")


def test_a_budget_used_up_beyond_max_wait_is_an_error_at_once(api: Any) -> None:
    """The call is not sent; the error names the budget, the time until its reset, and `max_wait`."""
    client = api.scripted(limiter=LocalLimiter(), max_wait=5.0)
    api.answers(reported(0))
    api.run(get, client)
    with pytest.raises(RateLimitError) as caught:
        api.run(get, client)
    error = caught.value
    assert "GET /prompts/p was not sent: the request budget of 60 requests is used up for another" in str(error)
    assert "more than max_wait (5 s)" in str(error)
    assert (error.status_code, error.attempts) == (429, ())
    assert 290 < (error.retry_after or 0) < 310
    assert api.sent == 1


def test_a_retry_without_budget_reports_the_attempts(api: Any) -> None:
    """A failed call without budget for a retry reports its number of attempts."""
    client = api.scripted(limiter=LocalLimiter(), max_wait=5.0)
    api.answers(reported(0, status=503))
    with pytest.raises(RateLimitError, match=r"was not sent again after 1 attempts") as caught:
        api.run(get, client)
    assert [attempt.status_code for attempt in caught.value.attempts] == [503]


def refused(*headers: tuple[str, str], retry_after: str | None = None) -> httpx.Response:
    """Answer 429 with these headers."""
    given = list(headers) if retry_after is None else [*headers, ("Retry-After", retry_after)]
    return httpx.Response(429, json={"error": {"message": "slow down"}}, headers=given)


CONTRADICTIONS = [
    [("Retry-After", "1"), ("Retry-After", "3600")],
    [("X-RateLimit-Limit", "60"), ("X-RateLimit-Limit", "60")],
    [("X-RateLimit-Limit", "0"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1999999999")],
    [("X-RateLimit-Limit", "60, 60"), ("X-RateLimit-Remaining", "0, 0"), ("X-RateLimit-Reset", "1999999999999")],
    [("Retry-After", "-5")],
    [("Retry-After", "1e99")],
    [("Retry-After", "Fri, 01 Jan 2021 00:00:00 GMT")],
    [("Retry-After", "0")],
]


@pytest.mark.parametrize("headers", CONTRADICTIONS)
def test_a_429_that_makes_no_sense_is_retried_within_seconds(
    api: Any, monkeypatch: pytest.MonkeyPatch, headers: list[tuple[str, str]]
) -> None:
    """Contradictory, repeated or invalid headers delay neither the call nor the next one for long."""
    monkeypatch.setattr(blocks, "PAUSE", 0.1)
    client = api.scripted(limiter=LocalLimiter())
    api.answers(reported(59))
    api.run(get, client)
    api.answers(refused(*headers), reported(58), reported(57))
    started = time.monotonic()
    api.run(get, client)
    api.run(get, client)
    assert time.monotonic() - started < 2
    assert sum(api.waits) <= 1


def test_a_firewalls_429_fails_one_call_and_no_other(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call fails at once, because it is asked to wait an hour; the next one waits for seconds."""
    monkeypatch.setattr(blocks, "PAUSE", 0.3)
    client = api.scripted(limiter=LocalLimiter())
    api.answers(reported(59))
    api.run(get, client)
    api.answers(refused(retry_after="3600"), reported(58))
    started = time.monotonic()
    with pytest.raises(RateLimitError, match="more than max_wait"):
        api.run(get, client)
    api.run(get, client)
    assert 0.2 < time.monotonic() - started < 30


def test_a_429_delays_only_its_call(api: Any) -> None:
    """`Retry-After: 9` without a budget: this call sleeps 9 s outside the queue."""
    client = api.scripted(limiter=LocalLimiter())
    api.answers(refused(retry_after="9"), reported(58))
    api.run(get, client)
    assert api.waits == [9.0]


def day_used_up() -> httpx.Response:
    """Answer 429 for the rest of the day."""
    return reported(0, seconds=80_000, status=429)


def test_health_answers_while_the_rate_limit_is_used_up(api: Any) -> None:
    """It never waits for the rate limit, and its responses do not change it."""
    client = api.scripted(limiter=LocalLimiter(), max_wait=5.0)
    api.answers(day_used_up())
    with pytest.raises(RateLimitError):
        api.run(get, client)
    api.answers(httpx.Response(200, json={"status": "healthy", "version": "1", "timestamp": "2024-01-01T00:00:00Z"}))
    assert api.run(lambda client: client.health(), client).status == "healthy"
    with pytest.raises(RateLimitError, match="was not sent"):
        api.run(get, client)


def test_a_reset_sends_the_next_call(api: Any) -> None:
    """`reset_rate_limit` forgets an exhausted day, on both clients, for all clients with the key."""
    client = api.scripted(limiter=LocalLimiter(), max_wait=5.0)
    api.answers(day_used_up())
    with pytest.raises(RateLimitError):
        api.run(get, client)
    with pytest.raises(RateLimitError, match="was not sent"):
        api.run(get, client)
    assert client.reset_rate_limit() is None
    assert client.rate_limit is None
    api.answers(reported(59))
    api.run(get, client)


def test_without_a_limiter_a_reset_forgets_the_last_report(api: Any) -> None:
    """There is nothing else to forget; a budget reported twice counts as none."""
    client = api.scripted(limiter=None)
    api.answers(reported(59))
    api.run(get, client)
    assert client.rate_limit.remaining == 59
    client.reset_rate_limit()
    assert client.rate_limit is None
    twice = reported(58)
    twice.headers = httpx.Headers([*twice.headers.raw, (b"X-RateLimit-Limit", b"60")])
    api.answers(twice)
    api.run(get, client)
    assert client.rate_limit is None


@pytest.mark.parametrize("limiter", [LocalLimiter(), None])
def test_a_429_with_a_budget_waits_in_the_queue(api: Any, limiter: LocalLimiter | None) -> None:
    """The limiter waits for the window, not the call; without a limiter the call sleeps."""
    client = api.scripted(limiter=limiter)
    api.answers(reported(0, seconds=1, status=429), reported(58, seconds=60))
    api.run(get, client)
    assert len(api.waits) == (limiter is None)
