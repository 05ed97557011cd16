"""Send the requests of the async client through aiohttp: `http_client="aiohttp"`.

aiohttp opens and keeps the connections, and parses the responses. `aiohttp.ClientSession`, which takes two fifths of a
request's time, is left out: its cookies, redirects and retries would have to be disabled. Errors are converted to those
of httpx.

Faults of aiohttp are mended, for which it has no public API. It reuses a connection that received bytes while it was
idle, and reads them as the response to the next request. It rejects a complete response when more bytes follow in the
same packet, so the call would be retried. It takes a body that a reset cuts for a complete one. It waits without a
limit for a proxy's answer, and for a server that does not read a request.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
import sys
from contextvars import ContextVar
from functools import lru_cache, partial
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from enprompta._common.handler_errors import handler_error
from enprompta._http import direct
from enprompta._http.senders.base import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, afinish
from enprompta._http.senders.content import aread_parts, decompressed, raw_limit
from enprompta._http.senders.unread import announces_body
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import socket
    from asyncio import TimerHandle

    from aiohttp.connector import Connection

    from enprompta._core.steps import Answer
    from enprompta._http.route import Route

# The first match applies; without a match, the connection ended in the middle of a response (ReadError).
_NAMES: tuple[tuple[tuple[type[Exception], ...], type[httpx.RequestError]], ...] = (
    ((aiohttp.ConnectionTimeoutError,), httpx.ConnectTimeout),
    ((asyncio.TimeoutError,), httpx.ReadTimeout),
    ((aiohttp.ClientResponseError,), httpx.ProxyError),  # the answer of a proxy to CONNECT
    ((aiohttp.ClientConnectorError,), httpx.ConnectError),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, HttpProcessingError), httpx.RemoteProtocolError),
)
_INFORMATIONAL = range(100, 200)
_SWITCHING_PROTOCOLS = 101
_NO_BODY = {204, 304}
_END_OF_HEAD = b"\r\n\r\n"
_SMALL = 65_536
"""Bytes of a body that is written with the head; a larger one is not copied."""
_LONGEST_HEAD = 102_400
"""Bytes of the head of a response, as in httpcore."""
_LIMITS: dict[str, Any] = {
    name: most
    for name, most in {"max_line_size": _LONGEST_HEAD, "max_field_size": _LONGEST_HEAD, "max_headers": 5_000}.items()
    if name in signature(ResponseHandler.set_response_params).parameters  # old versions lack the last one
}
_connect_seconds: ContextVar[float | None] = ContextVar("connect_seconds", default=None)


class _Head(NamedTuple):
    """Status and headers of a response; creating an `httpx.Response` takes longer than receiving one."""

    status_code: int
    headers: direct.Headers


class AiohttpSender:
    """Sends requests on one event loop of asyncio.

    Raises:
        ConfigurationError: The event loop is not an asyncio loop.
    """

    def __init__(self, route: Route) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError('http_client="aiohttp" works on asyncio, not on trio: leave it out') from None
        self._connector = Connector(ssl=route.tls, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._proxy = route.proxy
        self._destination: aiohttp.ClientRequest | None = None

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        outside = sys.exc_info()[1]
        try:
            connection = await self._connect(request)
            try:
                head, raw = await _exchange(request, connection)
            except BaseException:
                connection.close()
                raise
        except (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.TimeoutError) as error:
            failure = handler_error(error, outside=outside) or _as_httpx(error)
        else:
            response: Any = head
            return await afinish(decompressed(raw, response, request, httpx.DecodingError))
        raise failure  # outside the `except` block: aiohttp's errors cannot be pickled, and Dask pickles contexts too

    async def _connect(self, request: httpx.Request) -> Connection:
        """Return an idle connection, or open one; only a deadline limits the wait for one of `MAX_CONNECTIONS`."""
        if self._destination is None:
            self._destination = self._destination_of(request.url)
        seconds: float | None = request.extensions["timeout"]["connect"]
        _connect_seconds.set(seconds)
        try:
            return await self._connector.connect(self._destination, [], _connect_timeout(seconds))
        except asyncio.TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        except (aiohttp.ServerDisconnectedError, HttpProcessingError) as error:  # of a proxy
            raise httpx.ProxyError(_words(error)) from None

    def _destination_of(self, url: httpx.URL) -> aiohttp.ClientRequest:
        """Return what aiohttp needs to connect to the origin of all requests: a request, which is not sent."""
        origin = URL((b"%b://%b/" % (url.raw_scheme, url.netloc)).decode("ascii"), encoded=True)
        made = aiohttp.ClientRequest("GET", origin, loop=self._loop)
        if (proxy := self._proxy) is not None:
            # With the host, which aiohttp would add later: idle connections are found by these headers.
            headers = {"Host": made.headers["Host"]}
            if proxy.auth is not None:  # separate from the URL, so that no error quotes the password
                headers["Proxy-Authorization"] = f"Basic {proxy.basic}"
            made.update_proxy(URL(proxy.url), None, headers)
        return made

    async def aclose(self) -> None:
        """Close all connections, including those of calls in flight."""
        await self._connector.close()


async def _exchange(request: httpx.Request, connection: Connection) -> tuple[_Head, bytes]:
    """Write a request and read its response; release the connection if it can be reused."""
    protocol: Any = connection.protocol
    protocol.set_response_params(
        skip_payload=request.method == "HEAD",
        read_until_eof=True,
        auto_decompress=False,  # `content` decompresses in bounded steps
        read_timeout=request.extensions["timeout"]["read"],
    )
    protocol.write(_head_of(request), request.content)
    message, body = await protocol.read()
    while (status := message.code) in _INFORMATIONAL:
        if status == _SWITCHING_PROTOCOLS:
            raise httpx.RemoteProtocolError("101 Switching Protocols, which was not requested")
        message, body = await protocol.read()
    raw = body.read_nowait() if body.is_eof() else await aread_parts(body.iter_any(), raw_limit(request, status))
    if body.at_eof() and not protocol.is_writing and not (status in _NO_BODY and announces_body(message.raw_headers)):
        protocol.is_idle = True
        connection.release()
    else:
        connection.close()
    return _Head(status, direct.Headers(message.raw_headers)), raw


@lru_cache(maxsize=16)
def _connect_timeout(seconds: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds)


def _head_of(request: httpx.Request) -> bytes:
    """Return the request line and the headers of a request.

    Raises:
        httpx.LocalProtocolError: A header holds a line break.
    """
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    if not len(lines) > head.count(b"\n") == head.count(b"\r"):
        raise httpx.LocalProtocolError("a header holds a line break")
    return head + b"\r\n\r\n"


def _as_httpx(error: Exception) -> httpx.RequestError:
    """Convert an error to the corresponding httpx error."""
    name = next((name for kinds, name in _NAMES if isinstance(error, kinds)), httpx.ReadError)
    made = name(_words(error))
    if isinstance(error, aiohttp.ClientSSLError):
        made.__cause__ = ssl.SSLError(str(made))  # aiohttp's own error cannot be pickled
    return made


def _words(error: Exception) -> str:
    """Return the error message in one line, without the partial response that aiohttp quotes."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended before the answer was complete"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {error.message}"  # the form of httpx
    is_worded = isinstance(error, (HttpProcessingError, aiohttp.ClientResponseError))
    text = (error.message if is_worded else str(error)) or type(error).__name__
    return re.split(r"\n|: <|: b['\"]", text, maxsplit=1)[0].rstrip(":")


