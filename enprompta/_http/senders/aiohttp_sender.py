"""`http_client="aiohttp"`: requests of the async client on aiohttp, which is written in C where httpx is in Python.

It has no cookies, no redirects and no tries of its own: aiohttp would send a GET, PUT or DELETE again by itself when a
connection breaks, which this package does, and counts. Errors have the names that httpx gives them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

from enprompta._http.senders.buffered_body import WholeBody
from enprompta._http.senders.httpx_senders import HTTPX_ERRORS, KEEP_ALIVE, MOST, tls_context
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def __init__(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError('http_client="aiohttp" works on asyncio, not on trio: leave it out') from None
        connector = aiohttp.TCPConnector(ssl=tls_context(), limit=MOST, keepalive_timeout=KEEP_ALIVE)
        session: Any = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx does, and tells of what cannot be
            skip_auto_headers=_OURS,
        )
        session._retry_connection = False  # noqa: SLF001 (there is no other way, and aiohttp's own tests use this one)
        self._session: aiohttp.ClientSession = session

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer."""
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),  # as it is: aiohttp would write a quoted path in another way
                headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
                data=request.content or None,
                allow_redirects=False,
                timeout=_timeout(request.extensions["timeout"]),
                proxy=_proxy(request.url),
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            failure = _as_httpx(error)
        else:
            response = httpx.Response(
                answer.status, headers=list(answer.raw_headers), stream=WholeBody(content), request=request
            )
            await response.aread()
            return response
        raise failure  # out here: what aiohttp raised does not pickle, and Dask pickles causes and contexts too

    async def aclose(self) -> None:
        """Close the connections, also under calls that wait for an answer."""
        await self._session.close()


def _timeout(timeouts: Mapping[str, float | None]) -> aiohttp.ClientTimeout:
    """Bound each operation; the wait for a free connection is bounded by a deadline alone."""
    return aiohttp.ClientTimeout(total=None, sock_connect=timeouts["connect"], sock_read=timeouts["read"])


def _proxy(url: httpx.URL) -> str | None:
    """Find the proxy that the environment has for an address; None for none."""
    proxies = getproxies()
    if not proxies or proxy_bypass(url.host):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


def _as_httpx(error: Exception) -> httpx.RequestError:
    """Give an error the name that httpx has for it."""
    name = next((name for kinds, name in _NAMES if isinstance(error, kinds)), httpx.ReadError)
    return name(_words(error))


def _words(error: Exception) -> str:
    """Say what happened in a line: aiohttp quotes the half of an answer that came, and a status of its own."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended before the answer was complete"
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return (text or type(error).__name__).partition("\n")[0].partition(": <")[0].rstrip(":")
