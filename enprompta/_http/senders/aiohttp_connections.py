"""Connections of aiohttp that match each response to its request.

aiohttp reuses a connection that received bytes while it was idle, and reads them as the response to the next request.
It also rejects a complete response when more bytes follow in the same packet, so the call would be retried.
aiohttp has no public API to change either.
"""

from __future__ import annotations

import select
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from enprompta._common.handler_errors import handler_error

if TYPE_CHECKING:
    import socket
    from asyncio import TimerHandle

_END_OF_HEAD = b"\r\n\r\n"
_INFORMATIONAL = range(100, 200)
_SMALL = 65_536
"""Bytes of a body that is written with the head; a larger one is not copied."""


class Protocol(ResponseHandler):
    """A connection that parses the head of a response separately from the bytes that follow."""

    _last = b""
    """End of the bytes received so far, which may be the start of the end of a head."""
    _in_head = True
    _newest = 0
    """Status of the response whose head was parsed last."""
    _silent_at: float | None = None
    """When the timeout of the response ends, in the time of the event loop; None if no response is expected."""
    _timer: TimerHandle | None = None

    def write(self, head: bytes, body: bytes) -> None:
        """Write a request, and start the timeout of its response."""
        transport: Any = self.transport
        if transport is None:  # closed since the connection was chosen
            raise aiohttp.ServerDisconnectedError
        self.start_timeout()
        transport.write(head + body if len(body) < _SMALL else head)
        if len(body) >= _SMALL:
            transport.write(body)

    @property
    def is_writing(self) -> bool:
        """True while bytes of a request wait to be sent."""
        return self.transport is None or self.transport.get_write_buffer_size() > 0

    def close(self) -> None:
        """Close the connection, at once if a request is still being sent: the server may never read it."""
        if self.transport is not None and self.is_writing:
            self.transport.abort()
        super().close()
        self._set_timer(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response on this connection."""
        super().connection_lost(exc)
        self._set_timer(None)

    def pause_writing(self) -> None:
        """Stop the timeout of the response, because a large request is not sent yet."""
        super().pause_writing()
        self._drop_timeout()

    # One timer for a connection, which is set again when it fires, instead of three for a request.

    def _reschedule_timeout(self) -> None:
        self._silent_at = silent_at = self._loop.time() + self._read_timeout if self._read_timeout else None
        if silent_at is not None and (self._timer is None or silent_at < self._timer.when()):
            self._set_timer(silent_at)

    def _drop_timeout(self) -> None:
        self._silent_at = None

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, self._check_timeout)

    def _check_timeout(self) -> None:
        self._timer = None
        if self._silent_at is None:
            return
        if self._loop.time() < self._silent_at:
            self._set_timer(self._silent_at)
        else:
            self._on_read_timeout()

    def resume_writing(self) -> None:
        """Start it again: the last bytes are with the system."""
        super().resume_writing()
        self.start_timeout()

    def set_response_params(self, **settings: Any) -> None:  # noqa: ANN401 (they differ between versions of aiohttp)
        """Prepare for the response to a request."""
        self._in_head, self._last = True, b""
        super().set_response_params(**settings)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401 (a message and its body)
        """Receive a parsed head."""
        self._newest = data[0].code
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; pass the exception of a signal handler to the request, because asyncio ignores it."""
        waiting = self._waiter, getattr(self._payload, "_waiter", None)
        try:
            self._parse(data)
        except Exception as error:
            if (raised := handler_error(error)) is None:
                raise
            self.fail(raised)
            for waiter in waiting:  # aiohttp forgets one before it wakes it
                if waiter is not None and not waiter.done():
                    waiter.set_exception(raised)

    def fail(self, raised: BaseException) -> None:
        """End the request on this connection with an exception of the caller."""
        if self._payload is not None:
            self._payload.set_exception(raised)
        self.set_exception(raised)
        self.close()

    def _parse(self, data: bytes) -> None:
        """Parse received bytes, the head first, so that the response survives if the parser rejects what follows."""
        while self._in_head and data:
            seen = self._last + data
            end = seen.find(_END_OF_HEAD)
            if end < 0:
                self._last = seen[1 - len(_END_OF_HEAD) :]
                break
            head = end + len(_END_OF_HEAD) - len(self._last)
            self._last = b""
            super().data_received(data[:head])
            data = data[head:]
            self._in_head = self._newest in _INFORMATIONAL
        if data:
            super().data_received(data)
        if self._exception is not None and self._payload is not None and not self._payload.is_eof():
            # aiohttp rejected the body and closed the connection, but would wait for the rest of the body.
            self._payload.set_exception(aiohttp.ClientPayloadError("the body is not framed as HTTP/1.1 requires"))

    def is_connected(self) -> bool:
        """True if the connection can be reused; aiohttp asks before each reuse.

        It cannot if bytes were received, or can be read, that belong to no response.
        """
        sock = self.transport and self.transport.get_extra_info("socket")
        return super().is_connected() and not (self.should_close or sock is None or is_readable(sock))


def is_readable(sock: socket.socket) -> bool:
    """True if a socket has bytes to read or was closed by the peer."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class Connector(aiohttp.TCPConnector):
    """Opens connections whose protocol is `Protocol`, so that none with unread bytes is reused."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (aiohttp's signature)
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType] (aiohttp does not type it completely)
        self._factory = partial(Protocol, loop=self._loop)
