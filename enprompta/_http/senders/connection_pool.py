"""Connection pools that reuse the most recently used idle connection.

httpcore's pool checks every connection whenever a request begins or ends, which dominates the time of a call with 50 or
more requests in flight. These pools check one. They replace httpcore's pool in httpx's transport and open connections
with it, so httpx still handles proxies, TLS settings, timeouts and errors. They read each response completely.

Imported with the first client, because importing httpcore is slow.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from itertools import repeat
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from enprompta._common.clock import monotonic
from enprompta._http.direct import WholeBody
from enprompta._http.senders.base import MAX_CONNECTIONS, remaining_timeout
from enprompta._http.senders.content import aread_parts, raw_limit, read_parts
from enprompta._http.senders.unread import core_of, note_answer
from enprompta.limiters.sleepers import ThreadSleeper

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpcore

    from enprompta._http.senders.unread import CorePart

ConnectionT = TypeVar("ConnectionT", bound="httpcore.ConnectionInterface | httpcore.AsyncConnectionInterface")

_SWEEP_EVERY = 1.0
"""Seconds between checks for expired idle connections."""
_CLOSED = "closed"
"""Message of the RuntimeError that a closed httpx client raises."""


class _Stack(Generic[ConnectionT]):
    """The busy and idle connections to one origin; every step is an atomic operation, so no lock is needed."""

    def __init__(self, inner: CorePart) -> None:
        self._open = inner.create_connection
        self._idle: deque[ConnectionT] = deque()
        self._busy: set[ConnectionT] = set()
        self._closed = False
        self._sweep_at = 0.0

    def take(self, origin: httpcore.Origin) -> tuple[ConnectionT, list[ConnectionT]]:
        """Return a connection to use, and the expired ones to close.

        A connection has expired when it was idle for too long, the server closed it, or it received bytes that belong
        to no response, which would be read as the response to the next request.
        """
        expired: list[ConnectionT] = []
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._open(origin)
                break
            if not connection.has_expired():
                break
            expired.append(connection)
        self._busy.add(connection)
        return connection, expired

    def put_back(self, connection: ConnectionT, *, is_sound: bool) -> list[ConnectionT]:
        """Return a connection to the stack; return those to close: this one if it cannot be reused, and expired ones.

        Args:
            connection: The connection.
            is_sound: False if an exception interrupted its use, which may have left one of its locks held.
        """
        self._busy.discard(connection)
        if not (is_sound and connection.is_available()):
            return [connection]
        self._idle.append(connection)
        now = monotonic()
        old: list[ConnectionT] = []
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_EVERY
            old.extend(self._expired())
        # Checked last: `clear` in another thread did not see this connection while it was checked out.
        return [*old, *self._idle_ones()] if self._closed else old

    def _expired(self) -> Iterator[ConnectionT]:
        """Remove expired idle connections, longest idle first."""
        for _ in range(len(self._idle)):
            try:
                oldest = self._idle.popleft()
            except IndexError:  # another thread removed the last one
                return
            if not oldest.has_expired():
                self._idle.appendleft(oldest)
                return
            yield oldest

    def _idle_ones(self) -> Iterator[ConnectionT]:
        """Remove all idle connections; each goes to one thread only."""
        with suppress(IndexError):
            while True:
                yield self._idle.pop()

    def check_open(self) -> None:
        """Reject a call that got its connection while the pool was being closed.

        Raises:
            RuntimeError: The pool is closed.
        """
        if self._closed:
            raise RuntimeError(_CLOSED)

    def clear(self) -> list[ConnectionT]:
        """Close the stack; return all connections, including those in use."""
        self._closed = True
        return [*self._busy.copy(), *self._idle_ones()]


class _Slots:
    """Counts the connections that may still be used.

    A semaphore of `threading` keeps its lock if a signal handler raises while it is released, and without its patches
    for `threading`, gevent stops all greenlets while one waits for it. Every step here is an atomic operation.
    """

    def __init__(self, most: int) -> None:
        self._free = deque[None](repeat(None, most))
        self._waiting = deque[ThreadSleeper]()

    def acquire(self, timeout: float | None) -> bool:
        """Take a slot; return False if none is free within a number of seconds, None for no limit."""
        ends = None if timeout is None else monotonic() + timeout
        while True:
            try:
                self._free.pop()
            except IndexError:
                if not self._wait(ends):
                    return False
            else:
                return True

    def _wait(self, ends: float | None) -> bool:
        """Wait until a slot may be free; return False if the time is over."""
        left = inf if ends is None else ends - monotonic()
        if left <= 0:
            return False
        sleeper = ThreadSleeper()
        self._waiting.append(sleeper)
        try:
            if not self._free:  # one may have become free before `append`
                sleeper.sleep(left)
        except BaseException:
            self._wake_next()  # this call may have been woken for a slot that it does not take
            raise
        finally:
            with suppress(ValueError):  # it was woken
                self._waiting.remove(sleeper)
        return True

    def release(self) -> None:
        """Return a slot."""
        self._free.append(None)
        if self._waiting:
            self._wake_next()

    def _wake_next(self) -> None:
        if self._free:
            with suppress(IndexError):  # no other waits
                self._waiting.popleft().wake()


class Pool:
    """A pool for threads, which opens connections with the pool `inner` that it replaces."""

    def __init__(self, inner: httpcore.ConnectionPool, most: int) -> None:
        self._core = core_of(inner)
        self._stack: _Stack[httpcore.ConnectionInterface] = _Stack(inner)
        self._slots = _Slots(most)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request and read its complete response."""
        if not self._slots.acquire(remaining_timeout(None, self._core.PoolTimeout)):
            raise self._core.PoolTimeout
        try:
            return self._exchange(request)
        finally:
            self._slots.release()

    def _exchange(self, request: httpcore.Request) -> httpcore.Response:
        is_sound = False
        connection, expired = self._stack.take(request.url.origin)
        try:
            _close(expired)
            self._stack.check_open()
            response = connection.handle_request(request)
            note_answer(response)
            content = read_parts(response.iter_stream(), raw_limit(request, response.status))
            response.close()  # also closes the connection if the body was longer
            is_sound = True
        except self._core.ConnectionNotAvailable:  # closed since `check_open`
            raise RuntimeError(_CLOSED) from None
        finally:
            _close(self._stack.put_back(connection, is_sound=is_sound))
        response.stream = WholeBody(content)
        return response

    def close(self) -> None:
        """Close all connections, including those of calls in flight."""
        _close(self._stack.clear())


