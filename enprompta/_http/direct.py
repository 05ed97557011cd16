"""The part of httpx's API that the package's own clients use, on httpcore alone.

Importing httpx takes a tenth of the time from start to the first answer, and own clients need little of it. A client
without an `http_client` sends these requests until the program imports httpx. From then on it sends httpx's, because
tools such as pytest-httpx and OpenTelemetry's instrumentation replace methods of httpx. Both use the same connections.
With `http_client="aiohttp"` it always sends these, because no tool of httpx sees them and httpx's take longer.
A proxy, or a URL that is not plain, makes the package import httpx.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from enprompta._common.narrowing import is_mapping
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from types import ModuleType

    import httpcore
    import httpx

_SECURE = frozenset({"authorization", "proxy-authorization"})
_PLAIN_URL = re.compile(r"(https?)://([a-z0-9][a-z0-9.-]*)(:[1-9]\d{0,4})?(/[\w./~+%-]*)?(\?[\w.~+%&=-]*)?", re.ASCII)
_BROKEN_ESCAPE = r"%(?![0-9A-Fa-f]{2})"
_LONGEST_URL = 65_536  # characters
_LAST_PORT = 65_535
_DEFAULT_PORTS = {"http": 80, "https": 443}


def library_for_url(url: str, library: ModuleType | None = None) -> ModuleType:
    """Return the library whose requests a client sends; httpx in place of this module for a URL that is not plain.

    Args:
        url: The URL.
        library: The library of the client; None for httpx if the program imported it, else this module.
    """
    library = library or loaded_httpx() or sys.modules[__name__]
    return library if library.__name__ != __name__ or is_plain(url) else import_module("httpx")


def loaded_httpx() -> ModuleType | None:
    """Return httpx if the program has imported it; None while another thread is importing it."""
    module = sys.modules.get("httpx")
    return None if module is None or getattr(module.__spec__, "_initializing", False) else module


@lru_cache(maxsize=1024)
def parse_url(library: ModuleType, url: str) -> httpx.URL:
    """Parse a URL with a library; cached, because most programs call the same few URLs.

    Raises:
        ConfigurationError: The URL is invalid, such as one of more than 64 KiB or with half a surrogate pair.
    """
    try:
        parsed: httpx.URL = library.URL(url)
    except (library.InvalidURL, UnicodeEncodeError) as error:
        raise ConfigurationError(f"no request can be sent to {url[:100]!r}: {error}") from None
    return parsed


def is_plain(url: str) -> bool:
    """True if httpx would send a URL as it is, without escaping or normalizing any part."""
    return _match(url) is not None


@lru_cache(maxsize=1024)
def _match(url: str) -> re.Match[str] | None:
    found = _PLAIN_URL.fullmatch(url) if len(url) <= _LONGEST_URL else None
    if found is None or "/." in url or ".." in url or "xn--" in url:
        return None
    port = int((found[3] or ":1")[1:])
    if port > _LAST_PORT or port == _DEFAULT_PORTS[found[1]] or ("%" in url and re.search(_BROKEN_ESCAPE, url)):
        return None
    return found


class WholeBody:
    """A body that can be read repeatedly and abandoned at any point.

    httpx reads its own body class with an async generator. If sending fails, as on a connection reset, the generator
    is never finished, and trio warns about it.
    """

    def __init__(self, content: bytes) -> None:
        self.content: bytes = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self.content)


class _Once(AsyncIterator[bytes]):
    def __init__(self, content: bytes) -> None:
        self._rest = [content]

    async def __anext__(self) -> bytes:
        if self._rest:
            return self._rest.pop()
        raise StopAsyncIteration


def body_for(library: ModuleType, content: bytes) -> Any:  # noqa: ANN401 (a stream of the library)
    """Return a body as a request of httpx or httpx2, which accept only subclasses of the library's streams."""
    return _body_class(library)(content)


@lru_cache(maxsize=2)
def _body_class(library: ModuleType) -> type[WholeBody]:
    return type("WholeBody", (WholeBody, library.SyncByteStream, library.AsyncByteStream), {})


class URL:
    """A plain URL."""

    def __init__(self, url: str) -> None:
        scheme, host, port, path, query = cast("re.Match[str]", _match(url)).groups()
        self._text = url
        self.raw_scheme, self.raw_host = scheme.encode(), host.encode()
        self.port = int(port[1:]) if port else None
        self.raw_path = ((path or "/") + (query or "")).encode()

    @property
    def netloc(self) -> bytes:
        """Host and port."""
        return self.raw_host if self.port is None else b"%b:%d" % (self.raw_host, self.port)

    def __str__(self) -> str:
        return self._text


class InvalidURL(Exception):  # noqa: N818 (httpx's name)
    """Raised by httpx only, because other URLs than plain ones are passed to it."""


