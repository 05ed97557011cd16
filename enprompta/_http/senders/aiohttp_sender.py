"""Send the requests of the async client through aiohttp: `http_client="aiohttp"`.

aiohttp opens and keeps the connections, and parses the responses. `aiohttp.ClientSession`, which takes two fifths of a
request's time, is left out: its cookies, redirects and retries would have to be disabled. Errors are converted to those
of httpx.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from enprompta._common.handler_errors import handler_error
from enprompta._http.content import aread_parts, decompressed, raw_limit
from enprompta._http.senders.aiohttp_connections import Connector
from enprompta._http.senders.base import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, afinish
from enprompta._http.senders.unread import announces_body
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp.connector import Connection

    from enprompta._core.steps import Answer
    from enprompta._http.route import Route

# The first match applies; without a match, the connection ended in the middle of a response (ReadError).
_NAMES: tuple[tuple[tuple[type[Exception], ...], type[httpx.RequestError]], ...] = (
    ((aiohttp.ConnectionTimeoutError,), httpx.ConnectTimeout),
    ((asyncio.TimeoutError,), httpx.ReadTimeout),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), httpx.ProxyError),
    ((aiohttp.ClientConnectorError,), httpx.ConnectError),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, HttpProcessingError), httpx.RemoteProtocolError),
)
_INFORMATIONAL = range(100, 200)
_SWITCHING_PROTOCOLS = 101
_NO_BODY = {204, 304}


class _Head(NamedTuple):
    """Status and headers of a response; creating an `httpx.Response` takes longer than receiving one."""

    status_code: int
    headers: httpx.Headers


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
        self._destinations: dict[tuple[str, bytes], aiohttp.ClientRequest] = {}

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        outside = sys.exc_info()[1]
        try:
            connection = await self._connect(request)
            try:
                head, raw = await _exchange(request, connection)
            finally:
                connection.close()  # nothing, if it was released
        except (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.TimeoutError) as error:
            failure = handler_error(error, outside=outside) or _as_httpx(error)
        else:
            response: Any = head
            return await afinish(decompressed(raw, response, request, httpx.DecodingError))
        raise failure  # outside the `except` block: aiohttp's errors cannot be pickled, and Dask pickles contexts too

    async def _connect(self, request: httpx.Request) -> Connection:
        """Return an idle connection, or open one; only a deadline limits the wait for one of `MAX_CONNECTIONS`."""
        url = request.url
        origin = url.scheme, url.netloc
        destination = self._destinations.get(origin) or self._add_destination(origin, url)
        timeout = _connect_timeout(request.extensions["timeout"]["connect"])
        try:
            return await self._connector.connect(destination, [], timeout)
        except asyncio.TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error

    def _add_destination(self, origin: tuple[str, bytes], url: httpx.URL) -> aiohttp.ClientRequest:
        """Return what aiohttp needs to connect: a request, which is not sent."""
        made = self._destinations[origin] = aiohttp.ClientRequest(
            "GET", URL(str(url.join("/")), encoded=True), loop=self._loop
        )
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
    raw = await aread_parts(body.iter_any(), raw_limit(request, status))
    if body.at_eof() and not protocol.is_writing and not (status in _NO_BODY and announces_body(message.raw_headers)):
        connection.release()
    return _Head(status, httpx.Headers(message.raw_headers)), raw


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
    text = error.message if isinstance(error, HttpProcessingError) else str(error)
    return (text or type(error).__name__).partition("\n")[0].partition(": <")[0].rstrip(":")
