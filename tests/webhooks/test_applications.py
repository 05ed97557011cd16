"""Edge cases of ASGI and WSGI in the receiver."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import anyio
import pytest

from enprompta.webhooks import WebhookReceiver, sign

SECRET = "whsec_0123456789"


def event(number: int) -> bytes:
    """Record an event."""
    data = {"execution_id": f"exe_{number}", "prompt_id": "pmt_1"}
    when = "2024-01-17T10:15:00Z"
    return json.dumps({"id": f"evt_{number}", "event": "prompt.executed", "created_at": when, "data": data}).encode()


def asgi(receiver: WebhookReceiver, scope: dict[str, Any], *incoming: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the ASGI application over some messages, and return what it sent."""
    messages, sent = list(incoming), []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(receiver.asgi, scope, receive, send)
    return sent


def test_lifespan_is_agreed_to() -> None:
    """The receiver answers the lifespan events of a server that runs it as the root application."""
    types = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = asgi(WebhookReceiver(SECRET), {"type": "lifespan"}, *types)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_websockets_are_closed() -> None:
    """A WebSocket connection is closed."""
    assert asgi(WebhookReceiver(SECRET), {"type": "websocket"}) == [{"type": "websocket.close", "code": 1008}]


def test_a_body_that_breaks_off_is_not_answered() -> None:
    """If the sender disconnects midway, nothing is verified and nothing is sent."""
    scope = {"type": "http", "method": "POST", "headers": []}
    half = {"type": "http.request", "body": b"half", "more_body": True}
    assert asgi(WebhookReceiver(SECRET), scope, half, {"type": "http.disconnect"}) == []


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ([(b"content-length", b"11")], None),
        ([(b"content-length", b"9999999999999999999")], None),
        ([(b"content-length", b"nonsense")], b"x" * 11),
        ([(b"content-length", b"9" * 10_000)], b"x" * 11),
        ([], b"x" * 11),
    ],
)
def test_asgi_reads_no_more_than_the_cap(headers: list[tuple[bytes, bytes]], first: bytes | None) -> None:
    """A body announced as too large is not read; one that turns out to be too large is not read to the end."""
    scope = {"type": "http", "method": "POST", "headers": headers}
    incoming = [] if first is None else [{"type": "http.request", "body": first, "more_body": True}]
    assert asgi(WebhookReceiver(SECRET, max_body=10), scope, *incoming)[0]["status"] == 413


def test_asgi_takes_a_body_of_just_the_cap() -> None:
    """A body announced with exactly the maximum size is read."""
    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"10")]}
    incoming = {"type": "http.request", "body": b"x" * 10}
    assert asgi(WebhookReceiver(SECRET, max_body=10), scope, incoming)[0]["status"] == 401


def test_asgi_reads_a_body_in_any_pieces() -> None:
    """A message may omit its body, and the last one may omit `more_body`, as the specification allows."""
    body = event(1)
    scope = {"type": "http", "method": "POST", "headers": [(b"x-enprompta-signature", sign(body, SECRET).encode())]}
    pieces = [{"body": body[:9], "more_body": True}, {"more_body": True}, {"body": body[9:], "more_body": True}, {}]
    sent = asgi(WebhookReceiver(SECRET), scope, *({"type": "http.request", **piece} for piece in pieces))
    assert sent[0]["status"] == 200


def test_the_answer_as_the_servers_get_it() -> None:
    """An ASGI reply is two messages with lower-case headers; a WSGI reply is a status line, headers and a body."""
    body = b'{"error": {"code": "METHOD_NOT_ALLOWED", "message": "Send deliveries with POST"}}'
    headers = [("Content-Type", "application/json"), ("Allow", "POST"), ("Content-Length", str(len(body)))]
    lower = [(name.lower().encode(), value.encode()) for name, value in headers]
    assert asgi(WebhookReceiver(SECRET), {"type": "http", "method": "GET", "headers": []}) == [
        {"type": "http.response.start", "status": 405, "headers": lower},
        {"type": "http.response.body", "body": body},
    ]
    begun: list[Any] = []
    answer = WebhookReceiver(SECRET).wsgi({"REQUEST_METHOD": "GET"}, lambda *told: begun.append(told))
    assert (begun, list(answer)) == ([("405 Method Not Allowed", headers)], [body])


