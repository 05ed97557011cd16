"""The connections of a client: a stack of those that are idle, of which the one used last serves next.

httpcore's own pool looks at every connection whenever a request begins or ends: with 50 requests under way it spends
most of a call's time on that, with 500 nearly all of it. These two look at one. They sit inside of httpx's transport,
where httpcore's pool would be, and open connections as that one does; so proxies, TLS settings, time-outs and the names
of errors stay httpx's business. They read each answer whole before they give it, for that is what this package wants.

Loaded with the first client, as httpx itself loads httpcore: importing it takes longer than the rest of this package.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import httpcore

from enprompta._common.clock import monotonic
from enprompta._http.content import aread_parts, raw_limit, read_parts
from enprompta._http.senders.buffered_body import WholeBody
from enprompta._http.senders.deadline import remaining_timeout
from enprompta._http.senders.unread import note_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

ConnectionT = TypeVar("ConnectionT", bound="httpcore.ConnectionInterface | httpcore.AsyncConnectionInterface")

_SWEEP_EVERY = 1.0
"""Seconds between two looks for idle connections that have expired."""
_CLOSED = "closed"
"""What httpx's client says when it is, as a RuntimeError."""


class _Stack(Generic[ConnectionT]):
    """The connections to one origin, in use and idle; each step is one operation that no other thread can divide."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 (a pool of httpcore's, of either kind)
        self._open = inner.create_connection
        self._idle: deque[ConnectionT] = deque()
        self._busy: set[ConnectionT] = set()
        self._closed = False
        self._sweep_at = 0.0

    def take(self, origin: httpcore.Origin) -> tuple[ConnectionT, list[ConnectionT]]:
        """Return a connection to use, and those to close.

        A connection is closed when it was idle for too long, the server has closed it, or bytes arrived on it that
        belong to no answer: the next request would take them for its own.
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
        """Take a connection back; give those to close: this one, when it cannot be used again, and old ones.

        Args:
            connection: The connection.
            is_sound: False if an exception broke off its use; a signal handler's may have kept a lock in it held.
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
        # Asked last: what another thread's `clear` could not see, as it was in our hands, is now where this finds it.
        return [*old, *self._idle_ones()] if self._closed else old

    def _expired(self) -> Iterator[ConnectionT]:
        """Take out idle connections that have expired, the one that has been idle for longest first."""
        for _ in range(len(self._idle)):
            try:
                oldest = self._idle.popleft()
            except IndexError:  # another thread was faster
                return
            if not oldest.has_expired():
                self._idle.appendleft(oldest)
                return
            yield oldest

    def _idle_ones(self) -> Iterator[ConnectionT]:
        """Take out all idle connections; of several threads that do, each gets others."""
        with suppress(IndexError):
            while True:
                yield self._idle.pop()

    def check_open(self) -> None:
        """Refuse a call that found its connection when all were being closed, or waited for one until then.

        Raises:
            RuntimeError: No connection is to be used any more.
        """
        if self._closed:
            raise RuntimeError(_CLOSED)

    def clear(self) -> list[ConnectionT]:
        """Use no connection any more; give all of them, those in use too."""
        self._closed = True
        return [*self._busy.copy(), *self._idle_ones()]


class Pool:
    """Connections that threads share, in place of `inner`, whose way to open them it uses."""

    def __init__(self, inner: httpcore.ConnectionPool, most: int) -> None:
        self._stack: _Stack[httpcore.ConnectionInterface] = _Stack(inner)
        self._slots = Semaphore(most)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request and read its answer to the end."""
        if not self._slots.acquire(timeout=remaining_timeout(None, httpcore.PoolTimeout)):
            raise httpcore.PoolTimeout
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
            response.close()  # and the connection with it, where the body was longer
            is_sound = True
        except httpcore.ConnectionNotAvailable:  # closed since `check_open`; httpcore's own pool would open another
            raise RuntimeError(_CLOSED) from None
        finally:
            _close(self._stack.put_back(connection, is_sound=is_sound))
        response.stream = WholeBody(content)
        return response

    def close(self) -> None:
        """Close every connection, also under a call that waits for its answer."""
        _close(self._stack.clear())


def _close(connections: list[httpcore.ConnectionInterface]) -> None:
    for connection in connections:
        connection.close()


class AsyncPool:
    """Connections that the tasks of one event loop share, in place of `inner`, whose way to open them it uses."""

    def __init__(self, inner: httpcore.AsyncConnectionPool, most: int) -> None:
        self._stack: _Stack[httpcore.AsyncConnectionInterface] = _Stack(inner)
        self._slots = anyio.Semaphore(most)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request and read its answer to the end."""
        try:
            self._slots.acquire_nowait()  # 0.2 µs; `acquire` takes 10, and lets every other task run first
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
        except httpcore.ConnectionNotAvailable:
            raise RuntimeError(_CLOSED) from None
        finally:
            await _aclose(self._stack.put_back(connection, is_sound=is_sound))
        response.stream = WholeBody(content)
        return response

    async def aclose(self) -> None:
        """Close every connection, also under a call that waits for its answer."""
        await _aclose(self._stack.clear())


async def _aclose(connections: list[httpcore.AsyncConnectionInterface]) -> None:
    """Close connections, all of them: a call that is cancelled must not leave any open."""
    if not connections:
        return
    cancelled: BaseException | None = None
    with anyio.CancelScope(shield=True):
        for connection in connections:
            try:
                await connection.aclose()
            except anyio.get_cancelled_exc_class() as error:  # `Task.cancel` of asyncio knows no shields
                cancelled = error  # this one is closed: the wait that was cancelled comes after that
    if cancelled is not None:
        raise cancelled


def pool_for(inner: Any, most: int) -> Pool | AsyncPool:  # noqa: ANN401 (either kind of httpcore's)
    """Make the pool that takes the place of one of httpcore's.

    Args:
        inner: The pool, whose way to open connections is kept.
        most: Connections at once.
    """
    return AsyncPool(inner, most) if isinstance(inner, httpcore.AsyncConnectionPool) else Pool(inner, most)
