"""The receiver as servers see it: the corners of ASGI and WSGI, and real servers with real sockets.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1,000 deliveries to each server.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from enprompta.webhooks import ClaimState, SQLiteStore, WebhookReceiver, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_0123456789"
DELIVERIES = 1_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 100
AT_ONCE = 50


def event(number: int) -> bytes:
    """Write an event."""
    data = {"execution_id": f"exe_{number}", "prompt_id": "pmt_1"}
    when = "2024-01-17T10:15:00Z"
    return json.dumps({"id": f"evt_{number}", "event": "prompt.executed", "created_at": when, "data": data}).encode()


def asgi(receiver: WebhookReceiver, scope: dict[str, Any], *incoming: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the ASGI application over some messages, and give what it sent."""
    messages, sent = list(incoming), []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(receiver.asgi, scope, receive, send)
    return sent


def test_lifespan_is_agreed_to() -> None:
    """A server that runs the receiver on its own may start it up and shut it down."""
    types = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = asgi(WebhookReceiver(SECRET), {"type": "lifespan"}, *types)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_websockets_are_closed() -> None:
    """A WebSocket is turned away."""
    assert asgi(WebhookReceiver(SECRET), {"type": "websocket"}) == [{"type": "websocket.close", "code": 1008}]


def test_a_body_that_breaks_off_is_not_answered() -> None:
    """When the sender hangs up in the middle, nothing is verified and nothing is sent."""
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
    """A body that is announced as too large is not read, and one that turns out to be is not read on."""
    scope = {"type": "http", "method": "POST", "headers": headers}
    incoming = [] if first is None else [{"type": "http.request", "body": first, "more_body": True}]
    assert asgi(WebhookReceiver(SECRET, max_body=10), scope, *incoming)[0]["status"] == 413


def test_asgi_sees_a_header_that_is_sent_twice() -> None:
    """Two signatures in one request are none, even if both are right."""
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
    """A body is read by its length, or to its end where the server marks it; never further, which could block."""
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


def test_wsgi_stops_reading_at_the_cap() -> None:
    """An endless chunked body is read up to the cap and answered with 413."""

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


PROGRAM = """
import sys, threading, time
from enprompta.webhooks import SQLiteStore, WebhookReceiver

kind, path = sys.argv[1:]
receiver = WebhookReceiver("whsec_0123456789", store=SQLiteStore(path + ".db"), timeout=5, lease=6)

def write(event):
    with open(path, "a") as lines:
        lines.write(event.id + "\\n")

@receiver.on("prompt.executed")
def handle(event):
    if event.data.prompt_id == "pmt_block":
        print("handling", flush=True)
        time.sleep(600)
    write(event)

@receiver.on("*")
async def handle_async(event):
    write(event)

if kind == "asgi":
    import asyncio, socket, uvicorn
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(receiver.asgi, log_level="warning")).run([listener])
else:
    import socketserver, wsgiref.simple_server as simple
    class Quiet(simple.WSGIRequestHandler):
        def log_message(self, *args): pass
    class Server(socketserver.ThreadingMixIn, simple.WSGIServer):
        daemon_threads, request_queue_size = True, 128
    server = Server(("127.0.0.1", 0), Quiet)
    server.set_app(receiver.wsgi)
    print(server.server_port, flush=True)
    server.serve_forever()
"""


class Running:
    """A receiver in a process of its own."""

    def __init__(self, kind: str, path: Path) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-c", PROGRAM, kind, str(path)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.client = httpx.Client(timeout=30, trust_env=False)
        self.url = f"http://127.0.0.1:{self.line()}/"

    def line(self) -> str:
        """Read the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def post(self, body: bytes) -> int:
        """Deliver an event."""
        headers = {"X-Enprompta-Signature": sign(body, SECRET), "Content-Type": "application/json"}
        return self.client.post(self.url, content=body, headers=headers).status_code

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait."""
        self.process.send_signal(how)
        self.process.communicate(timeout=30)
        self.client.close()


@pytest.fixture(params=["asgi", "wsgi"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """Run a receiver under uvicorn, then under a threaded WSGI server."""
    server = Running(request.param, tmp_path / "handled")
    yield server
    server.stop()


def test_deliveries_at_once(running: Running, tmp_path: Path) -> None:
    """Of many deliveries at once none is lost and none is refused, to sync and to async handlers."""
    bodies = [event(number) for number in range(DELIVERIES)]
    bodies = [body.replace(b"prompt.executed", b"prompt.new") if n % 2 else body for n, body in enumerate(bodies)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(running.post, bodies))
    assert statuses == [200] * DELIVERIES
    assert sorted((tmp_path / "handled").read_text().split()) == sorted(f"evt_{n}" for n in range(DELIVERIES))


def test_a_receiver_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """Killed in the middle of handling, a receiver's event is refused during the lease and handled after it."""
    path = tmp_path / "handled"
    blocking = event(1).replace(b"pmt_1", b"pmt_block")
    server = Running("asgi", path)

    def post() -> None:
        with suppress(httpx.HTTPError):
            server.post(blocking)

    thread = threading.Thread(target=post)
    thread.start()
    assert server.line() == "handling"
    server.stop(signal.SIGKILL)
    thread.join()
    with closing(SQLiteStore(f"{path}.db")) as store:
        assert store.claim("evt_1", "t", 60) is ClaimState.BUSY
    # What six seconds would do, done to the file.
    with closing(sqlite3.connect(f"{path}.db")) as connection, connection:
        connection.execute("UPDATE claims SET ends = ends - 6")
    server = Running("asgi", path)
    assert server.post(event(1)) == 200
    server.stop()
    assert path.read_text() == "evt_1\n"
