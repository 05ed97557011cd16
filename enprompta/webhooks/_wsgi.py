"""The receiver as a WSGI application (PEP 3333)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from enprompta.webhooks._delivery import NOT_A_POST, TOO_LARGE, DeliveryHandler, Reply, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta.webhooks.signature import Headers

_BAD_LENGTH = refused(400, "INVALID_REQUEST", "The Content-Length is not a number")
_CHUNK = 65_536


class StartResponse(Protocol):
    """What a WSGI server gives to begin an answer with."""

    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> object:
        """Send status and headers."""
        ...


class Input(Protocol):
    """What a request's body is read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""
        ...


def serve(
    desk: DeliveryHandler,
    take: Callable[[bytes, Headers], Reply],
    environ: dict[str, Any],
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Answer one WSGI request."""
    body = _read(desk, environ)
    reply = body if isinstance(body, Reply) else take(body, _headers(environ))
    status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    start_response(status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
    return [reply.body]


def _read(desk: DeliveryHandler, environ: dict[str, Any]) -> bytes | Reply:
    """Read the body, and no more of it than is accepted."""
    if environ["REQUEST_METHOD"] != "POST":
        return NOT_A_POST
    told: str = environ.get("CONTENT_LENGTH") or ""
    if told and not (told.isascii() and told.isdigit()):
        return _BAD_LENGTH
    if told:
        length = int(told[:20])
        if length > desk.max_body:
            return TOO_LARGE
    else:
        # Without a length, reading may block for ever, unless the server marks the end of a chunked body. One byte more
        # than is accepted is enough to be refused.
        length = desk.max_body + 1 if environ.get("wsgi.input_terminated") else 0
    return _take(environ["wsgi.input"], length)


def _take(source: Input, length: int) -> bytes:
    """Read so many bytes, or to the end if that comes first."""
    body = bytearray()
    while len(body) < length:
        chunk = source.read(min(_CHUNK, length - len(body)))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    """Restore the names of the headers, which CGI writes as `HTTP_X_NAME`."""
    return {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