class Headers(MutableMapping[str, str]):
    """Headers of a request or a response, with case-insensitive names.

    Args:
        headers: A mapping, or pairs of text, or pairs of bytes.
    """

    __slots__ = ("raw",)

    def __init__(self, headers: Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]] = ()) -> None:
        pairs: Any = getattr(headers, "raw", headers)
        if type(pairs) is not list and isinstance(pairs, Mapping):  # the check of an abstract class takes longer
            pairs = cast("Mapping[str, str]", pairs).items()
        self.raw: list[tuple[bytes, bytes]] = list(cast("Any", pairs))
        if self.raw and isinstance(self.raw[0][0], str):
            texts = cast("list[tuple[str, str]]", self.raw)
            self.raw = [(name.encode(), value.encode()) for name, value in texts]

    def multi_items(self) -> list[tuple[str, str]]:
        """Return names in lower case and values; a repeated header is listed as often as it was received."""
        encoding = self._encoding()
        return [(name.decode(encoding).lower(), value.decode(encoding)) for name, value in self.raw]

    def _encoding(self) -> str:
        """Return the encoding that all headers have."""
        text = b"".join(part for pair in self.raw for part in pair)
        if text.isascii():
            return "ascii"
        try:
            for part in (part for pair in self.raw for part in pair):
                part.decode()
        except UnicodeDecodeError:
            return "latin-1"
        return "utf-8"

    def _values(self, name: str) -> list[bytes]:
        key = name.lower().encode()
        return [value for other, value in self.raw if other.lower() == key]

    def __getitem__(self, name: str) -> str:
        if not (values := self._values(name)):
            raise KeyError(name)
        joined = b", ".join(values)
        return joined.decode("ascii" if joined.isascii() else self._encoding())

    def __setitem__(self, name: str, value: str) -> None:
        if self._values(name):
            del self[name]
        self.raw.append((name.encode(), value.encode()))

    def __delitem__(self, name: str) -> None:
        if not self._values(name):
            raise KeyError(name)
        key = name.lower().encode()
        self.raw = [pair for pair in self.raw if pair[0].lower() != key]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._values(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.multi_items()))

    def __len__(self) -> int:
        return len(dict(self.multi_items()))

    def __eq__(self, other: object) -> bool:
        if not is_mapping(other):
            return False
        pairs: list[tuple[object, object]] = list(getattr(other, "multi_items", other.items)())
        texts = [(name.lower(), value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)]
        return len(texts) == len(pairs) and sorted(self.multi_items()) == sorted(texts)

    __hash__ = None  # type: ignore[assignment] # as every mutable mapping

    def __repr__(self) -> str:
        shown = [(name, "[secure]" if name in _SECURE else value) for name, value in self.multi_items()]
        return f"{type(self).__name__}({shown if len(self) < len(shown) else dict(shown)!r})"


class Request:
    """A request whose body is in memory."""

    def __init__(
        self,
        method: str,
        url: URL,
        *,
        headers: Headers | list[tuple[bytes, bytes]],
        stream: WholeBody,
        extensions: Mapping[str, Any],
    ) -> None:
        self.method, self.url = method.upper(), url
        self.headers = Headers(headers)
        self.stream = stream
        self.extensions = extensions

    @property
    def content(self) -> bytes:
        """The body."""
        return self.stream.content

    def __repr__(self) -> str:
        return f"<Request({self.method!r}, '{self.url}')>"


class Response:
    """A response whose body is in `stream`."""

    def __init__(self, received: httpcore.Response) -> None:
        self.status_code = received.status
        self.headers = Headers(received.headers)
        self.stream: Any = received.stream


class DecodingError(Exception):
    """The body is damaged."""


class TimeoutException(Exception):  # noqa: N818 (errors are recognized by the names that httpx has for them)
    """Base of timeouts."""


class ReadTimeout(TimeoutException):
    """The deadline passed while the body was decompressed."""


def errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of sending, which are those of httpcore and of this module."""
    core = import_module("httpcore")
    return (
        core.NetworkError, core.TimeoutException, core.ProtocolError, core.ProxyError, core.UnsupportedProtocol,
        DecodingError, TimeoutException,
    )  # fmt: skip


class _Transport:
    """Sends requests without a proxy, on a pool of httpcore."""

    def __init__(self, pool: str, tls: ssl.SSLContext, limits: Mapping[str, float]) -> None:
        self._core = import_module("httpcore")
        self._pool: Any = getattr(self._core, pool)(ssl_context=tls, **limits)

    def _as_sent(self, request: Request) -> httpcore.Request:
        url = request.url
        to = self._core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        made: httpcore.Request = self._core.Request(
            request.method, to, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        return made


class HTTPTransport(_Transport):
    """Sends the requests of a blocking client."""

    def __init__(self, *, verify: ssl.SSLContext, limits: Mapping[str, float], proxy: None = None) -> None:  # noqa: ARG002 (httpx's signature)
        super().__init__("ConnectionPool", verify, limits)

    def handle_request(self, request: Request) -> Response:
        """Send a request."""
        return Response(self._pool.handle_request(self._as_sent(request)))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class AsyncHTTPTransport(_Transport):
    """Sends the requests of an async client on one event loop."""

    def __init__(self, *, verify: ssl.SSLContext, limits: Mapping[str, float], proxy: None = None) -> None:  # noqa: ARG002 (httpx's signature)
        super().__init__("AsyncConnectionPool", verify, limits)

    async def handle_async_request(self, request: Request) -> Response:
        """Send a request."""
        return Response(await self._pool.handle_async_request(self._as_sent(request)))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


ByteStream, Limits = WholeBody, dict
