"""Retries: which failures are retried, and what the caller learns about them."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from enprompta import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    ConfigurationError,
    InsufficientTokensError,
    InternalServerError,
    RateLimitError,
)
from enprompta.models import Prompt

PROMPT = {"id": "pmt_1", "title": "Greeting", "content": "Hello"}


def ok() -> httpx.Response:
    """Answer with a prompt."""
    return httpx.Response(200, json={"success": True, "data": PROMPT}, headers={"X-Request-Id": "req_ok"})


def no(status: int, **headers: str) -> httpx.Response:
    """Answer with an error."""
    return httpx.Response(status, json={"error": {"code": "X", "message": "no"}}, headers=headers)


def get(client: Any) -> Any:
    """Fetch a prompt."""
    return client.prompts.get("p")


WRITES = {
    "POST": lambda c, **k: c.prompts.create(title="t", content="c", **k),
    "PUT": lambda c, **k: c.prompts.update("p", title="t", **k),
    "execute": lambda c, **k: c.prompts.execute("p", **k),
}


@pytest.mark.parametrize(
    "failure",
    [
        *(no(status) for status in (408, 429, 500, 502, 503, 504)),
        *(httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), OSError("x")),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(api: Any, failure: Any) -> None:
    """The call succeeds on its second attempt, after a wait of at most half a second."""
    api.answers(failure, ok())
    assert type(api.run(get)) is Prompt
    assert api.sent == 2
    assert len(api.waits) == 1
    assert 0 <= api.waits[0] <= 0.5


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 418, 422, 451, 501, 505])
def test_what_would_not_pass_is_not_tried_again(api: Any, status: int) -> None:
    """A permanent failure sends one request, raises one error, and does not wait."""
    api.answers(no(status))
    with pytest.raises(APIStatusError) as caught:
        api.run(get)
    assert api.sent == 1
    assert api.waits == []
    assert "attempts" not in str(caught.value)


def test_three_retries_and_then_the_last_error(api: Any) -> None:
    """The default is four attempts; the error is that of the last one and lists all."""
    api.answers(no(500), httpx.ReadTimeout("x"), no(429, **{"Retry-After": "2"}), no(503, **{"X-Request-Id": "req_4"}))
    with pytest.raises(InternalServerError, match=r"returned 503 .*gave up after 4 attempts") as caught:
        api.run(get)
    attempts = caught.value.attempts
    assert [one.number for one in attempts] == [1, 2, 3, 4]
    assert [one.status_code for one in attempts] == [500, None, 429, 503]
    assert attempts[1].error == "GET /prompts/p: api.test sent nothing for longer than timeout allows"
    assert [one.wait for one in attempts] == [*api.waits, 0.0]
    assert attempts[3].request_id == caught.value.request_id == "req_4"
    first, second, third = api.waits
    assert first <= 0.5
    assert second <= 1.0
    assert third == 2.0


def test_a_success_lists_its_attempts(api: Any) -> None:
    """`with_raw_response` lists every attempt; the last one is the response."""
    api.answers(no(500, **{"X-Request-Id": "req_1"}), httpx.ConnectError("refused"), ok())
    response = api.run(lambda c: c.with_raw_response.prompts.get("p"))
    assert [one.status_code for one in response.attempts] == [500, None, 200]
    assert [one.request_id for one in response.attempts] == ["req_1", None, "req_ok"]
    assert [one.wait for one in response.attempts] == [*api.waits, 0.0]


@pytest.mark.parametrize(("max_retries", "tries"), [(0, 1), (1, 2), (5, 6)])
def test_max_retries_counts_further_tries(api: Any, max_retries: int, tries: int) -> None:
    """`max_retries` of the client limits the attempts."""
    api.answers(*[no(503) for _ in range(tries)])
    client = api.scripted(max_retries=max_retries)
    with pytest.raises(InternalServerError):
        api.run(get, client)
    assert api.sent == tries


@pytest.mark.parametrize("write", WRITES)
def test_writes_carry_one_idempotency_key_through_all_tries(api: Any, write: str) -> None:
    """A retry after a lost response is the same request for the service; the next call is another."""
    keys: list[set[str]] = []
    for _ in range(2):
        api.answers(httpx.ReadTimeout("lost"), no(503), ok())
        api.run(WRITES[write])
        keys.append({request.headers["Idempotency-Key"] for request in api.requests})
        assert len({request.content for request in api.requests}) == 1
    assert [len(one) for one in keys] == [1, 1]
    assert keys[0] != keys[1]
    assert all(len(key) >= 32 for one in keys for key in one)


def test_reads_and_deletions_carry_none(api: Any) -> None:
    """GET and DELETE are safe to repeat without a key."""
    api.answers(no(503), ok(), no(503), httpx.Response(204))
    api.run(get)
    api.run(lambda c: c.prompts.delete("p"))
    assert api.sent == 4
    assert not any("Idempotency-Key" in request.headers for request in api.requests)


@pytest.mark.parametrize("write", WRITES)
def test_the_callers_key_is_sent(api: Any, write: str) -> None:
    """The caller's key makes a call safe to repeat across processes."""
    api.answers(no(503), ok())
    api.run(lambda c: WRITES[write](c, idempotency_key="order-17"))
    assert [request.headers.get_list("Idempotency-Key") for request in api.requests] == [["order-17"], ["order-17"]]


def test_a_key_on_a_read_is_not_sent(api: Any) -> None:
    """An idempotency key on a read, against the types, is not sent."""
    api.answers(ok())
    api.run(lambda c: c.prompts.get("p", idempotency_key="k"))
    assert "Idempotency-Key" not in api.requests[0].headers