class Protocol(ResponseHandler):
    """A connection that parses the head of a response separately from the bytes that follow."""

    _last = b""
    """End of the bytes received so far, which may be the start of the end of a head."""
    _in_head = True
    _head_size = 0
    is_idle = False
    """True between two requests."""
    _has_strays = False
    """True if bytes were received meanwhile."""
    _newest = 0
    """Status of the response whose head was parsed last."""
    _silent_at: float | None = None
    """When the timeout of the response ends, in the time of the event loop; None if no response is expected."""
    _timer: TimerHandle | None = None
    _unsent = 0
    """Bytes that waited to be sent when the timer was set last."""

    def write(self, head: bytes, body: bytes) -> None:
        """Write a request, and start the timeout of its response."""
        transport: Any = self.transport
        if transport is None:  # closed since the connection was chosen
            raise aiohttp.ServerDisconnectedError
        self.start_timeout()
        transport.write(head + body if len(body) < _SMALL else head)
        if len(body) >= _SMALL:
            transport.write(body)

    @property
    def is_writing(self) -> bool:
        """True while bytes of a request wait to be sent."""
        return self.transport is None or self._size_unsent() > 0

    def _size_unsent(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def close(self) -> None:
        """Close the connection, at once if a request is still being sent: the server may never read it."""
        if self.transport is not None and self.is_writing:
            self.transport.abort()
        super().close()
        self._set_timer(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response on this connection; a reset does not complete a body whose end is that of the connection."""
        if isinstance(exc, OSError) and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientOSError(*exc.args))
        super().connection_lost(exc)
        self._set_timer(None)

    def pause_writing(self) -> None:
        """Begin the timeout of sending: a large request waits for the server to read it."""
        super().pause_writing()
        self.start_timeout()

    # One timer for a connection, which is set again when it fires, instead of three for a request.

    def _reschedule_timeout(self) -> None:
        self._silent_at = silent_at = self._loop.time() + self._read_timeout if self._read_timeout else None
        if self._paused:
            self._unsent = self._size_unsent()
        if silent_at is not None and (self._timer is None or silent_at < self._timer.when()):
            self._set_timer(silent_at)

    def _drop_timeout(self) -> None:
        self._silent_at = None

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, self._check_timeout)

    def _check_timeout(self) -> None:
        self._timer = None
        if self._silent_at is None:
            return
        if self._loop.time() < self._silent_at:
            self._set_timer(self._silent_at)
        elif self._paused and self._size_unsent() < self._unsent:
            self._reschedule_timeout()
        else:
            self._on_read_timeout()

    def resume_writing(self) -> None:
        """Begin the timeout of the response: the last bytes are with the system."""
        super().resume_writing()
        self.start_timeout()

    def set_response_params(self, **settings: Any) -> None:  # noqa: ANN401 (they differ between versions of aiohttp)
        """Prepare for the response to a request."""
        self._in_head, self._last, self._head_size, self.is_idle = True, b"", 0, False
        is_tunnel = "read_timeout" not in settings  # aiohttp itself waits for a proxy's answer, for ever
        if is_tunnel:
            settings["read_timeout"] = _connect_seconds.get()
        super().set_response_params(**{**_LIMITS, **settings})
        if is_tunnel:
            self.start_timeout()

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401 (a message and its body)
        """Receive a parsed head."""
        self._newest = data[0].code
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; pass the exception of a signal handler to the request, because asyncio ignores it."""
        self._has_strays |= self.is_idle and bool(data)
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
        """End the request on this connection with an exception, such as one of the caller."""
        if self._payload is not None:
            self._payload.set_exception(raised)
        self.set_exception(raised)
        self.close()

    def _parse(self, data: bytes) -> None:
        """Parse received bytes, the head first, so that the response survives if the parser rejects what follows."""
        while self._in_head and data:
            self._head_size += len(data)
            seen = self._last + data
            end = seen.find(_END_OF_HEAD)
            if end < 0:
                self._last = seen[1 - len(_END_OF_HEAD) :]
                if self._head_size > _LONGEST_HEAD:
                    self.fail(HttpProcessingError(message="the head of the response is longer than 100 kB"))
                    return
                break
            head = end + len(_END_OF_HEAD) - len(self._last)
            self._last = b""
            super().data_received(data[:head])
            data = data[head:]
            self._head_size = 0
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
        if self._has_strays or self.should_close or sock is None:
            return False
        return super().is_connected() and not is_readable(sock)


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
