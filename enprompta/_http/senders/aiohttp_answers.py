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
from enprompta._http.senders.unread import announces_body

if TYPE_CHECKING:
    import asyncio
    import socket

    from aiohttp.connector import Connection

_END_OF_HEAD = b"\r\n\r\n"
_INFORMATIONAL = range(100, 200)


class Protocol(ResponseHandler):
    """A connection that parses the head of a response separately from the bytes that follow."""

    _last = b""
    """End of the bytes received so far, which may be the start of the end of a head."""
    _in_head = True
    _newest = 0
    """Status of the response whose head was parsed last."""

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


class Request(aiohttp.ClientRequest):
    """A request that ends with the exception of a signal handler; aiohttp writes in a task that no caller awaits."""

    async def write_bytes(self, writer: Any, conn: Connection, *rest: Any, **named: Any) -> None:  # noqa: ANN401
        """Write the body."""
        protocol = None
        try:
            protocol = conn.protocol  # gone once the connection is closed
            await super().write_bytes(writer, conn, *rest, **named)
        except Exception as error:
            protocol = conn.protocol if protocol is None else protocol  # its length is 0, so it counts as false
            if (raised := handler_error(error)) is None or not isinstance(protocol, Protocol):
                raise
            protocol.fail(raised)


def _end_with(protocol: Protocol, writer: asyncio.Task[None]) -> None:
    """End a response with the exception that a signal handler raised while its request was written."""
    error = None if writer.cancelled() else writer.exception()
    if error is not None and (raised := handler_error(error)) is not None:
        protocol.fail(raised)


class Answer(aiohttp.ClientResponse):
    """A response that closes its connection if it has a body that HTTP forbids."""

    async def start(self, connection: Connection) -> Answer:
        """Read the head."""
        protocol = connection.protocol
        # `Request` cannot catch what is raised before its first line; no caller awaits the task that runs it.
        writer: asyncio.Task[None] | None = getattr(self, "_writer", None)
        if writer is not None and isinstance(protocol, Protocol):
            writer.add_done_callback(partial(_end_with, protocol))
        await super().start(connection)
        if protocol is not None and self.status in {204, 304} and announces_body(self.raw_headers):
            protocol.close()
        return self