def test_the_servers_wait_is_kept(api: Any) -> None:
    """`Retry-After` in any form, and the reset for a 429, are waited in full."""
    now = time.time()
    date = {"Date": formatdate(now, usegmt=True)}
    api.answers(
        no(503, **{"Retry-After": "0"}),
        no(503, **{"Retry-After": "12.5"}),
        no(429, **{"Retry-After": formatdate(int(now) + 20, usegmt=True), **date}),
        no(429, **{"X-RateLimit-Reset": str(int(now) + 30), **date}),
        ok(),
    )  # fmt: skip
    api.run(get, api.scripted(max_retries=4))
    assert api.waits == [0.0, 12.5, 20.0, 30.0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_longer_than_max_wait_is_an_error_at_once(api: Any, status: int) -> None:
    """A wait beyond `max_wait`, as until midnight, raises unless the caller has allowed it."""
    api.answers(no(status, **{"Retry-After": "3600"}))
    with pytest.raises(APIStatusError) as caught:
        api.run(get)
    assert str(caught.value).endswith("not retried, because the API asks to wait 3600 s, more than max_wait (65 s)")
    assert caught.value.retry_after == 3600.0
    assert api.sent == 1
    assert api.waits == []


def test_max_wait_may_be_raised(api: Any) -> None:
    """With a `max_wait` of an hour, the client waits an hour."""
    api.answers(no(429, **{"Retry-After": "3600"}), ok())
    api.run(get, api.scripted(max_wait=3600))
    assert api.waits == [3600.0]
    api.answers(no(429, **{"Retry-After": "3600"}), no(429, **{"Retry-After": "3601"}))
    with pytest.raises(
        RateLimitError, match="gave up after 2 attempts; not retried, because the API asks to wait 3601 s"
    ) as caught:
        api.run(get, api.scripted(max_wait=3600))
    assert len(caught.value.attempts) == 2


def test_the_first_final_error_ends_the_tries(api: Any) -> None:
    """A 400 after a 503 is final."""
    api.answers(no(503), no(400))
    with pytest.raises(BadRequestError, match="gave up after 2 attempts"):
        api.run(get)
    api.answers(no(402))
    with pytest.raises(InsufficientTokensError):
        api.run(get)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectTimeout("x"), APITimeoutError),
        (httpx.ReadTimeout("x"), APITimeoutError),
        (httpx.WriteTimeout("x"), APITimeoutError),
        (httpx.PoolTimeout("x"), APITimeoutError),
        (httpx.ConnectError("x"), APIConnectionError),
        (httpx.ReadError("x"), APIConnectionError),
        (httpx.RemoteProtocolError("x"), APIConnectionError),
        (httpx.LocalProtocolError("x"), APIConnectionError),
        (httpx.UnsupportedProtocol("x"), APIConnectionError),
        (httpx.DecodingError("x"), APIConnectionError),
        (httpx.InvalidURL("x"), APIConnectionError),
        (httpx.StreamError("x"), APIConnectionError),
        (ConnectionResetError(104, "reset"), APIConnectionError),
        (RuntimeError("odd"), APIConnectionError),
    ],
    ids=lambda it: getattr(it, "__name__", type(it).__name__),
)
def test_what_the_transport_raises_is_ours(api: Any, raised: Exception, expected: type[Exception]) -> None:
    """A missing response raises `APIConnectionError` or its timeout subclass, with the original as cause."""
    api.answers(raised)
    with pytest.raises(APIConnectionError) as caught:
        api.run(get, api.scripted(max_retries=0))
    assert type(caught.value) is expected
    assert isinstance(caught.value, TimeoutError) == (expected is APITimeoutError)
    cause = caught.value.__cause__
    assert (type(cause).__name__, str(cause)) == (type(raised).__name__, str(raised))
    (attempt,) = caught.value.attempts
    assert (attempt.status_code, attempt.error) == (None, str(caught.value))


def test_a_bug_below_is_not_dressed_up(api: Any) -> None:
    """An exception that is no network failure, as in the caller's transport, is raised unchanged."""
    api.answers(ZeroDivisionError("mine"))
    with pytest.raises(ZeroDivisionError, match="mine"):
        api.run(get)
    assert api.sent == 1


def test_a_closed_client_says_so(api: Any) -> None:
    """A call on a closed client is the caller's mistake, not a connection error, and is not retried."""
    api.close(api.client if api.server else api.http_client)
    assert api.client.is_closed
    with pytest.raises(ConfigurationError, match="this client is closed; create a new one"):
        api.run(get)
    assert api.waits == []


def test_events_are_logged_without_secrets(api: Any, caplog: pytest.LogCaptureFixture) -> None:
    """`retry` and `response` log the call, numbers and ids, but no key, body or query."""
    client = api.scripted(api_key="ep_hunter2")
    api.answers(no(503, **{"X-Request-Id": "req_1"}), httpx.Response(200, json={"data": [], "HIDDEN": 1}))
    with caplog.at_level("DEBUG", logger="enprompta"):
        api.run(lambda c: c.prompts.list(search="HIDDEN"), client)
    ours = [record for record in caplog.records if record.name == "enprompta"]
    assert [record.event for record in ours] == ["retry", "response"]  # type: ignore[attr-defined]
    retry: dict[str, Any] = ours[0].fields  # type: ignore[attr-defined]
    assert retry.pop("wait") == api.waits[0]
    assert retry == {
        "call": "GET /prompts", "attempt": 1, "status": 503, "error": "InternalServerError", "request_id": "req_1",
    }  # fmt: skip
    assert not any("hunter2" in record.getMessage() or "HIDDEN" in record.getMessage() for record in ours)
