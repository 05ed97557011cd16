"""A caller's httpx transports: a Unix socket, and connections that the transport retries."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest

from enprompta import APIConnectionError, APITimeoutError
from tests.faults.flavours import Caller, run, settle
from tests.faults.server import PROMPT, FaultServer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.flavours import Waits


def make(flavour: str, **settings: Any) -> Any:
    """Create an httpx client on a transport with settings."""
    if flavour == "sync":
        return httpx.Client(transport=httpx.HTTPTransport(**settings))
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(**settings))


class OnFile:
    """A server on a Unix socket that answers one request per connection, or none."""

    def __init__(self, path: Path) -> None:
        self.answers = True
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listener.accept()
                self._held.append(connection)
                connection.recv(65_536)
                if self.answers:
                    connection.sendall(answer(200, PROMPT, [("Content-Type", "application/json")]))

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self._held):
            each.close()


@pytest.fixture
def on_file(tmp_path: Path) -> Iterator[OnFile]:
    """A server on a Unix socket."""
    server = OnFile(tmp_path / "socket")
    yield server
    server.close()


def test_a_unix_socket(flavour: str, on_file: OnFile) -> None:
    """Calls work, and a deadline bounds them."""

    async def scenario() -> None:
        http = make(flavour, uds=on_file.path)
        options = {"base_url": "http://localhost/api/v1", "http_client": http, "max_retries": 0}
        async with Caller(flavour, **options) as caller:
            assert (await caller.call("GET", deadline=5)).data.id == "p1"
            on_file.answers = False
            began = time.monotonic()
            assert type(await caller.outcome("POST", deadline=0.1)) is APITimeoutError
            assert 0.09 < time.monotonic() - began < 1
        await settle(http.close() if flavour == "sync" else http.aclose())

    run(flavour, scenario)


def test_connections_that_the_transport_tries_again(flavour: str, server: FaultServer) -> None:
    """The retries inside a caller's transport count as one attempt of the client."""

    async def scenario() -> None:
        http = make(flavour, retries=1)
        pool = http._transport._pool
        async with Caller(flavour, base_url=server.base_url, http_client=http, max_retries=0) as caller:
            backend, failures = pool._network_backend, [httpcore.ConnectError("refused")]
            connect = backend.connect_tcp

            def refuse_once(*args: Any, **kwargs: Any) -> Any:
                if failures:
                    raise failures.pop()
                return connect(*args, **kwargs)

            backend.connect_tcp = refuse_once
            response = await caller.call("GET")
            assert not failures
            assert [attempt.number for attempt in response.attempts] == [1]
        await settle(http.close() if flavour == "sync" else http.aclose())

    run(flavour, scenario)


def test_a_deadline_ends_the_tries_of_the_transport(flavour: str, waits: Waits) -> None:
    """Its growing delays do not exceed the deadline."""

    async def scenario() -> None:
        http = make(flavour, retries=5)  # it would take 7.5 seconds
        with FaultServer(listening=False) as nobody:
            async with Caller(flavour, base_url=nobody.base_url, http_client=http, max_retries=0) as caller:
                began = time.monotonic()
                error = await caller.outcome("GET", deadline=0.1)
                assert isinstance(error, APIConnectionError)
                assert time.monotonic() - began < 0.4
        await settle(http.close() if flavour == "sync" else http.aclose())

    run(flavour, scenario)
    assert waits == []
