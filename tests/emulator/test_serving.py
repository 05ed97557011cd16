"""Start, stop and health of the emulator's server."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from enprompta.emulator import Emulator
from enprompta.emulator.api import app, middleware
from enprompta.emulator.serving import server_thread
from enprompta.errors import ConfigurationError

SIZE = 20_000_000  # bytes, more than what systems keep of a connection that is not read


async def _fails_to_start(scope: Any, receive: Any, send: Any) -> None:
    raise OSError("no such thing")


async def _ends_at_once(self: object, sockets: object) -> None:
    """Serve nothing."""


@pytest.mark.parametrize(
    ("what", "how"),
    [("emulator.create_app", lambda _: _fails_to_start), ("serving.server_thread._Server.serve", _ends_at_once)],
    ids=["its application fails", "its server ends at once"],
)
def test_a_server_that_does_not_start(what: str, how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed start is reported at once, and leaves no thread and no used port behind."""
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with monkeypatch.context() as patch:
        patch.setattr(f"enprompta.emulator.{what}", how)
        with pytest.raises(ConfigurationError, match="did not start; see its log"):
            Emulator(port=port).start()
    while set(threading.enumerate()) - threads:  # the thread ends after it has reported the failure
        time.sleep(0.001)
    with Emulator(port=port) as emulator:
        assert httpx.get(f"{emulator.url}/health", trust_env=False).status_code == 200


HALF = b"POST /api/v1/prompts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf"
LARGE = b"GET /api/v1/large HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ep_test_team\r\n\r\n"


@pytest.mark.parametrize("request_", [HALF, LARGE], ids=["half a request", "an answer that is never read"])
def test_what_never_ends_does_not_keep_it(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it stops, it waits a bounded time for requests in flight, then closes their connections."""
    monkeypatch.setattr(server_thread, "_GRACE_SECONDS", 0.05)
    with Emulator() as emulator, socket.socket() as sender:
        emulator.faults.add("/large", status=200, body="x" * SIZE)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.connect(("127.0.0.1", int(emulator.url.rpartition(":")[2].removesuffix("/api/v1"))))
        sender.sendall(request_)
        state = emulator._started().server._server.server_state
        while not (state.tasks or state.total_requests):  # under way, or answered already
            time.sleep(0.001)
        began = time.monotonic()
        emulator.stop()
        assert 0.04 < time.monotonic() - began < 1
        sender.settimeout(5)
        received = 0
        with suppress(ConnectionResetError):
            while part := sender.recv(65_536):
                received += len(part)
    assert received < SIZE


@pytest.mark.parametrize(("system", "reused"), [("posix", True), ("nt", False)])
def test_only_posix_lets_a_port_be_reused_safely(system: str, *, reused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option is not set on Windows, where it would let two emulators share a port."""
    monkeypatch.setattr(socket, "os", SimpleNamespace(name=system))
    with server_thread.listen("127.0.0.1", 0) as listener:
        assert bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)) is reused


def test_health_reports_a_failing_database(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Health reports the failure instead of failing."""
    with Emulator() as emulator:
        database = emulator._started().services.database
        one = database.one

        def fail(sql: str, *args: object) -> Any:
            if sql == "SELECT 1":
                raise sqlite3.OperationalError("disk I/O error")
            return one(sql, *args)

        monkeypatch.setattr(database, "one", fail)
        answer = connect(emulator, None).get("/health", params={"detailed": "true"})
    assert (answer.status_code, answer.json()["status"]) == (200, "unhealthy")
    assert answer.json()["components"]["database"]["message"] == "disk I/O error"


def test_the_document_of_a_wheel_is_the_one_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a docs directory, the copy in the wheel is served."""
    files = {("enprompta.emulator", "openapi.yaml"): b"openapi: 3.1.0\n# the wheel's\n"}
    monkeypatch.setattr(app, "read_data", lambda *name: files[name])
    assert app._text() == "openapi: 3.1.0\n# the wheel's\n"


def test_a_request_that_never_completes() -> None:
    """Receiving after the body waits forever, and does not report a disconnected client."""

    async def ask() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(middleware._never_receive(), 0.01)

    asyncio.run(ask())
