"""A receiver replies as the table in its docstring says, through ASGI, WSGI and direct calls."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import io
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from enprompta.errors import ConfigurationError
from enprompta.webhooks import ClaimState, MemoryStore, PromptExecuted, WebhookReceiver, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    Deliver = Callable[..., tuple[int, dict[str, Any]]]

SECRET = "whsec_0123456789"
EVENT = {
    "id": "evt_1",
    "event": "prompt.executed",
    "created_at": "2024-01-17T10:15:00Z",
    "data": {"execution_id": "exe_1", "prompt_id": "pmt_1"},
}


def through_asgi(receiver: WebhookReceiver, method: str, body: bytes, headers: dict[str, str], backend: str) -> Any:
    """Send one request through the ASGI application, its body in three pieces."""
    third = len(body) // 3 + 1
    pieces = [body[start : start + third] for start in range(0, len(body), third)] or [b""]
    incoming = [{"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]} for piece in pieces]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    anyio.run(receiver.asgi, {"type": "http", "method": method, "headers": pairs}, receive, send, backend=backend)
    start, end = sent
    assert dict(start["headers"])[b"content-length"] == str(len(end["body"])).encode()
    return start["status"], json.loads(end["body"])


def through_wsgi(receiver: WebhookReceiver, method: str, body: bytes, headers: dict[str, str]) -> Any:
    """Send one request through the WSGI application, checked by the standard library's validator."""
    environ = {
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        "REQUEST_METHOD": method,
        "CONTENT_LENGTH": str(len(body)),
        "QUERY_STRING": "",
        "SCRIPT_NAME": "/hooks",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    status: list[str] = []

    def start_response(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        status.append(line)
        assert dict(headers)["Content-Type"] == "application/json"
        return status.append  # never called: `write` is for old applications

    answer: Any = validator(receiver.wsgi)(environ, start_response)
    content = b"".join(answer)
    answer.close()
    return int(status[0].split()[0]), json.loads(content)


@pytest.fixture(params=["asyncio", "trio", "wsgi", "handle", "ahandle"])
def deliver(request: pytest.FixtureRequest) -> Deliver:
    """Provide a function that delivers an event, for each of the supported ways."""

    def deliver(
        receiver: WebhookReceiver, payload: Any = EVENT, *, method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {"X-Enprompta-Signature": sign(body, SECRET), **headers}
        if request.param in {"asyncio", "trio"}:
            return through_asgi(receiver, method, body, headers, request.param)
        if request.param == "wsgi":
            return through_wsgi(receiver, method, body, headers)
        if request.param == "handle":
            reply = receiver.handle(body, headers)
        else:
            reply = asyncio.run(receiver.ahandle(body, headers))
        return reply.status, json.loads(reply.body)

    return deliver


class AsyncObject:
    """A handler whose `__call__` is a coroutine function."""

    def __init__(self, seen: list[Any]) -> None:
        """Store the list that records events."""
        self.seen = seen

    async def __call__(self, event: Any) -> None:
        """Handle an event."""
        await checkpoint()
        self.seen.append(event)


async def coroutine(seen: list[Any], event: Any) -> None:
    """Handle an event in a coroutine."""
    await checkpoint()
    seen.append(event)


HANDLERS: dict[str, Callable[[list[Any]], Callable[[Any], object]]] = {
    "sync": lambda seen: seen.append,
    "async": lambda seen: functools.partial(coroutine, seen),
    "async object": AsyncObject,
}


@pytest.mark.parametrize("make", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_handler_gets_the_event_once(deliver: Deliver, make: Callable[[list[Any]], Callable[[Any], object]]) -> None:
    """Sync and async handlers get the typed event, and are not called for a repeated delivery."""
    seen: list[Any] = []
    receiver = WebhookReceiver(SECRET)
    receiver.on("prompt.executed")(make(seen))
    assert deliver(receiver) == (200, {"status": "handled"})
    assert deliver(receiver) == (200, {"status": "duplicate"})
    assert [type(event) for event in seen] == [PromptExecuted]
    assert deliver(receiver, {**EVENT, "id": "evt_2"}) == (200, {"status": "handled"})


def test_a_function_that_returns_an_awaitable(deliver: Deliver) -> None:
    """A sync handler that returns an awaitable is awaited."""
    seen: list[Any] = []
    receiver = WebhookReceiver(SECRET)

    async def wait(event: Any) -> None:
        await asyncio.sleep(0)
        seen.append(event)

    receiver.on("prompt.executed")(functools.partial(lambda function, event: function(event), wait))
    assert deliver(receiver) == (200, {"status": "handled"})
    assert len(seen) == 1


def test_events_without_a_handler(deliver: Deliver) -> None:
    """An event without a handler is accepted and not claimed; `*` handles every event without a specific handler."""
    receiver = WebhookReceiver(SECRET)
    assert deliver(receiver) == (200, {"status": "ignored"})
    own: list[Any] = []
    rest: list[str] = []
    receiver.on("prompt.executed")(own.append)
    receiver.on("*")(lambda event: rest.append(event.event))
    assert deliver(receiver) == (200, {"status": "handled"})
    assert deliver(receiver, {**EVENT, "id": "evt_2", "event": "prompt.new"}) == (200, {"status": "handled"})
    assert (len(own), rest) == (1, ["prompt.new"])


def failing(event: Any) -> None:
    """Raise an error."""
    raise ValueError("out of order")


def leaving(event: Any) -> None:
    """Try to end the process."""
    raise SystemExit


async def failing_async(event: Any) -> None:
    """Raise an error in a coroutine."""
    raise TimeoutError("the handler's own")


@pytest.mark.parametrize("broken", [failing, leaving, failing_async])
def test_a_failing_handler_is_called_again(
    deliver: Deliver, broken: Callable[[Any], object], caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that raises yields a 500, and the next delivery of the event is handled."""
    handlers = [broken, lambda event: None]
    receiver = WebhookReceiver(SECRET, timeout=None)
    first = receiver.on("prompt.executed")(broken)
    assert first is broken
    assert deliver(receiver)[0] == 500
    assert "webhook.handler_failed event=prompt.executed event_id=evt_1" in caplog.messages
    receiver._deliveries.handlers["prompt.executed"] = handlers[1]
    assert deliver(receiver) == (200, {"status": "handled"})


class BrokenStore(MemoryStore):
    """A store whose disk fails."""

    def claim(self, key: str, token: str, lease: float) -> ClaimState:
        """Raise an error."""
        raise OSError("disk full")


@pytest.mark.parametrize("make", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_failing_store_is_a_500(deliver: Deliver, make: Callable[[list[Any]], Callable[[Any], object]]) -> None:
    """If the store fails, no event is handled, and the service sends it again."""
    seen: list[Any] = []
    receiver = WebhookReceiver(SECRET, store=BrokenStore())
    receiver.on("prompt.executed")(make(seen))
    assert deliver(receiver)[0] == 500
    assert seen == []


@pytest.mark.parametrize("make", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_store_that_hangs_does_not_hold_the_reply(
    deliver: Deliver, make: Callable[[list[Any]], Callable[[Any], object]]
) -> None:
    """A store that hangs, as Redis on a broken network, yields a 500 after `timeout`."""
    goes_on = threading.Event()

    class Hanging(MemoryStore):
        def claim(self, key: str, token: str, lease: float) -> ClaimState:
            goes_on.wait(30)
            return super().claim(key, token, lease)

    receiver = WebhookReceiver(SECRET, store=Hanging(), timeout=0.2)
    receiver.on("prompt.executed")(make([]))
    started = time.monotonic()
    try:
        assert deliver(receiver)[1]["error"]["code"] == "HANDLER_TIMEOUT"
        assert time.monotonic() - started < 5
    finally:
        goes_on.set()


@pytest.mark.parametrize("make", HANDLERS.values(), ids=HANDLERS.keys())
def test_an_event_in_progress_is_a_503(deliver: Deliver, make: Callable[[list[Any]], Callable[[Any], object]]) -> None:
    """While an event is being handled, perhaps by another process, a repeated delivery is not accepted."""
    store = MemoryStore()
    receiver = WebhookReceiver(SECRET, store=store)
    receiver.on("prompt.executed")(make([]))
    store.claim("evt_1", "elsewhere", 60)
    assert deliver(receiver)[0] == 503
    store.release("evt_1", "elsewhere")
    assert deliver(receiver)[0] == 200


def test_a_slow_sync_handler_does_not_hold_the_reply(deliver: Deliver) -> None:
    """After `timeout` the reply is 500; the sync handler continues, and once it has succeeded the event is accepted."""
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()

    class Store(MemoryStore):
        def complete(self, key: str, token: str) -> bool:
            done = super().complete(key, token)
            left.set()
            return done

    receiver = WebhookReceiver(SECRET, timeout=0.2, store=Store())

    @receiver.on("prompt.executed")
    def slow(event: PromptExecuted) -> None:
        entered.set()
        leave.wait(30)

    assert deliver(receiver)[1]["error"]["code"] == "HANDLER_TIMEOUT"
    assert entered.is_set()
    assert deliver(receiver)[0] == 503
    leave.set()
    assert left.wait(30)
    assert deliver(receiver) == (200, {"status": "duplicate"})


def test_a_slow_async_handler_is_cancelled(deliver: Deliver) -> None:
    """After `timeout` an async handler is cancelled, the reply is 500, and the event can be handled again."""
    given_back = threading.Event()

    class Store(MemoryStore):
        def release(self, key: str, token: str) -> bool:
            released = super().release(key, token)
            given_back.set()
            return released

    receiver = WebhookReceiver(SECRET, timeout=0.2, store=Store())

    @receiver.on("prompt.executed")
    async def slow(event: PromptExecuted) -> None:
        if not given_back.is_set():
            await anyio.sleep(30)

    assert deliver(receiver)[0] == 500
    assert given_back.wait(30)
    assert deliver(receiver) == (200, {"status": "handled"})


@pytest.mark.parametrize(
    ("payload", "headers", "status", "code"),
    [
        (EVENT, {"X-Enprompta-Signature": "sha256=" + "0" * 64}, 401, "INVALID_SIGNATURE"),
        (EVENT, {"X-Enprompta-Signature": ""}, 401, "INVALID_SIGNATURE"),
        (EVENT, {"X-Enprompta-Signature": "é"}, 401, "INVALID_SIGNATURE"),
        (b"nonsense", {"X-Enprompta-Signature": "x"}, 401, "INVALID_SIGNATURE"),
        (b"nonsense", {}, 400, "INVALID_PAYLOAD"),
        (b"", {}, 400, "INVALID_PAYLOAD"),
        ({"id": "evt_1"}, {}, 400, "INVALID_PAYLOAD"),
        (b"[" * 100_000, {}, 400, "INVALID_PAYLOAD"),
        (b"x" * 1_048_577, {}, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_what_is_refused(deliver: Deliver, payload: Any, headers: dict[str, str], status: int, code: str) -> None:
    """The size is checked first, then the signature, then the content; no handler is called for a rejected delivery."""
    seen: list[Any] = []
    receiver = WebhookReceiver([SECRET, "old"])
    receiver.on("*")(seen.append)
    answer = deliver(receiver, payload, **headers)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert seen == []


def test_a_body_of_just_the_cap_is_read(deliver: Deliver) -> None:
    """The default maximum is a megabyte, and `max_body` changes it."""
    receiver = WebhookReceiver(SECRET)
    body = json.dumps({**EVENT, "data": "x"}).encode()
    padded = body[:-2] + b"x" * (1_048_576 - len(body)) + b'"}'
    large = {**json.loads(padded), "event": "large"}
    assert deliver(receiver, json.dumps(large).encode()[: 1_048_576 + 10])[0] in {200, 400, 413}
    assert len(padded) == 1_048_576
    assert deliver(receiver, padded)[0] == 200
    assert deliver(WebhookReceiver(SECRET, max_body=len(body)), body)[0] == 200
    assert deliver(WebhookReceiver(SECRET, max_body=len(body) - 1), body)[0] == 413


def test_re_serializing_can_be_turned_off(deliver: Deliver) -> None:
    """A receiver accepts a reformatted body up to `max_reserialized`."""
    signed = json.dumps(EVENT, separators=(",", ":")).encode()
    headers = {"X-Enprompta-Signature": sign(signed, SECRET)}
    assert deliver(WebhookReceiver(SECRET), json.dumps(EVENT).encode(), **headers)[0] == 200
    assert deliver(WebhookReceiver(SECRET, max_reserialized=0), json.dumps(EVENT).encode(), **headers)[0] == 401
    with pytest.raises(ConfigurationError, match="max_reserialized"):
        WebhookReceiver(SECRET, max_reserialized=-1)


def test_an_old_event_is_refused_only_with_a_tolerance(deliver: Deliver) -> None:
    """By default an event of any age is handled, because the service resends old events."""
    assert deliver(WebhookReceiver(SECRET))[0] == 200
    assert deliver(WebhookReceiver(SECRET, tolerance=300))[0] == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_only_posts_are_deliveries(method: str) -> None:
    """Another method yields a 405 with the `Allow` header."""
    receiver = WebhookReceiver(SECRET)
    assert through_asgi(receiver, method, b"", {}, "asyncio")[0] == 405
    assert through_wsgi(receiver, method, b"", {})[0] == 405


def test_context_variables_reach_the_handler(deliver: Deliver) -> None:
    """The caller's context variables, such as a trace id, are set in the thread of the handler."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("trace")
    seen: list[str] = []
    receiver = WebhookReceiver(SECRET)
    receiver.on("prompt.executed")(lambda event: seen.append(variable.get()))
    deliver(receiver)
    assert seen == ["trace"]


@pytest.mark.parametrize(
    ("setup", "problem"),
    [
        ({"secret": ""}, "secret is empty"),
        ({"secret": []}, "No webhook secret"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": float("inf")}, "timeout must be"),
        ({"timeout": 10, "lease": 10}, r"lease \(10 s\) must be longer than timeout \(10 s\)"),
        ({"timeout": None, "lease": 0}, "lease must be"),
        ({"max_body": 0}, "max_body must be"),
        ({"tolerance": -1}, "tolerance must be"),
    ],
)
def test_invalid_settings_are_refused(setup: dict[str, Any], problem: str) -> None:
    """Invalid settings are reported when the receiver is created."""
    with pytest.raises(ConfigurationError, match=problem):
        WebhookReceiver(**{"secret": SECRET, **setup})


def test_one_event_has_one_handler() -> None:
    """A second handler for an event is rejected, because it would be unclear whose success counts."""
    receiver = WebhookReceiver(SECRET)
    receiver.on("prompt.executed")(print)
    with pytest.raises(ConfigurationError, match=r"'prompt\.executed' already has a handler"):
        receiver.on("prompt.executed")(print)


def test_secrets_do_not_show(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the receiver's repr nor its log shows a secret or a signature."""
    receiver = WebhookReceiver(SECRET)
    receiver.on("prompt.executed")(failing)
    with caplog.at_level(logging.DEBUG):
        receiver.handle(json.dumps(EVENT).encode(), {"X-Enprompta-Signature": sign(EVENT, SECRET)})
        receiver.handle(b"{}", {"X-Enprompta-Signature": sign(EVENT, SECRET)})
        receiver.handle(b"{}", {"X-Enprompta-Signature": sign(b"{}", SECRET)})
    shown = caplog.text + repr(receiver) + repr(receiver._deliveries)
    assert SECRET not in shown
    assert sign(EVENT, SECRET) not in shown
