"""What carries a request to the server and its answer back: httpx, in the ways a client can be set up.

    a client of its own           httpx's transport on the pool of `pools`. `httpx.Client` is passed by: its cookies,
                                  redirects and credentials would only have to be kept from acting
    proxies in the environment    an `httpx.Client` on such pools, which knows how to choose among proxies
    http_client="aiohttp"         aiohttp; see `aiohttp_sender`
    http_client=…                 the caller's client of httpx or httpx2, with all that it does and its own pool

A sender gives an answer whose body is read, or raises what its HTTP library raises.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol
from urllib.request import getproxies

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEEP_ALIVE = 5.0
"""Seconds for which an idle connection is kept: servers close them too, and one used at that moment is an error."""
MOST = 500
"""Connections at once. Each request under way needs one, and an execution can take a while. Who comes when all are in
use waits for the next one that is free, however long the others take: a deadline bounds that wait too."""
LIMITS = httpx.Limits(max_connections=MOST, max_keepalive_connections=MOST, keepalive_expiry=KEEP_ALIVE)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Load the trusted certificates once a process: it takes some 15 ms, more than all else a client does."""
    return httpx.create_ssl_context()


def errors_of(library: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401 (httpx or httpx2)
    """Tell what a library and what is below it may raise instead of an answer.

    RuntimeError is how httpx says "closed"; a ValueError comes of a redirect that sets a cookie of letters that are not
    ASCII.
    """
    return (library.HTTPError, library.InvalidURL, library.StreamError, OSError, RuntimeError, ValueError)


HTTPX_ERRORS = errors_of(httpx)


class Sender(Protocol):
    """Sends the requests of a blocking client; they and their answers are httpx's or httpx2's."""

    errors: tuple[type[Exception], ...]
    """What it raises instead of an answer."""

    @property
    def is_closed(self) -> bool: ...
    def send(self, request: Any) -> Any: ...  # noqa: ANN401
    def close(self) -> None: ...


class AsyncSender(Protocol):
    """Sends the requests of an async client; they and their answers are httpx's or httpx2's."""

    errors: tuple[type[Exception], ...]
    """What it raises instead of an answer."""

    async def send(self, request: Any) -> Any: ...  # noqa: ANN401
    async def aclose(self) -> None: ...


class TransportSender:
    """Sends through httpx's transport alone."""

    errors = HTTPX_ERRORS

    def __init__(self) -> None:
        self._transport = httpx.HTTPTransport(verify=tls_context(), limits=LIMITS)
        tune(self._transport, pooled=True)
        self.is_closed = False

    def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer."""
        if self.is_closed:
            raise RuntimeError("closed")  # as httpx's client says it
        response = self._transport.handle_request(request)
        response.request = request
        response.read()
        return response

    def close(self) -> None:
        """Close the connections, also under calls that wait for an answer."""
        self.is_closed = True
        self._transport.close()


class ClientSender:
    """Sends through an `httpx.Client`, or one of httpx2."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 (httpx2 is optional)
        self._client = client
        self.errors = errors_of(library_of(client))
        self.close = client.close

    @property
    def is_closed(self) -> bool:
        """Whether the client is."""
        return bool(self._client.is_closed)

    def send(self, request: Any) -> Any:  # noqa: ANN401
        """Send a request and read its answer."""
        response = self._client.send(request, follow_redirects=False)
        _end_if_spoilt(response)
        if stream := _left_open(self._client, response):
            stream.close()
        return response


class AsyncTransportSender:
    """Sends through httpx's transport alone."""

    errors = HTTPX_ERRORS

    def __init__(self) -> None:
        self._transport = httpx.AsyncHTTPTransport(verify=tls_context(), limits=LIMITS)
        tune(self._transport, pooled=True)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer."""
        response = await self._transport.handle_async_request(request)
        response.request = request
        await response.aread()
        return response

    async def aclose(self) -> None:
        """Close the connections, also under calls that wait for an answer."""
        await self._transport.aclose()


class AsyncClientSender:
    """Sends through an `httpx.AsyncClient`, or one of httpx2."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 (httpx2 is optional)
        self._client = client
        self.errors = errors_of(library_of(client))
        self.aclose = client.aclose

    @property
    def is_closed(self) -> bool:
        """Whether the client is."""
        return bool(self._client.is_closed)

    async def send(self, request: Any) -> Any:  # noqa: ANN401
        """Send a request and read its answer."""
        response = await self._client.send(request, follow_redirects=False)
        _end_if_spoilt(response)
        if stream := _left_open(self._client, response):
            await stream.aclose()
        return response


def _left_open(client: Any, response: Any) -> Any:  # noqa: ANN401
    """Give the connection of an answer when it is to be closed, since the others were while it was being opened."""
    return response.extensions.get("network_stream") if client.is_closed else None


def _end_if_spoilt(response: Any) -> None:  # noqa: ANN401
    """See to it that the caller's pool finds a connection ended that must not be used again."""
    if not is_spoilt(response.status_code, response.headers.raw):
        return
    stream = response.extensions.get("network_stream")
    sock: Any = stream and stream.get_extra_info("socket")
    if sock:
        with suppress(OSError):  # it is closed already
            # Not closed, for pools ask idle sockets whether they have ended. Not by the method of an SSLSocket, which
            # would take the TLS state away from under who closes it.
            shutdown = partial(socket.socket.shutdown, sock) if isinstance(sock, ssl.SSLSocket) else sock.shutdown
            shutdown(socket.SHUT_RDWR)


def is_spoilt(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a 204 says that a body follows, as it must not (RFC 9110, 15.3.5) and some do.

    Nobody reads that body, so the next call on this connection would take it for its answer.
    """
    return status == 204 and any(  # noqa: PLR2004
        name.lower() == b"content-length" and value != b"0" for name, value in headers
    )


def library_of(client: object) -> Any:  # noqa: ANN401
    """Tell the library that a client is of; one of a class of the caller's is of that which it inherits from."""
    for base in type(client).__mro__:
        if (name := base.__module__.partition(".")[0]) in {"httpx", "httpx2"}:
            return import_module(name)
    return httpx


def own_sender() -> Sender:
    """Make what a client sends through that was given nothing."""
    if not _has_proxies():
        return TransportSender()
    client = httpx.Client(verify=tls_context(), limits=LIMITS)
    for transport in transports_of(client):
        tune(transport, pooled=True)
    return ClientSender(client)


def own_async_sender(kind: object) -> AsyncSender:
    """Make what a client sends through that was given nothing but perhaps the name of a library, for one event loop."""
    if kind == "aiohttp":
        from enprompta._http.senders.aiohttp_sender import AiohttpSender  # noqa: PLC0415 (an extra)

        return AiohttpSender()
    if not _has_proxies():
        return AsyncTransportSender()
    client = httpx.AsyncClient(verify=tls_context(), limits=LIMITS)
    for transport in transports_of(client):
        tune(transport, pooled=True)
    return AsyncClientSender(client)


def given_sender(client: Any) -> Sender:  # noqa: ANN401
    """Send through a client of the caller's, which keeps its own pool."""
    for transport in transports_of(client):
        tune(transport, pooled=False)
    return ClientSender(client)


def given_async_sender(client: Any) -> AsyncClientSender:  # noqa: ANN401 (httpx2 is optional)
    """Send through a client of the caller's, which keeps its own pool."""
    for transport in transports_of(client):
        tune(transport, pooled=False)
    return AsyncClientSender(client)


def _has_proxies() -> bool:
    return not getproxies().keys() <= {"no"}


def transports_of(client: Any) -> Iterator[Any]:  # noqa: ANN401
    """Find the transports of a client of httpx or httpx2, those for proxies too; none where it keeps them elsewhere."""
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        if transport is not None:
            yield transport


def tune(transport: Any, *, pooled: bool) -> None:  # noqa: ANN401
    """Make a transport of httpx's keep to deadlines, tidy up, and, if it is to be `pooled`, use our pools.

    httpx has no public way to any of this, so it reaches for the attribute; in a transport that has none, as one of
    the caller's own or of another version, things are as their maker left them.
    """
    pool = getattr(transport, "_pool", None)
    if not hasattr(pool, "_network_backend"):
        return
    # Loaded with the first client, as httpx loads httpcore: importing it takes longer than the rest of this package.
    if hasattr(pool, "handle_async_request"):
        from enprompta._http.senders.async_streams import close_cancelled_handshakes  # noqa: PLC0415

        close_cancelled_handshakes(pool)
    else:
        from enprompta._http.senders.deadline_streams import bound_reads  # noqa: PLC0415

        bound_reads(pool)
    if pooled:
        from enprompta._http.senders.connection_pool import pool_for  # noqa: PLC0415

        transport._pool = pool_for(pool, MOST)  # noqa: SLF001
