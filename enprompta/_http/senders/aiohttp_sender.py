"""`http_client="aiohttp"`: requests of the async client on aiohttp, which is written in C where httpx is in Python.

It has no cookies, no redirects and no tries of its own: aiohttp would send a GET, PUT or DELETE again by itself when a
connection breaks, which this package does, and counts. Errors have the names that httpx gives them.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from yarl import URL

from enprompta._http.content import aread_parts, decompressed, raw_limit
from enprompta._http.handler_errors import handler_error
from enprompta._http.senders.aiohttp_answers import Answer as WireAnswer
from enprompta._http.senders.aiohttp_answers import Connector
from enprompta._http.senders.httpx_senders import HTTPX_ERRORS, KEEP_ALIVE, MAX_CONNECTIONS, afinish
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta._core.steps import Answer
    from enprompta._http.route import Route

# What aiohttp would add by itself.
_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

# The first that fits; what fits none is the connection's end in the midst of an answer.
_NAMES: tuple[tuple[tuple[type[Exception], ...], type[httpx.RequestError]], ...] = (
    ((aiohttp.ConnectionTimeoutError,), httpx.ConnectTimeout),
    ((asyncio.TimeoutError,), httpx.ReadTimeout),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), httpx.ProxyError),
    ((aiohttp.ClientConnectorError,), httpx.ConnectError),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), httpx.RemoteProtocolError),
    ((aiohttp.ClientResponseError,), httpx.RemoteProtocolError),
)


class AiohttpSender:
    """Sends requests on one event loop of asyncio.

    Raises:
        ConfigurationError: The event loop is not asyncio's.
    """

    errors = HTTPX_ERRORS

    def __init__(self, route: Route) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError('http_client="aiohttp" works on asyncio, not on trio: leave it out') from None
        proxy = route.proxy
        connector = Connector(ssl=route.tls, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE)
        session: Any = aiohttp.ClientSession(
            connector=connector,
            response_class=WireAnswer,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # `content` does, in bounded steps
            skip_auto_headers=_OURS,
        )
        session._retry_connection = False  # noqa: SLF001 (there is no other way, and aiohttp's own tests use this one)
        self._session: aiohttp.ClientSession = session
        self._proxy = None if proxy is None else URL(proxy.url)
        # Apart from the address, so that no error quotes it.
        self._proxy_headers: dict[str, str] = {}
        if proxy is not None and proxy.auth is not None:
            self._proxy_headers["Proxy-Authorization"] = f"Basic {proxy.basic}"

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its answer."""
        outside = sys.exc_info()[1]
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),  # as it is: aiohttp would write a quoted path in another way
                headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
                data=request.content or None,
                allow_redirects=False,
                timeout=_timeout(request.extensions["timeout"]),
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            ) as answer:
                raw = await aread_parts(answer.content.iter_any(), raw_limit(request, answer.status))
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            failure = handler_error(error, outside=outside) or _as_httpx(error)
        else:
            response = httpx.Response(answer.status, headers=list(answer.raw_headers))
            return await afinish(decompressed(raw, response, request, httpx.DecodingError))
        raise failure  # out here: what aiohttp raised does not pickle, and Dask pickles causes and contexts too

    async def aclose(self) -> None:
        """Close the connections, also under calls that wait for an answer."""
        await self._session.close()


def _timeout(timeouts: Mapping[str, float | None]) -> aiohttp.ClientTimeout:
    """Bound each operation; the wait for a free connection is bounded by a deadline alone."""
    return aiohttp.ClientTimeout(total=None, sock_connect=timeouts["connect"], sock_read=timeouts["read"])


def _as_httpx(error: Exception) -> httpx.RequestError:
    """Give an error the name that httpx has for it."""
    name = next((name for kinds, name in _NAMES if isinstance(error, kinds)), httpx.ReadError)
    made = name(_words(error))
    if isinstance(error, aiohttp.ClientSSLError):
        made.__cause__ = ssl.SSLError(str(made))  # aiohttp's own does not pickle
    return made


def _words(error: Exception) -> str:
    """Say what happened in a line: aiohttp quotes the half of an answer that came, and a status of its own."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended before the answer was complete"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {error.message}"  # as httpx says it
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return (text or type(error).__name__).partition("\n")[0].partition(": <")[0].rstrip(":")
