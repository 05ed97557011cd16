"""Senders on httpx: the default for both clients, and those for the caller's own client of httpx or httpx2.

TransportSender, AsyncTransportSender    httpx's transport, or that of `direct` until httpx is imported, on the pool of
`connection_pool`. `httpx.Client` is left out: its cookies, redirects and
credentials would have to be disabled. A client has one base URL, so one
pool, with the proxy that the environment names for it
ClientSender, AsyncClientSender          the caller's client, with its settings and its own pool
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from enprompta._common.greenlets import load
from enprompta._common.handler_errors import handler_error
from enprompta._core.steps import Answer
from enprompta._http.senders.base import (
    KEEP_ALIVE_SECONDS,
    MAX_CONNECTIONS,
    afinish,
    errors_of,
    finish,
    library_named,
    library_of,
    own_errors,
)
from enprompta._http.senders.content import aread_parts, decompressed, raw_limit, read_parts
from enprompta._http.senders.patch_client import patch_client, patch_client_transport
from enprompta._http.senders.unread import USED

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping
    from types import ModuleType

    import httpx

    from enprompta._http.route import Route

LIMITS = {
    "max_connections": MAX_CONNECTIONS,
    "max_keepalive_connections": MAX_CONNECTIONS,
    "keepalive_expiry": KEEP_ALIVE_SECONDS,
}


class SocksStreams:
    """Tracks connections to a SOCKS proxy during setup, which httpcore neither bounds nor closes if it fails.

    Args:
        request: The request; its timeout for connecting bounds each answer of the proxy.
    """

    def __init__(self, request: httpx.Request) -> None:
        self.streams: list[Any] = []
        self._seconds: float | None = request.extensions["timeout"]["connect"]

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Record a trace event of httpcore."""
        if event == "socks.connect_tcp.complete":
            stream = info["return_value"]
            stream.setup_timeout = self._seconds
            self.streams.append(stream)
        elif event == "socks.setup_socks5_connection.complete":
            for stream in self.streams:
                stream.setup_timeout = None
            self.streams.clear()

    async def atrace(self, event: str, info: Mapping[str, Any]) -> None:
        """Record a trace event of httpcore's async classes."""
        self.trace(event, info)


class TransportSender:
    """Sends requests through transports of their library on one pool, which it opens with the first request.

    Args:
        route: The certificates and the proxy to use.
        kind: `"httpx2"`, or None for httpx or `direct`, as each request says.
    """

    def __init__(self, route: Route, kind: object = None) -> None:
        self._kind = kind
        self._route = route
        self._transports: dict[type[object], httpx.HTTPTransport] = {}
        self._pools: dict[str, object] = {}
        self._is_socks = route.proxy is not None and route.proxy.is_socks
        self.is_closed = False

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Exceptions that `send` may raise."""
        return own_errors(self._kind)

    def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        if self.is_closed:
            raise RuntimeError("closed")  # as httpx's client does
        if self._is_socks:
            return self._send_by_socks(request)
        return self._send(request)

    def _open(self, library: ModuleType) -> httpx.HTTPTransport:
        """Open the transport for the requests of a library."""
        # Not in the constructor: importing httpcore takes 10 ms, in which a thread loads the certificates.
        load("httpcore2" if self._kind == "httpx2" else "httpcore")
        transport: httpx.HTTPTransport = library.HTTPTransport(
            verify=self._route.tls, limits=library.Limits(**LIMITS), proxy=_proxy(self._route, library)
        )
        patch_client_transport(transport, self._pools)
        self._transports[library.Request] = transport
        if self.is_closed:  # meanwhile
            transport.close()
            raise RuntimeError("closed")
        return transport

    def _send_by_socks(self, request: httpx.Request) -> Answer:
        opened = SocksStreams(request)
        request.extensions = {**request.extensions, "trace": opened.trace}
        try:
            return self._send(request)
        except BaseException:
            for stream in opened.streams:
                stream.close()
            raise

    def _send(self, request: httpx.Request) -> Answer:
        library = library_of(request)
        response = (self._transports.get(library.Request) or self._open(library)).handle_request(request)
        raw = b"".join(cast("Iterable[bytes]", response.stream))  # one part, read by the pool within the limit
        return finish(decompressed(raw, response, request, library.DecodingError), library.ReadTimeout)

    def close(self) -> None:
        """Close all connections, including those of calls in flight."""
        self.is_closed = True
        for transport in list(self._transports.values()):
            transport.close()


class ClientSender:
    """Sends requests through an `httpx.Client` or `httpx2.Client`."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._library = library_of(client)
        self.errors = errors_of(self._library)
        self.close = client.close
        patch_client(client)

    @property
    def is_closed(self) -> bool:
        """True if the caller's client is closed."""
        return bool(self._client.is_closed)

    def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        used: list[Any] = []
        request.extensions = {**request.extensions, USED: used}
        outside = sys.exc_info()[1]
        try:
            return self._send(request)
        except BaseException as error:
            if _is_interruption(error, outside):
                for connection in used:
                    connection.close()
            raise

    def _send(self, request: httpx.Request) -> Answer:
        response = self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.is_stream_consumed:  # already read by an event hook or a mock transport
                answer = Answer(response.status_code, response.headers, response.content, request)
            else:
                raw = read_parts(response.iter_raw(), raw_limit(request, response.status_code))
                answer = finish(
                    decompressed(raw, response, request, self._library.DecodingError), self._library.ReadTimeout
                )
        finally:
            response.close()
        if stream := _left_open(self._client, response):
            stream.close()
        return answer


