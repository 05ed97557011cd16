"""aiohttp's connections, made to match each answer to its request.

aiohttp keeps a connection on which bytes arrived while it was idle, and reads them as the answer to the next request.
It also refuses a complete answer when other bytes follow in the same packet: the call would be sent again.
aiohttp has no public way to change either.
"""

from __future__ import annotations

import select
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from enprompta._http.senders.unread import announces_body

if TYPE_CHECKING:
    import socket

    from aiohttp.connector import Connection

_END_OF_HEAD = b"\r\n\r\n"
_INFORMATIONAL = range(100, 200)


class Protocol(ResponseHandler):
    """A connection that reads the head of an answer apart from what follows it."""

    _last = b""
    """The end of what was received before, where the end of a head may have begun."""
    _in_head = True
    _newest = 0
    """The status of the answer whose head was parsed last."""

    def set_response_params(self, **settings: Any) -> None:  # noqa: ANN401 (aiohttp's, which differ by version)
        """Prepare for the answer to a request."""
        self._in_head, self._last = True, b""
        super().set_response_params(**settings)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401 (a message and its body)
        """Take the head of an answer that was parsed."""
        self._newest = data[0].code
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse what was received: a head first, so that the answer is kept when its parser refuses what follows."""
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
            # aiohttp refused the body and closed the connection, but does not end the wait for the rest of the body.
            self._payload.set_exception(aiohttp.ClientPayloadError("the body is not framed as HTTP/1.1 requires"))

    def is_unread(self) -> bool:
        """True if bytes were received, or can be, that no answer accounts for."""
        sock = self.transport and self.transport.get_extra_info("socket")
        return self.should_close or sock is None or is_readable(sock)


def is_readable(sock: socket.socket) -> bool:
    """True if there are bytes to read from a socket, or its end."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class Connector(aiohttp.TCPConnector):
    """Opens connections, and uses none again on which bytes were left over."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (aiohttp's own)
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType] (aiohttp's is not typed in full)
        self._factory = partial(Protocol, loop=self._loop)

    async def _get(self, key: Any, traces: Any) -> Connection | None:  # noqa: ANN401 (aiohttp's own)
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if not (isinstance(protocol, Protocol) and protocol.is_unread()):
                return connection
            connection.close()
        return None


class Answer(aiohttp.ClientResponse):
    """An answer that ends its connection when a body follows that it must not have."""

    async def start(self, connection: Connection) -> Answer:
        """Read the head."""
        protocol = connection.protocol
        await super().start(connection)
        if protocol is not None and self.status in {204, 304} and announces_body(self.raw_headers):
            protocol.close()
        return self
