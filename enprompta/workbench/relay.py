"""A relay on loopback to the live service, which logs what programs send and receive.

It forwards to one host alone, over HTTPS, with the caller's own credentials, which it neither keeps nor logs. Redirects
are passed on and not followed. Bodies are streamed; the log keeps their start.
"""

from __future__ import annotations

import time
import zlib
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from enprompta.errors import ConfigurationError
from enprompta.exchanges import CALL_HEADER, LOGGED_BODY_BYTES, Exchange, call_of
from enprompta.workbench.security import RELAY_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from enprompta.exchanges import ExchangeLog

_TIMEOUT = httpx.Timeout(300.0, connect=10.0)  # callers have their own, which are shorter
# Headers of one connection (RFC 9110, section 7.6.1), and those that the relay sets itself.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host".split()
)
_NOT_SENT = _HOP_BY_HOP | {b"accept-encoding", CALL_HEADER.encode(), b"expect"}


class Relay:
    """ASGI application that forwards requests to the service and logs them.

    Raises:
        ConfigurationError: The base URL is not an HTTPS URL.
    """

    def __init__(self, base_url: str, log: ExchangeLog) -> None:
        self._service = httpx.URL(base_url)
        if self._service.scheme != "https" or not self._service.host:
            raise ConfigurationError(f"The relay forwards over HTTPS only, and {base_url} is not an https:// URL")
        self._log = log
        self._root = self._service.path.rstrip("/").rpartition("/")[0].encode() + b"/"  # the API root, /api/
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))  # callers do not share cookies

    async def aclose(self) -> None:
        """Close the connections to the service."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request, and log it with the response."""
        path: bytes = scope["raw_path"].partition(b"?")[0].removeprefix(RELAY_PATH.encode())
        at, began, seen = time.time(), time.monotonic(), _Seen()

        def log() -> None:
            self._log.add(_logged(scope, path, seen, at, round((time.monotonic() - began) * 1000, 1)))

        seen.on_end = log
        try:
            self._check(path)
            await self._forward(path, Request(scope, receive), send, seen)
        except ClientDisconnect:
            seen.failure = "The program disconnected"
        except (httpx.HTTPError, httpx.InvalidURL, ConfigurationError) as error:
            seen.failure = str(error) or type(error).__name__
            if seen.status is not None:  # the response cannot be completed: the connection closes without its end
                raise ConnectionError(seen.failure) from None
            seen.status = 400 if isinstance(error, ConfigurationError) else 502
            message = f"The relay could not forward the request: {seen.failure}"
            content = {"error": {"code": "RELAY_ERROR", "message": message}}
            seen.end()
            await JSONResponse(content, seen.status)(scope, receive, send)
        finally:
            seen.end()

    async def _forward(self, path: bytes, incoming: Request, send: Send, seen: _Seen) -> None:
        scope = incoming.scope
        query: bytes = scope["query_string"]
        outgoing = [header for header in scope["headers"] if header[0] not in _NOT_SENT]
        request = self._client.build_request(
            scope["method"],
            self._service.copy_with(raw_path=path + (b"?" + query if query else b"")),
            # The log shows plain text, so the service is asked for uncompressed bodies.
            headers=[*outgoing, (b"accept-encoding", b"identity")],
            content=_streamed(incoming, seen.request) if _has_body(scope) else None,
        )
        response = await self._client.send(request, stream=True)
        try:
            seen.status, seen.headers = response.status_code, tuple(response.headers.multi_items())
            kept = [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP_BY_HOP]
            length = response.headers.get("content-length", "")
            if length == "0" or incoming.method == "HEAD":
                seen.end()
            await send({"type": "http.response.start", "status": seen.status, "headers": kept})
            async for part in response.aiter_raw():
                seen.response.add(part)
                if str(seen.response.size) == length:
                    seen.end()
                await send({"type": "http.response.body", "body": part, "more_body": True})
            seen.end()
            await send({"type": "http.response.body", "body": b""})
        finally:
            await response.aclose()

    def _check(self, path: bytes) -> None:
        """Raise an error for a path that is not one of the API's."""
        parts = [unquote_to_bytes(part) for part in path.split(b"/")]
        if not path.startswith(self._root) or b".." in parts or b"\\" in path:
            raise ConfigurationError(f"the relay forwards only paths below {self._root.decode('ascii')}")


class _Kept:
    """The start of a body, as much as the log keeps, and the size of the whole body."""

    def __init__(self) -> None:
        self.start = bytearray()
        self.size = 0

    def add(self, part: bytes) -> None:
        """Count a part, and keep it if there is room."""
        self.size += len(part)
        self.start += part[: max(0, LOGGED_BODY_BYTES - len(self.start))]


class _Seen:
    """A forwarded exchange, as far as it has come."""

    def __init__(self) -> None:
        self.request = _Kept()
        self.status: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.response = _Kept()
        self.failure: str | None = None
        self.on_end: Callable[[], None] | None = None
        """Called once, before the end of the response is sent: a program that has it finds it in the log."""

    def end(self) -> None:
        """Call `on_end`, if that has not happened yet."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()


def _logged(scope: Scope, path: bytes, seen: _Seen, at: float, ms: float) -> Exchange:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    call, attempt = call_of(headers)
    return Exchange(
        id=0,
        at=at,
        method=scope["method"],
        path=path.decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        status=seen.status,
        ms=ms,
        error=seen.failure,
        source="relay",
        call=call,
        attempt=attempt,
        request_headers=headers,
        request_body=bytes(seen.request.start),
        request_size=seen.request.size,
        response_headers=seen.headers,
        response_body=_decoded(bytes(seen.response.start), seen.headers),
        response_size=seen.response.size,
    )


async def _streamed(request: Request, kept: _Kept) -> AsyncIterator[bytes]:
    async for part in request.stream():
        kept.add(part)
        yield part


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _decoded(body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return the start of a body as text, if the service has compressed it although it was not asked to."""
    coding = next((value.strip().lower() for name, value in headers if name.lower() == "content-encoding"), "")
    if coding not in {"gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, LOGGED_BODY_BYTES)
    except zlib.error:
        return body
