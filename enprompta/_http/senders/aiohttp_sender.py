"""Send the requests of the async client through aiohttp: `http_client="aiohttp"`.

Cookies, redirects and aiohttp's own retries are disabled: aiohttp would repeat a GET, PUT or DELETE when a connection
breaks, and this package retries and counts itself. Errors are converted to those of httpx.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from yarl import URL

from enprompta._common.handler_errors import handler_error
from enprompta._http.content import aread_parts, decompressed, raw_limit
from enprompta._http.senders.aiohttp_answers import Answer as WireAnswer
from enprompta._http.senders.aiohttp_answers import Connector, Request
from enprompta._http.senders.base import HTTPX_ERRORS, KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, afinish
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta._core.steps import Answer
    from enprompta._http.route import Route

# Headers that aiohttp would add.
_SKIPPED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

# The first match applies; without a match, the connection ended in the middle of a response (ReadError).
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
        ConfigurationError: The event loop is not an asyncio loop.
    """

    errors = HTTPX_ERRORS

    def __init__(self, route: Route) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError('http_client="aiohttp" works on asyncio, not on trio: leave it out') from None
        proxy = route.proxy
        connector = Connector(ssl=route.tls, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
        session: Any = aiohttp.ClientSession(
            connector=connector,
            request_class=Request,
            response_class=WireAnswer,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # `content` decompresses in bounded steps
            skip_auto_headers=_SKIPPED_HEADERS,
        )
        session._retry_connection = False  # noqa: SLF001 (no public API; aiohttp's own tests set it too)
        self._session: aiohttp.ClientSession = session
        self._proxy = None if proxy is None else URL(proxy.url)
        # Separate from the URL, so that no error quotes the password.
        self._proxy_headers: dict[str, str] = {}
        if proxy is not None and proxy.auth is not None:
            self._proxy_headers["Proxy-Authorization"] = f"Basic {proxy.basic}"

    async def send(self, request: httpx.Request) -> Answer:
        """Send a request and read its response."""
        outside = sys.exc_info()[1]
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),  # unchanged: aiohttp would re-encode the path
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
        raise failure  # outside the `except` block: aiohttp's errors cannot be pickled, and Dask pickles contexts too

    async def aclose(self) -> None:
        """Close all connections, including those of calls in flight."""
        await self._session.close()


def _timeout(timeouts: Mapping[str, float | None]) -> aiohttp.ClientTimeout:
    """Return the limits of each operation; only a deadline limits the wait for a free connection."""
    return aiohttp.ClientTimeout(total=None, sock_connect=timeouts["connect"], sock_read=timeouts["read"])


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
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return (text or type(error).__name__).partition("\n")[0].partition(": <")[0].rstrip(":")
