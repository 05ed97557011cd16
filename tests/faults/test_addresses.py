"""A host with several addresses: a dead one costs a fraction of a second, and errors name all."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import APIConnectionError, APITimeoutError
from enprompta._http.senders import deadline_streams
from tests.faults.flavours import Caller, descriptors, run
from tests.faults.server import FaultServer, FullBacklog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

pytest.importorskip("aiohttp")  # loaded here, for it takes longer than an attempt may
HOST = "localhost"


class Dead(FullBacklog):
    """A port of 127.0.0.2 that neither accepts nor refuses connections."""

    def __init__(self, port: int) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.2", port))
        self._listener.listen(0)
        self._queued = []
        self.port = port

    def __enter__(self) -> Self:
        for _ in range(8):
            queued = socket.socket()
            queued.setblocking(False)
            queued.connect_ex(("127.0.0.2", self.port))
            self._queued.append(queued)
        return self


@pytest.fixture
def dead(server: FaultServer) -> Iterator[Dead]:
    """A dead address with the server's port."""
    with Dead(server.port) as dead:
        yield dead


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a host resolve to addresses."""
    real = socket.getaddrinfo

    def to(*addresses: str) -> None:
        def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host not in {HOST, HOST.encode()}:
                return real(host, port, *args, **kwargs)
            if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "not a number")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return to


@pytest.mark.parametrize("deadline", [None, 3.0])
@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio", "asyncio-aiohttp"])
def test_a_dead_first_address_costs_less_than_a_second(
    backend: str, deadline: float | None, server: FaultServer, dead: Dead, resolve: Any
) -> None:
    """With and without a deadline; the losing attempt is closed."""
    resolve("127.0.0.2", "127.0.0.1")
    flavour, _, library = backend.partition("-")
    before = descriptors()

    async def scenario() -> None:
        async with Caller(
            flavour, base_url=f"http://{HOST}:{dead.port}/api/v1", http_client=library or None, max_retries=0
        ) as caller:
            began = time.monotonic()
            assert (await caller.call("GET", deadline=deadline)).data.id == "p1"
            assert time.monotonic() - began < 1

    run(flavour, scenario)
    server.wait_for_connections()
    assert descriptors() == before


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio", "asyncio-aiohttp"])
def test_an_address_that_refuses_is_passed_at_once(backend: str, server: FaultServer, resolve: Any) -> None:
    """The next address is tried without delay."""
    resolve("127.0.0.3", "127.0.0.1")
    flavour, _, library = backend.partition("-")

    async def scenario() -> None:
        async with Caller(
            flavour, base_url=f"http://{HOST}:{server.port}/api/v1", http_client=library or None, max_retries=0
        ) as caller:
            began = time.monotonic()
            await caller.call("GET")
            assert time.monotonic() - began < deadline_streams.ATTEMPT_DELAY

    run(flavour, scenario)


def test_an_error_names_each_address(flavour: str, server: FaultServer, resolve: Any) -> None:
    """If every address refuses."""
    resolve("127.0.0.3", "127.0.0.4")

    async def scenario() -> None:
        async with Caller(flavour, base_url=f"http://{HOST}:{server.port}/api/v1", max_retries=0) as caller:
            error = await caller.outcome("GET")
            assert isinstance(error, APIConnectionError)
            assert error.unsent
            if flavour != "trio":  # which does not say which address an error is of
                assert "127.0.0.3" in str(error)
                assert "127.0.0.4" in str(error)

    run(flavour, scenario)


def test_a_timeout_names_the_result_of_each_address(dead: Dead, resolve: Any) -> None:
    """One refused, one did not answer before the deadline."""
    resolve("127.0.0.3", "127.0.0.2")

    async def scenario() -> None:
        async with Caller("sync", base_url=f"http://{HOST}:{dead.port}/api/v1", max_retries=0, timeout=0.3) as caller:
            error = await caller.outcome("GET")
            assert isinstance(error, APITimeoutError)
            refused = f"127.0.0.3:{dead.port} (Connection refused)"
            assert f"tried {refused}, 127.0.0.2:{dead.port} (no answer)" in str(error)

    run("sync", scenario)


def test_families_alternate() -> None:
    """An address of the other family is second, however many the first family has."""
    six, four = [(10, 1, 6, "", f"six{n}") for n in (1, 2, 3)], [(2, 1, 6, "", "four")]
    assert [one[4] for one in deadline_streams.interleaved([*six, *four])] == ["six1", "four", "six2", "six3"]


def test_an_address_that_cannot_be_tried_is_passed(server: FaultServer) -> None:
    """If its family is unknown, or the local address has another one."""
    unknown = (255, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))
    wrong = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))
    good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
    with deadline_streams.Race([unknown, wrong, good], "127.0.0.1") as race, race.run(5) as sock:
        assert sock.getpeername()[1] == server.port
    with deadline_streams.Race([unknown], None) as race, pytest.raises(OSError, match=r"tried \[::1\]:1 \(") as caught:
        race.run(None)
    assert caught.value.errno is None


def test_a_connection_that_is_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no wait."""
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: 0)
    one = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))
    with deadline_streams.Race([one, one], None) as race:
        race.run(5).close()
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.ECONNREFUSED)
    with deadline_streams.Race([one], None) as race, pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        race.run(5)


@pytest.mark.parametrize("backend", ["sync", "asyncio", "asyncio-aiohttp"])
def test_without_sockets_a_call_fails_once(backend: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a browser: one attempt and an error that says so."""
    flavour, _, library = backend.partition("-")

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, http_client=library or None) as caller:
            with monkeypatch.context() as patch:
                patch.setattr(socket.socket, "connect_ex", refuse)
                patch.setattr(asyncio.BaseEventLoop, "create_connection", refuse)
                patch.setattr(asyncio.SelectorEventLoop, "sock_connect", refuse)
                error = await caller.outcome("GET")
            assert isinstance(error, APIConnectionError)
            assert "cannot open network connections" in str(error)
            assert len(error.attempts) == 1
            assert error.unsent

    run(flavour, scenario)
