"""What carries a request to the server and its answer back: httpx, in the ways a client can be set up.

    a client of its own           httpx's transport on the pool of `pools`. `httpx.Client` is passed by: its cookies,
                                  redirects and credentials would only have to be kept from acting. A client has one
                                  base URL, so one transport, with the proxy that the environment names for it
    http_client="aiohttp"         aiohttp; see `aiohttp_sender`
    http_client=…                 the caller's client of httpx or httpx2, with all that it does and its own pool

A sender returns an `Answer`, whose body is read and decompressed by `content`, or raises what its HTTP library raises.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx

from enprompta._core.steps import Answer
from enprompta._http.content import aread_parts, decompressed, raw_limit, read_parts
from enprompta._http.senders.deadline import remaining_timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Iterable, Iterator, Mapping

    from enprompta._http.route import Route

KEEP_ALIVE = 5.0
"""Seconds for which an idle connection is kept: servers close them too, and one used at that moment is an error."""
MAX_CONNECTIONS = 500
"""Connections at once. Each request under way needs one, and an execution can take a while. Who comes when all are in
use waits for the next one that is free, however long the others take: a deadline bounds that wait too."""
MAX_WRAPPERS = 5
"""Transports that may wrap each other in a caller's client and still be tuned."""
LIMITS = httpx.Limits(
    max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_ALIVE
)


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
    def send(self, request: Any) -> Answer: ...  # noqa: ANN401
    def close(self) -> None: ...


class AsyncSender(Protocol):
    """Sends the requests of an async client; they and their answers are httpx's or httpx2's."""

    errors: tuple[type[Exception], ...]
    """What it raises instead of an answer."""

    async def send(self, request: Any) -> Answer: ...  # noqa: ANN401
    async def aclose(self) -> None: ...


class SocksStreams:
    """The connection to a SOCKS proxy that is being set up: httpcore leaves one open that fails."""

    def __init__(self) -> None:
        self.streams: list[Any] = []

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of an event in httpcore."""
        if event == "socks.connect_tcp.complete":
            self.streams.append(info["return_value"])
        elif event == "socks.setup_socks5_connection.complete":
            self.streams.clear()

    async def atrace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of an event in httpcore, as its async half wants it."""
        self.trace(event, info)


class TransportSender:
    """Sends through httpx's transport alone."""

    errors = HTTPX_ERRORS

    def __init__(self, route: Route) -> None:
        self._transport = httpx.HTTPTransport(verify=route.tls, limits=LIMITS, proxy=_proxy(route))
        patch_client_transport(self._transport, pooled=True)
        self._is_socks = route.proxy is not None and route.proxy.is_socks
        self.is_closed = False

    def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its answer."""
        if self.is_closed:
            raise RuntimeError("closed")  # as httpx's client says it
        if self._is_socks:
            return self._send_by_socks(request)
        return self._send(request)

    def _send_by_socks(self, request: httpx.Request) -> Answer:
        opened = SocksStreams()
        request.extensions = {**request.extensions, "trace": opened.trace}
        try:
            return self._send(request)
        except BaseException:
            for stream in opened.streams:
                stream.close()
            raise

    def _send(self, request: httpx.Request) -> Answer:
        response = self._transport.handle_request(request)
        raw = b"".join(cast("Iterable[bytes]", response.stream))  # one part, which the pool has read within the limit
        return finish(decompressed(raw, response, request, httpx.DecodingError), httpx.ReadTimeout)

    def close(self) -> None:
        """Close the connections, also under calls that wait for an answer."""
        self.is_closed = True
        self._transport.close()


class ClientSender:
    """Sends through an `httpx.Client`, or one of httpx2."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 (httpx2 is optional)
        self._client = client
        self._library = library_of(client)
        self.errors = errors_of(self._library)
        self.close = client.close

    @property
    def is_closed(self) -> bool:
        """Whether the client is."""
        return bool(self._client.is_closed)

    def send(self, request: Any) -> Answer:  # noqa: ANN401
        """Send a request and read its answer."""
        response = self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.is_stream_consumed:  # a hook of the caller's, or a transport without a network, has read it
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
    """Sends through httpx's transport alone."""

    errors = HTTPX_ERRORS

    def __init__(self, route: Route) -> None:
        self._transport = httpx.AsyncHTTPTransport(verify=route.tls, limits=LIMITS, proxy=_proxy(route))
        patch_client_transport(self._transport, pooled=True)
        self._is_socks = route.proxy is not None and route.proxy.is_socks

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its answer."""
        if self._is_socks:
            return await self._send_by_socks(request)
        return await self._send(request)

    async def _send_by_socks(self, request: httpx.Request) -> Answer:
        import anyio  # noqa: PLC0415 (httpx brings it and loads it with its first async request)

        opened = SocksStreams()
        request.extensions = {**request.extensions, "trace": opened.atrace}
        try:
            return await self._send(request)
        except BaseException:
            with anyio.CancelScope(shield=True):
                for stream in opened.streams:
                    await stream.aclose()
            raise

    async def _send(self, request: httpx.Request) -> Answer:
        response = await self._transport.handle_async_request(request)
        raw = b"".join([part async for part in cast("AsyncIterable[bytes]", response.stream)])  # one part, as above
        return await afinish(decompressed(raw, response, request, httpx.DecodingError))

    async def aclose(self) -> None:
        """Close the connections, also under calls that wait for an answer."""
        await self._transport.aclose()


class AsyncClientSender:
    """Sends through an `httpx.AsyncClient`, or one of httpx2."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 (httpx2 is optional)
        self._client = client
        self._library = library_of(client)
        self.errors = errors_of(self._library)
        self.aclose = client.aclose

    @property
    def is_closed(self) -> bool:
        """Whether the client is."""
        return bool(self._client.is_closed)

    async def send(self, request: Any) -> Answer:  # noqa: ANN401
        """Send a request and read its answer."""
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