class Headers:
    """Headers that record the thread that reads them."""

    def __init__(self) -> None:
        """Start unread."""
        self.read_on: list[int] = []

    def items(self) -> list[tuple[str, str]]:
        """Return no header, and record the thread."""
        self.read_on.append(threading.get_ident())
        return []


@pytest.mark.parametrize(("size", "aside"), [(65_536, False), (65_537, True)])
def test_a_large_body_does_not_hold_up_the_event_loop(size: int, *, aside: bool) -> None:
    """Only a body large enough to block the event loop is verified in a thread."""
    headers = Headers()

    async def deliver() -> int:
        assert (await WebhookReceiver(SECRET).ahandle(b"x" * size, headers)).status == 401
        return threading.get_ident()

    loop = anyio.run(deliver)
    assert [thread != loop for thread in headers.read_on] == [aside]


def test_asgi_sees_a_header_that_is_sent_twice() -> None:
    """Two signatures in one request are rejected, even if both are valid."""
    body = event(1)
    pair = (b"x-enprompta-signature", sign(body, SECRET).encode())
    for pairs, status in (([pair], 200), ([pair, pair], 401)):
        scope = {"type": "http", "method": "POST", "headers": pairs}
        assert asgi(WebhookReceiver(SECRET), scope, {"type": "http.request", "body": body})[0]["status"] == status


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"CONTENT_LENGTH": "-1"}, "400"),
        ({"CONTENT_LENGTH": "nonsense"}, "400"),
        ({"CONTENT_LENGTH": "\u0661"}, "400"),
        ({"CONTENT_LENGTH": "9" * 10_000}, "413"),
        ({"CONTENT_LENGTH": "5"}, "401"),
        ({"CONTENT_LENGTH": ""}, "401"),
        ({}, "401"),
        ({"wsgi.input_terminated": True}, "200"),
        ({"CONTENT_LENGTH": str(len(event(1)))}, "200"),
        ({"CONTENT_LENGTH": str(len(event(1)) + 100)}, "200"),
    ],
)
def test_wsgi_lengths(environ: dict[str, Any], status: str) -> None:
    """A body is read to its length, or to the end if the server marks it; never further, which could block."""
    lines: list[str] = []
    request = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": io.BytesIO(event(1)),
        "HTTP_X_ENPROMPTA_SIGNATURE": sign(event(1), SECRET),
        **environ,
    }
    receiver = WebhookReceiver(SECRET)
    receiver.wsgi(request, lambda line, headers, /: lines.append(line))
    assert lines[0][:3] == status


def test_wsgi_reads_nothing_of_a_body_without_a_length() -> None:
    """Without a length or an end marked by the server, no byte is read, because a read could block forever."""
    lines: list[str] = []
    request = {"REQUEST_METHOD": "POST", "wsgi.input": None}  # cannot be read
    WebhookReceiver(SECRET).wsgi(request, lambda line, headers, /: lines.append(line))
    assert lines == ["401 Unauthorized"]


def test_wsgi_stops_reading_at_the_cap() -> None:
    """An endless chunked body is read up to the maximum and answered with 413."""

    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return b"x" * size

    source, lines = Endless(), list[str]()
    request = {"REQUEST_METHOD": "POST", "wsgi.input": source, "wsgi.input_terminated": True}
    WebhookReceiver(SECRET, max_body=100_000).wsgi(request, lambda line, headers, /: lines.append(line))
    assert lines[0].startswith("413")
    assert source.given == 100_001
