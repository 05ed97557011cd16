"""An exhausted request budget raises an error immediately or before the deadline."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from enprompta import RateLimitError
from enprompta.limiters import LocalLimiter

PROMPT = {"id": "pmt_1", "title": "Greeting", "content": "Hello"}


def told(remaining: int, *, seconds: int = 300, status: int = 200) -> httpx.Response:
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


def test_a_budget_that_is_used_up_for_long_is_told_at_once(api: Any) -> None:
    """The call is not sent; the error names the budget, the time until its reset, and `max_wait`."""
    client = api.scripted(limiter=LocalLimiter(), max_wait=5.0)
    api.answers(told(0))
    api.run(get, client)
    with pytest.raises(RateLimitError) as caught:
        api.run(get, client)
    error = caught.value
    assert "GET /prompts/p was not sent: the request budget of 60 requests is used up for another" in str(error)
    assert "more than max_wait (5 s)" in str(error)
    assert (error.status_code, error.attempts) == (429, ())
    assert 290 < (error.retry_after or 0) < 310
    assert api.sent == 1


def test_a_retry_that_the_budget_forbids_tells_of_the_attempts(api: Any) -> None:
    """A failed call without budget for a retry reports its number of attempts."""
    client = api.scripted(limiter=LocalLimiter(), max_wait=5.0)
    api.answers(told(0, status=503))
    with pytest.raises(RateLimitError, match=r"was not sent again after 1 attempts") as caught:
        api.run(get, client)
    assert [attempt.status_code for attempt in caught.value.attempts] == [503]
