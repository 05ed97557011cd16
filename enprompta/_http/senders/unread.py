"""Keep a connection from being used again when bytes are left over from the exchange before.

HTTP/1.1 matches answers to requests by their order alone. Whatever arrives after a complete answer would be read as the
answer to the next request. httpcore asks a connection that is idle whether its socket is readable, and closes it then;
it does not see what was read already, by its parser or by TLS. A stream that reports these bytes as readable too lets
httpcore, and each pool built on it, close the connection before it is used again.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WITHOUT_BODY = (204, 304)


class Unread:
    """The bytes of a connection that were received and that no answer accounts for."""

    __slots__ = ("is_spoilt", "parser")

    def __init__(self) -> None:
        self.parser: Any = None
        """h11's state of the connection; None before the first answer and for HTTP/2, which numbers its answers."""
        self.is_spoilt = False
        """True if the server announced bytes that no parser reads."""

    def found(self, stream: Any) -> bool:  # noqa: ANN401 (httpcore's, or that of httpcore2)
        """True if bytes were left over above the socket.

        Args:
            stream: The library's stream of the connection.
        """
        if self.is_spoilt or (self.parser is not None and self.parser.trailing_data != (b"", False)):
            return True
        tls = stream.get_extra_info("ssl_object")
        return (tls is not None and _has_decrypted(tls)) or _has_queued(stream)


def _has_decrypted(tls: Any) -> bool:  # noqa: ANN401 (an SSLObject, or what an SSLSocket has below)
    if not isinstance(tls, ssl.SSLObject):
        return tls.pending() > 0
    try:
        tls.read(1)  # from memory; records that carry no data, such as session tickets, are consumed
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True  # a byte that belongs to nothing, or the end


def _has_queued(stream: Any) -> bool:  # noqa: ANN401
    """True if asyncio read more from the socket than was asked for; anyio has no public name for that."""
    inner = getattr(stream, "_stream", None)
    inner = getattr(inner, "transport_stream", inner)
    return bool(getattr(getattr(inner, "_protocol", None), "read_queue", None))


def note_answer(response: Any) -> None:  # noqa: ANN401 (httpcore's, or that of httpcore2)
    """Let the stream of an answer know the parser that reads it, and whether the answer spoils the connection."""
    unread = getattr(response.extensions.get("network_stream"), "unread", None)
    if unread is None:  # the caller's own backend, or the connection was upgraded and is not used again
        return
    if unread.parser is None:
        unread.parser = getattr(getattr(response.stream, "_connection", None), "_h11_state", None)
    if response.status in _WITHOUT_BODY and announces_body(response.headers):
        unread.is_spoilt = True


def announces_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True if an answer that has no body, a 204 or 304, announces one, as some servers do (RFC 9110, 15.3.5)."""
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in ((name.lower(), value) for name, value in headers)
    )


def note_answers(pool: Any) -> None:  # noqa: ANN401 (httpcore's, or that of httpcore2)
    """Make the connections that a pool opens note each of their answers."""
    if "create_connection" in vars(pool):  # two of our clients share the caller's
        return
    create = pool.create_connection

    def create_noting(origin: Any) -> Any:  # noqa: ANN401
        connection = create(origin)
        if hasattr(connection, "handle_async_request"):
            connection.handle_async_request = _anoting(connection.handle_async_request)
        else:
            connection.handle_request = _noting(connection.handle_request)
        return connection

    pool.create_connection = create_noting


def _noting(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def handle_request(request: Any) -> Any:  # noqa: ANN401
        response = handle(request)
        note_answer(response)
        return response

    return handle_request


def _anoting(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def handle_async_request(request: Any) -> Any:  # noqa: ANN401
        response = await handle(request)
        note_answer(response)
        return response

    return handle_async_request