def finish(steps: Generator[None, None, Answer], too_late: type[Exception]) -> Answer:
    """Do the steps of decompressing a body; raise `too_late` when this thread has no time left."""
    try:
        while True:
            next(steps)
            remaining_timeout(None, too_late)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


async def afinish(steps: Generator[None, None, Answer]) -> Answer:
    """Do the steps of decompressing a body; other tasks run between them, and a deadline can end them."""
    try:
        while True:
            next(steps)
            await yield_to_others()
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


async def yield_to_others() -> None:
    """Let other tasks run."""
    import anyio.lowlevel  # noqa: PLC0415 (httpx brings it and loads it with its first async request)

    await anyio.lowlevel.checkpoint()


def _left_open(client: Any, response: Any) -> Any:  # noqa: ANN401
    """Give the connection of an answer when it is to be closed, since the others were while it was being opened."""
    return response.extensions.get("network_stream") if client.is_closed else None


def library_of(client: object) -> Any:  # noqa: ANN401
    """Tell the library that a client is of; one of a class of the caller's is of that which it inherits from."""
    for base in type(client).__mro__:
        if (name := base.__module__.partition(".")[0]) in {"httpx", "httpx2"}:
            return import_module(name)
    return httpx


class _HiddenBytes(bytes):
    """Bytes that the logs of httpcore do not show: at level DEBUG it logs the credentials of SOCKS proxies."""

    def __repr__(self) -> str:
        return "<secret>"


class _QuietProxy(httpx.Proxy):
    """A proxy of httpx whose credentials are in no log."""

    @property
    def raw_auth(self) -> tuple[bytes, bytes] | None:
        """User name and password, as httpcore takes them."""
        auth = super().raw_auth
        return None if auth is None else (_HiddenBytes(auth[0]), _HiddenBytes(auth[1]))


def _proxy(route: Route) -> httpx.Proxy | None:
    """Write a proxy as httpx takes it."""
    if (proxy := route.proxy) is None:
        return None
    return _QuietProxy(proxy.url, auth=proxy.auth, ssl_context=route.tls if proxy.scheme == "https" else None)


def own_async_sender(kind: object, route: Route) -> AsyncSender:
    """Make what a client sends through that was given nothing but perhaps the name of a library, for one event loop."""
    if kind == "aiohttp":
        from enprompta._http.senders.aiohttp_sender import AiohttpSender  # noqa: PLC0415 (an extra)

        return AiohttpSender(route)
    return AsyncTransportSender(route)


def sender_for_client(client: Any) -> Sender:  # noqa: ANN401
    """Send through a client of the caller's, which keeps its own pool."""
    for transport in transports_of(client):
        patch_client_transport(transport, pooled=False)
    return ClientSender(client)


def given_async_sender(client: Any) -> AsyncClientSender:  # noqa: ANN401 (httpx2 is optional)
    """Send through a client of the caller's, which keeps its own pool."""
    for transport in transports_of(client):
        patch_client_transport(transport, pooled=False)
    return AsyncClientSender(client)


def transports_of(client: Any) -> Iterator[Any]:  # noqa: ANN401
    """Find the transports of a client of httpx or httpx2, those for proxies too; none where it keeps them elsewhere."""
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        if transport is not None:
            yield transport


def patch_client_transport(transport: Any, *, pooled: bool, depth: int = 0) -> None:  # noqa: ANN401
    """Make a transport of httpx's keep to deadlines, tidy up, and, if it is to be `pooled`, use our pools.

    httpx has no public way to any of this, so it reaches for the attribute; in a transport that has none, as one of
    the caller's own or of another version, things are as their maker left them. A transport that wraps another one, to
    cache or to log, has that one tuned.
    """
    pool = getattr(transport, "_pool", None)
    if not hasattr(pool, "_network_backend"):
        for inner in getattr(transport, "__dict__", {}).values() if depth < MAX_WRAPPERS else ():
            if hasattr(inner, "handle_request") or hasattr(inner, "handle_async_request"):
                patch_client_transport(inner, pooled=pooled, depth=depth + 1)
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

        transport._pool = pool_for(pool, MAX_CONNECTIONS)  # noqa: SLF001
    else:
        from enprompta._http.senders.unread import note_answers  # noqa: PLC0415

        note_answers(pool)