def _close(connections: list[httpcore.ConnectionInterface]) -> None:
    for connection in connections:
        connection.close()


class AsyncPool:
    """A pool for the tasks of one event loop, which opens connections with the pool `inner` that it replaces."""

    def __init__(self, inner: httpcore.AsyncConnectionPool, most: int) -> None:
        self._core = core_of(inner)
        self._stack: _Stack[httpcore.AsyncConnectionInterface] = _Stack(inner)
        self._slots = anyio.Semaphore(most)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request and read its complete response."""
        try:
            self._slots.acquire_nowait()  # `acquire` is slower and lets all other tasks run first
        except anyio.WouldBlock:
            await self._slots.acquire()
        try:
            return await self._exchange(request)
        finally:
            self._slots.release()

    async def _exchange(self, request: httpcore.Request) -> httpcore.Response:
        is_sound = False
        connection, expired = self._stack.take(request.url.origin)
        try:
            await _aclose(expired)
            self._stack.check_open()
            response = await connection.handle_async_request(request)
            note_answer(response)
            content = await aread_parts(response.aiter_stream(), raw_limit(request, response.status))
            await response.aclose()
            is_sound = True
        except self._core.ConnectionNotAvailable:
            raise RuntimeError(_CLOSED) from None
        finally:
            await _aclose(self._stack.put_back(connection, is_sound=is_sound))
        response.stream = WholeBody(content)
        return response

    async def aclose(self) -> None:
        """Close all connections, including those of calls in flight."""
        await _aclose(self._stack.clear())


async def _aclose(connections: list[httpcore.AsyncConnectionInterface]) -> None:
    """Close all connections, even if the task is canceled meanwhile."""
    if not connections:
        return
    cancelled: BaseException | None = None
    with anyio.CancelScope(shield=True):
        for connection in connections:
            try:
                await connection.aclose()
            except anyio.get_cancelled_exc_class() as error:  # asyncio's `Task.cancel` ignores shields
                cancelled = error  # the connection is closed: the canceled wait comes after that
    if cancelled is not None:
        raise cancelled


def pool_for(inner: CorePart) -> Pool | AsyncPool:
    """Return the pool that replaces one of httpcore.

    Args:
        inner: The pool of httpcore or httpcore2, which still opens the connections.
    """
    return (AsyncPool if hasattr(inner, "handle_async_request") else Pool)(inner, MAX_CONNECTIONS)
