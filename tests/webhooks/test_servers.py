"""The receiver under real servers with real sockets.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1,000 deliveries to each server.
"""

from __future__ import annotations

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
from typing import TYPE_CHECKING

import httpx
import pytest

from enprompta.webhooks import ClaimState, SQLiteStore, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_0123456789"
DELIVERIES = 1_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 100
AT_ONCE = 50


def event(number: int) -> bytes:
    """Record an event."""
    data = {"execution_id": f"exe_{number}", "prompt_id": "pmt_1"}
    when = "2024-01-17T10:15:00Z"
    return json.dumps({"id": f"evt_{number}", "event": "prompt.executed", "created_at": when, "data": data}).encode()


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
    """A receiver in a separate process."""

    def __init__(self, kind: str, path: Path) -> None:
        """Start the process and wait until it listens."""
        command = [sys.executable, "-c", PROGRAM, kind, str(path)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.client = httpx.Client(timeout=30, trust_env=False)
        self.url = f"http://127.0.0.1:{self.line()}/"

    def line(self) -> str:
        """Read the next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def post(self, body: bytes) -> int:
        """Deliver an event."""
        headers = {"X-Enprompta-Signature": sign(body, SECRET), "Content-Type": "application/json"}
        return self.client.post(self.url, content=body, headers=headers).status_code

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and wait for it."""
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
    """Of many concurrent deliveries none is lost or refused, for sync and async handlers."""
    bodies = [event(number) for number in range(DELIVERIES)]
    bodies = [body.replace(b"prompt.executed", b"prompt.new") if n % 2 else body for n, body in enumerate(bodies)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(running.post, bodies))
    assert statuses == [200] * DELIVERIES
    assert sorted((tmp_path / "handled").read_text().split()) == sorted(f"evt_{n}" for n in range(DELIVERIES))


def test_a_receiver_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """If a receiver is killed while it handles an event, the event is refused during the lease and handled after it."""
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
    # Expire the lease in the file instead of waiting six seconds.
    with closing(sqlite3.connect(f"{path}.db")) as connection, connection:
        connection.execute("UPDATE claims SET ends = ends - 6")
    server = Running("asgi", path)
    assert server.post(event(1)) == 200
    server.stop()
    assert path.read_text() == "evt_1\n"