class AsyncTransportSender:
    """Sends requests on one event loop, through transports of their library on one pool.

    Args:
        route: The certificates and the proxy to use.
        kind: As above.
    """

    def __init__(self, route: Route, kind: object = None) -> None:
        self._route = route
        self._transports: dict[type[object], httpx.AsyncHTTPTransport] = {}
        self._pools: dict[str, object] = {}
        self._is_socks = route.proxy is not None and route.proxy.is_socks
        self._open(library_named(kind))  # at once, so that `aclose` always finds the pool

    def _open(self, library: ModuleType) -> httpx.AsyncHTTPTransport:
        transport: httpx.AsyncHTTPTransport = library.AsyncHTTPTransport(
            verify=self._route.tls, limits=library.Limits(**LIMITS), proxy=_proxy(self._route, library)
        )
        patch_client_transport(transport, self._pools)
        self._transports[library.Request] = transport
        return transport

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        if self._is_socks:
            return await self._send_by_socks(request)
        return await self._send(request)

    async def _send_by_socks(self, request: httpx.Request) -> Answer:
        import anyio  # noqa: PLC0415 (httpx imports it with its first async request)

        opened = SocksStreams(request)
        request.extensions = {**request.extensions, "trace": opened.atrace}
        try:
            return await self._send(request)
        except BaseException:
            with anyio.CancelScope(shield=True):
                for stream in opened.streams:
                    await stream.aclose()
            raise

    async def _send(self, request: httpx.Request) -> Answer:
        library = library_of(request)
        response = await (self._transports.get(library.Request) or self._open(library)).handle_async_request(request)
        raw = b"".join([part async for part in cast("AsyncIterable[bytes]", response.stream)])  # one part, as above
        return await afinish(decompressed(raw, response, request, library.DecodingError))

    async def aclose(self) -> None:
        """Close all connections, including those of calls in flight."""
        for transport in list(self._transports.values()):
            await transport.aclose()


class AsyncClientSender:
    """Sends requests through an `httpx.AsyncClient` or `httpx2.AsyncClient`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._library = library_of(client)
        self.errors = errors_of(self._library)
        self.aclose = client.aclose
        patch_client(client)

    @property
    def is_closed(self) -> bool:
        """True if the caller's client is closed."""
        return bool(self._client.is_closed)

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        used: list[Any] = []
        request.extensions = {**request.extensions, USED: used}
        outside = sys.exc_info()[1]
        try:
            return await self._send(request)
        except BaseException as error:
            if _is_interruption(error, outside):
                import anyio  # noqa: PLC0415 (httpx imports it with its first async request)

                with anyio.CancelScope(shield=True):
                    for connection in used:
                        await connection.aclose()
            raise

    async def _send(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.is_stream_consumed:
                answer = Answer(response.status_code, response.headers, response.content, request)
            else:
                raw = await aread_parts(response.aiter_raw(), raw_limit(request, response.status_code))
                answer = await afinish(decompressed(raw, response, request, self._library.DecodingError))
        finally:
            await response.aclose()
        if stream := _left_open(self._client, response):
            await stream.aclose()
        return answer


def _is_interruption(error: BaseException, outside: BaseException | None) -> bool:
    """True if a signal handler may have interrupted a pool anywhere, so that a lock of the connection stays held."""
    return isinstance(error, KeyboardInterrupt) or handler_error(error, outside=outside) is not None


def _left_open(client: httpx.Client | httpx.AsyncClient, response: httpx.Response) -> Any:  # noqa: ANN401 (a stream)
    """Return the connection of a response if the client was closed while the connection was being opened."""
    return response.extensions.get("network_stream") if client.is_closed else None


class _HiddenBytes(bytes):
    """Bytes without a readable repr, because httpcore logs the credentials of SOCKS proxies at level DEBUG."""

    def __repr__(self) -> str:
        return "<secret>"


def _hidden_auth(proxy: httpx.Proxy) -> tuple[bytes, bytes] | None:
    """Return user name and password in the form that httpcore expects."""
    auth = proxy.auth
    return None if auth is None else (_HiddenBytes(auth[0].encode()), _HiddenBytes(auth[1].encode()))


def _proxy(route: Route, library: ModuleType) -> httpx.Proxy | None:
    """Convert the proxy of a route to a proxy of the library whose credentials do not appear in logs."""
    if (proxy := route.proxy) is None:
        return None
    quiet = type("QuietProxy", (library.Proxy,), {"raw_auth": property(_hidden_auth)})
    return quiet(proxy.url, auth=proxy.auth, ssl_context=route.tls if proxy.scheme == "https" else None)
