"""The receiver as a WSGI application (PEP 3333)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from enprompta.webhooks._delivery import NOT_A_POST, TOO_LARGE, DeliveryHandler, Reply, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta.webhooks.signature import Headers

Environ: TypeAlias = dict[str, Any]  # as PEP 3333 has it
_BAD_LENGTH = refused(400, "INVALID_REQUEST", "The Content-Length is not a number")
_CHUNK = 65_536


class StartResponse(Protocol):
    """The callable with which a WSGI application starts its response."""

    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> object:
        """Send the status and the headers."""
        ...


class Input(Protocol):
    """The stream that holds the request body."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; empty at the end of the stream."""
        ...


def serve(
    deliveries: DeliveryHandler,
    take: Callable[[bytes, Headers], Reply],
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Answer one WSGI request."""
    body = _read(deliveries, environ)
    reply = body if isinstance(body, Reply) else take(body, _headers(environ))
    status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    start_response(status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
    return [reply.body]


def _read(deliveries: DeliveryHandler, environ: Environ) -> bytes | Reply:
    """Read the body, up to the maximum size."""
    if environ["REQUEST_METHOD"] != "POST":
        return NOT_A_POST
    content_length: str = environ.get("CONTENT_LENGTH") or ""
    if content_length and not (content_length.isascii() and content_length.isdigit()):
        return _BAD_LENGTH
    if content_length:
        length = int(content_length[:20])
        if length > deliveries.max_body:
            return TOO_LARGE
    else:
        # Without a length, a read may block forever unless the server ends the stream after a chunked body. Reading one
        # byte more than the maximum is enough to reject the delivery.
        length = deliveries.max_body + 1 if environ.get("wsgi.input_terminated") else 0
    return _take(environ["wsgi.input"], length)


def _take(source: Input, length: int) -> bytes:
    """Read `length` bytes, or fewer if the stream ends first."""
    body = bytearray()
    while len(body) < length:
        chunk = source.read(min(_CHUNK, length - len(body)))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _headers(environ: Environ) -> dict[str, str]:
    """Restore header names from the CGI form `HTTP_X_NAME`."""
    return {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
