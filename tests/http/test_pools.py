"""Connection pools under concurrency: closing also closes connections that are checked out."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import httpcore
import pytest

from enprompta._http.senders import connection_pool
from enprompta._http.senders.connection_pool import AsyncPool, Pool

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = httpcore.Request("GET", "http://127.0.0.1/")


class Connection:
    """A connection that a test scripts, and that records if it was closed."""

    def __init__(self, during: Callable[[str], Any] = lambda _: None) -> None:
        self.closed = False
        self._during = during

    def is_available(self) -> bool:
        """Return True if another request can be sent."""
        self._during("available")
        return True

    def has_expired(self) -> bool:
        """Return True if the server has closed it."""
        self._during("expiry")
        return True

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Answer."""
        self._during("request")
        return httpcore.Response(200, content=b"{}")

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Answer."""
        return self.handle_request(request)

    def close(self) -> None:
        """Close."""
        self.closed = True

    async def aclose(self) -> None:
        """Close slowly, as a TLS connection does, also when cancelled."""
        try:
            await anyio.sleep(0.01)
        finally:
            self.closed = True


class _ScriptedFactory(SimpleNamespace):
    """A pool of the library httpcore, as far as the tested pools can see."""

    __module__ = "httpcore"


def opens(*connections: Connection) -> Any:
    """Return a factory that opens these connections in turn."""
    waiting = list(connections)
    return _ScriptedFactory(create_connection=lambda _: waiting.pop(0), _keepalive_expiry=5.0)


def test_a_connection_that_a_call_is_returning_is_closed_too() -> None:
    """Also while a call returns it, when it is neither in use nor idle."""

    def during(moment: str) -> None:
        if moment == "available":
            pool.close()

    connection = Connection(during)
    pool = Pool(opens(connection), 1)
    assert pool.handle_request(REQUEST).status == 200
    assert connection.closed


def test_a_call_whose_connection_was_closed_is_an_error() -> None:
    """If all were closed between finding and using it, the call opens no other."""

    def during(moment: str) -> None:
        if moment == "request":
            raise httpcore.ConnectionNotAvailable

    with pytest.raises(RuntimeError, match="closed"):
        Pool(opens(Connection(during)), 1).handle_request(REQUEST)
    with pytest.raises(RuntimeError, match="closed"):
        anyio.run(AsyncPool(opens(Connection(during)), 1).handle_async_request, REQUEST)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closing_continues_when_it_is_cancelled(backend: str) -> None:
    """Every connection is closed before the cancellation is raised."""
    connections = [Connection() for _ in range(3)]

    async def scenario() -> None:
        pool = AsyncPool(opens(*connections), 3)
        for _ in connections:
            pool._stack.take(REQUEST.url.origin)
        if backend == "trio":
            with anyio.CancelScope() as scope:
                scope.cancel()
                await pool.aclose()
            return
        task = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    anyio.run(scenario, backend=backend)
    assert all(connection.closed for connection in connections)


def test_a_pool_that_is_closed_sends_nothing() -> None:
    """A late call gets an error, and its new connection is closed."""

    def during(moment: str) -> None:
        assert moment != "request"

    connection = Connection(during)
    pool = Pool(opens(connection), 1)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.handle_request(REQUEST)
    assert connection.closed


def test_a_sweep_that_another_thread_overtakes() -> None:
    """The sweeping thread closes only connections that no other thread has taken."""

    def take_the_others(moment: str) -> None:
        if moment == "expiry":
            stack._idle.clear()

    oldest, *others = [Connection(take_the_others), Connection(), Connection()]
    stack: Any = Pool(opens(), 3)._stack
    stack._idle.extend([oldest, others[0]])
    assert stack.put_back(others[1], is_sound=True) == [oldest]


class TestSlots:
    def test_a_waiting_thread_gets_the_next_slot(self) -> None:
        """Each slot has one user at a time, and none is lost."""
        slots, used, most = connection_pool._Slots(3), [0], [0]
        lock = threading.Lock()

        def use() -> None:
            for _ in range(50):
                assert slots.acquire(None)
                with lock:
                    used[0] += 1
                    most[0] = max(most[0], used[0])
                time.sleep(0.0005)  # long enough for another thread to begin
                with lock:
                    used[0] -= 1
                slots.release()

        with ThreadPoolExecutor(20) as threads:
            for done in [threads.submit(use) for _ in range(20)]:
                done.result(timeout=30)
        assert 1 < most[0] <= 3
        assert len(slots._free) == 3
        assert not slots._waiting

    def test_the_time_is_over(self) -> None:
        """A thread that got no slot leaves the queue."""
        slots = connection_pool._Slots(1)
        assert slots.acquire(0)
        assert not slots.acquire(0)
        assert not slots.acquire(0.01)
        assert not slots._waiting
        slots.release()
        assert slots.acquire(0.01)

    def test_an_exception_passes_the_slot_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thread that was woken and is interrupted then wakes the next one."""
        slots = connection_pool._Slots(1)
        assert slots.acquire(None)
        next_one = Sleeper()

        def interrupted(*_: object) -> None:
            slots._waiting.append(next_one)
            slots.release()
            raise KeyboardInterrupt

        monkeypatch.setattr(connection_pool.ThreadSleeper, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            slots.acquire(None)
        assert next_one.is_woken

    def test_an_exception_without_a_free_slot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The thread leaves the queue."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        slots = connection_pool._Slots(0)
        monkeypatch.setattr(connection_pool.ThreadSleeper, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            slots.acquire(None)
        assert not slots._waiting

    def test_a_slot_that_becomes_free_before_the_wait(self) -> None:
        """The thread does not sleep."""
        slots = connection_pool._Slots(1)
        assert slots._wait(None)
        assert not slots._waiting

    def test_a_signal_at_any_line(self) -> None:
        """At most one slot is lost; another thread never waits for good."""
        before = sys.gettrace()
        at = 0
        is_over = False
        while not is_over:
            at, lines, slots = at + 1, 0, connection_pool._Slots(2)

            def trace(_: object, event: str, __: object, at: int = at) -> Any:
                nonlocal lines
                lines += event == "line"
                if event == "line" and lines == at:
                    raise KeyError
                return trace

            with suppress(KeyError):
                sys.settrace(trace)
                try:
                    slots.acquire(None)
                    slots.release()
                    is_over = True
                finally:
                    sys.settrace(before)  # that of coverage
            assert slots.acquire(0.01)
        assert at > 4


class Sleeper:
    """Records that it is woken."""

    is_woken = False

    def wake(self) -> None:
        """Record it."""
        self.is_woken = True
