"""Connection pools: one connection per concurrent call, up to the maximum, and idle ones are closed."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from enprompta import APITimeoutError, ConfigurationError
from enprompta._http.senders import connection_pool, httpx_senders
from tests.faults.flavours import Caller, run, together, until
from tests.faults.server import FaultServer, Peer, fine

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW = 0.1  # seconds


def slow(peer: Peer) -> None:
    """Answer after a while."""
    request = peer.read()
    time.sleep(SLOW)
    assert request.path
    peer.send(ANSWER)


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" + b'{"data":{"id":"p1","title":"","content":""}}'


class Crowd:
    """A server that counts its concurrent requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, peer: Peer) -> None:
        """Answer after a while."""
        peer.read()
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(SLOW)
        with self._lock:
            self.now -= 1
        peer.send(ANSWER)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Limit pools to two connections."""
    monkeypatch.setattr(connection_pool, "MAX_CONNECTIONS", 2)
    return 2


async def at_once(flavour: str, works: list[Callable[[], Any]]) -> None:
    """Run functions concurrently, in threads or tasks, and wait for all."""
    if flavour == "sync":
        together(flavour, works)
        return
    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(work)


def calls(flavour: str, server: FaultServer, number: int, **options: Any) -> list[Any]:
    """Make concurrent calls with one client; return their results."""
    outcomes: list[Any] = []

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, **options) as caller:

            async def one() -> None:
                outcomes.append(await caller.outcome("GET"))

            await at_once(flavour, [one] * number)

    run(flavour, scenario)
    return outcomes


def test_one_after_another_share_a_connection(flavour: str, server: FaultServer) -> None:
    """Sequential calls use one connection."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            for method in ("GET", "POST", "PUT", "DELETE", "GET"):
                await caller.call(method)

    run(flavour, scenario)
    assert server.connections == 1


def test_no_more_connections_than_may_be(flavour: str, server: FaultServer, small: int) -> None:
    """More calls wait, longer than `timeout` if needed, and none fails: no PoolTimeout."""
    crowd = Crowd()
    server.play(then=crowd)
    outcomes = calls(flavour, server, 9, timeout=2 * SLOW, max_retries=0)
    assert [outcome.status_code for outcome in outcomes] == [200] * 9
    assert crowd.most == small
    assert server.connections <= small


def test_a_deadline_ends_the_wait_for_a_connection(flavour: str, server: FaultServer, small: int) -> None:
    """On time, and nothing was sent."""

    def hold(peer: Peer) -> None:
        peer.read()
        peer.stall()

    server.play(then=hold)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, max_retries=0) as caller:

            async def busy() -> None:
                await caller.outcome("GET", timeout=1.0)

            async def late() -> None:
                await until(flavour, lambda: server.attempts == small)
                began = time.monotonic()
                error = await caller.outcome("GET", deadline=0.2)
                assert type(error) is APITimeoutError
                assert 0.15 < time.monotonic() - began < 0.6

            await at_once(flavour, [*[busy] * small, late])

    run(flavour, scenario)
    assert len(server.received) == small


def test_old_connections_are_closed_by_later_calls(
    flavour: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle connections left by a burst are closed unused by later calls."""
    monkeypatch.setattr(httpx_senders, "LIMITS", {"keepalive_expiry": 0.3})
    monkeypatch.setattr(connection_pool, "_SWEEP_EVERY", 0.0)
    server.play(*[slow] * 5, then=fine)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            await at_once(flavour, [partial(caller.call, "GET")] * 5)
            assert server.connections == 5
            for _ in range(5):  # keeps one of them young
                later = time.monotonic() + 0.1
                await until(flavour, lambda later=later: time.monotonic() > later)
                await caller.call("GET")
            server.wait_for_connections(at_most=1)
            assert server.connections <= 6

    run(flavour, scenario)


def test_a_returned_connection_serves_the_next_waiting_call(flavour: str, server: FaultServer, small: int) -> None:
    """A caller that stops waiting takes nothing from those behind it."""
    server.play(then=Crowd())

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, max_retries=0) as caller:
            outcomes: list[Any] = []

            async def one(deadline: float | None) -> None:
                outcomes.append(await caller.outcome("GET", deadline=deadline))

            works = [*[partial(one, None)] * small, *[partial(one, SLOW / 2)] * 4, *[partial(one, None)] * 4]
            await at_once(flavour, works)
            good = [one for one in outcomes if not isinstance(one, Exception)]
            assert len(good) >= 6
            assert all(isinstance(one, APITimeoutError) for one in outcomes if isinstance(one, Exception))
            assert (await caller.call("GET")).status_code == 200

    run(flavour, scenario)


def test_closing_the_client_ends_calls_that_wait_for_a_connection(
    flavour: str, server: FaultServer, small: int
) -> None:
    """A waiting call learns that the client is closed; no connection is opened for it."""

    def hold(peer: Peer) -> None:
        peer.read()
        peer.stall()

    server.play(then=hold)
    late: list[Any] = []

    async def scenario() -> None:
        caller = Caller(flavour, base_url=server.base_url, max_retries=0)

        async def busy() -> None:
            await caller.outcome("GET")

        async def waits() -> None:
            await until(flavour, lambda: server.attempts == small)
            late.append(await caller.outcome("GET"))

        async def closes() -> None:
            await until(flavour, lambda: server.attempts == small)
            pause = time.monotonic() + SLOW
            await until(flavour, lambda: time.monotonic() > pause)
            await caller.__aexit__()

        await at_once(flavour, [*[busy] * small, waits, closes])

    run(flavour, scenario)
    assert [type(one) for one in late] == [ConfigurationError]
    assert "this client is closed" in str(late[0])
    assert server.connections == small
