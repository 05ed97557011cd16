"""Detect unread bytes on an idle connection, so that it is closed instead of reused.

HTTP/1.1 matches responses to requests only by their order, so bytes after a complete response would be read as the
response to the next request. httpcore closes an idle connection if its socket is readable, but does not notice bytes
that its parser or TLS has already read. Streams that report these bytes as readable make it close the connection.
"""

from __future__ import annotations

import ssl
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType


CorePart: TypeAlias = Any
"""A pool, connection, stream, request or response of httpcore or httpcore2, whose private attributes are used."""
_WITHOUT_BODY = (204, 304)
USED = "enprompta_connections"
"""Request extension: a list to which `note_answers` adds the connections that the request used."""


class Unread:
    """The received bytes of a connection that belong to no response.

    Args:
        stream: The stream of the connection.
    """

    __slots__ = ("_stream", "_tls", "is_spoilt", "parser")

    def __init__(self, stream: CorePart) -> None:
        self._stream = stream
        self._tls: CorePart = stream.get_extra_info("ssl_object")  # asked once: anyio collects all that it knows
        self.parser: Any = None
        """State of h11; None before the first response, and for HTTP/2, which numbers its responses."""
        self.is_spoilt = False
        """True if the server announced a body that no parser reads."""

    def found(self) -> bool:
        """True if bytes were read from the socket but not used."""
        if self.is_spoilt or (self.parser is not None and self.parser.trailing_data != (b"", False)):
            return True
        return (self._tls is not None and _has_decrypted(self._tls)) or _has_queued(self._stream)


def _has_decrypted(tls: CorePart) -> bool:
    if not isinstance(tls, ssl.SSLObject):
        return tls.pending() > 0
    try:
        tls.read(1)  # reads from memory; records without data, such as session tickets, are consumed
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True  # an unexpected byte, or the end of the stream


def _has_queued(stream: CorePart) -> bool:
    """True if asyncio has read more than was requested."""
    return bool(getattr(protocol_of(stream), "read_queue", None))


def protocol_of(stream: CorePart) -> Any:  # noqa: ANN401 (private)
    """Return the asyncio protocol of a stream, for which anyio has no public API; None on trio."""
    inner = getattr(stream, "_stream", None)
    inner = getattr(inner, "transport_stream", inner)
    return getattr(inner, "_protocol", None)


def core_of(pool: CorePart) -> ModuleType:
    """Return the library of a pool: httpcore, or httpcore2, which httpx2 uses and which has the same API."""
    return import_module(type(pool).__module__.partition(".")[0])


def note_answer(response: CorePart) -> None:
    """Pass the parser of a response to its stream, and whether the response makes the connection unusable."""
    unread = getattr(response.extensions.get("network_stream"), "unread", None)
    if unread is None:  # a custom backend, or an upgraded connection, which is not reused
        return
    if unread.parser is None:
        unread.parser = getattr(getattr(response.stream, "_connection", None), "_h11_state", None)
    if response.status in _WITHOUT_BODY and announces_body(response.headers):
        unread.is_spoilt = True


def announces_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True if the headers of a 204 or 304 announce a body, as some servers do (RFC 9110, 15.3.5)."""
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in ((name.lower(), value) for name, value in headers)
    )


def note_answers(pool: CorePart) -> None:
    """Prepare a pool: `note_answer` gets each response, requests know their connections, and its lock is released."""
    if "create_connection" in vars(pool):  # already patched: two clients share the `http_client`
        return
    create = pool.create_connection

    def create_noting(origin: CorePart) -> CorePart:
        connection = create(origin)
        if hasattr(connection, "handle_async_request"):
            connection.handle_async_request = _anoting(connection)
        else:
            connection.handle_request = _noting(connection)
        return connection

    pool.create_connection = create_noting
    if not hasattr(pool, "handle_async_request"):
        # A signal handler can interrupt httpcore's lock after it is acquired, and then it stays held.
        pool._optional_thread_lock = threading.Lock()  # noqa: SLF001 (no public API)


def _note_request(request: CorePart, connection: CorePart) -> None:
    request.extensions.get(USED, []).append(connection)


def _hide_reason(request: CorePart, response: CorePart) -> None:
    """Remove the reason phrase from a response to this package: httpx logs it, and a server may echo the key there."""
    if USED in request.extensions:
        response.extensions.pop("reason_phrase", None)


def _noting(connection: CorePart) -> Callable[[Any], Any]:
    handle = connection.handle_request

    def handle_request(request: CorePart) -> CorePart:
        _note_request(request, connection)
        response = handle(request)
        note_answer(response)
        _hide_reason(request, response)
        return response

    return handle_request


def _anoting(connection: CorePart) -> Callable[[Any], Any]:
    handle = connection.handle_async_request

    async def handle_async_request(request: CorePart) -> CorePart:
        _note_request(request, connection)
        response = await handle(request)
        note_answer(response)
        _hide_reason(request, response)
        return response

    return handle_async_request
