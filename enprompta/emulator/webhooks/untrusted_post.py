"""A POST request to an untrusted receiver, of whose response only the status and the start are used.

The receiver may be hostile or broken: it may never respond, trickle, send endless headers or gigabytes of body, close
the connection, or not speak HTTP. So redirects are not followed, bodies are not decoded, only a few KiB are read, and
neither memory nor time depends on what the receiver sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping

_MAX_READ = 16 * 1024
_DRAIN_SECONDS = 0.5  # time for a receiver to finish its response; it might report an aborted one as an error
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: .*)?\r?\n")
_HOST = re.compile(rb"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+")  # a name or an address; httpx accepts much more
_MAX_PORT = 65_535
_PORTS = {"http": 80, "https": 443}


@asynccontextmanager
async def post_untrusted(
    url: str, headers: Mapping[str, str], body: bytes, *, timeout: float, remote: bool
) -> AsyncGenerator[Answer]:
    """Send a request on a new connection and yield the response, as far as it is read.

    Leaving the context gives the receiver a moment to finish its response.

    Raises:
        RemoteReceiverError: The host has an address other than loopback and `remote` is False. Nothing was sent.
    """
    exchange = _Exchange(remote=remote)
    try:
        with contextlib.suppress(asyncio.TimeoutError, OSError, EOFError, ValueError):  # ValueError: not HTTP
            await asyncio.wait_for(exchange.send(httpx.URL(url), headers, body), timeout)
        yield exchange.answer
        if exchange.answer.status is not None:
            with contextlib.suppress(asyncio.TimeoutError, OSError):
                await asyncio.wait_for(exchange.drain(), _DRAIN_SECONDS)
    finally:
        exchange.close()


@dataclass(slots=True)
class Answer:
    """A receiver's response."""

    status: int | None = None
    """None if there is no response."""
    start: bytearray = field(default_factory=bytearray)
    """Headers and the beginning of the body, as received; complete when the context is left."""


class RemoteReceiverError(Exception):
    """A receiver's host is not this machine."""


def can_be_sent_to(url: str) -> bool:
    """Return True if `post_untrusted` accepts a URL; sends nothing and looks up no name."""
    try:
        target = httpx.URL(url)
        _head(target, {}, 0)
    except (httpx.InvalidURL, ValueError):  # ValueError: a lone surrogate
        return False
    has_port = target.port is None or 1 <= target.port <= _MAX_PORT
    return url.startswith(("http://", "https://")) and has_port and bool(_HOST.fullmatch(target.raw_host))


class _Exchange:
    """A request and its response, of which at most `_MAX_READ` bytes are read."""

    def __init__(self, *, remote: bool) -> None:
        self._remote = remote
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None
        self._left = _MAX_READ
        self.answer: Answer = Answer()

    async def send(self, target: httpx.URL, headers: Mapping[str, str], body: bytes) -> None:
        """Send the request and read the response headers; raise `ValueError` if it is not HTTP."""
        self._reader, self._writer = await _connect(target, remote=self._remote)
        self._writer.write(_head(target, headers, len(body)) + body)
        while True:
            line = _STATUS_LINE.fullmatch(await self._line())
            if line is None:
                raise ValueError("not HTTP")
            self.answer.start.clear()
            while (header := await self._line()).strip():
                self.answer.start += header
            status = int(line[1])
            if status >= 200 or status == 101:  # noqa: PLR2004 (1xx responses are interim: RFC 9110, section 15.2)
                self.answer.start += header
                self.answer.status = status
                return

    async def drain(self) -> None:
        """Read the rest of the response, up to the limit."""
        while self._left > 0 and (data := await self._reader.read(self._left)):
            self._left -= len(data)
            self.answer.start += data

    def close(self) -> None:
        """Abort the connection; a regular close would wait for the receiver."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _line(self) -> bytes:
        line = await self._reader.readline()  # ValueError when it is longer than the reader's limit
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise EOFError
        if self._left < 0:
            raise ValueError("too long")
        return line


async def _connect(target: httpx.URL, *, remote: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = target.raw_host.decode("ascii"), target.port or _PORTS[target.scheme]
    addresses = await _addresses(host)
    # Connect to the addresses that were checked: a second lookup could return others (DNS rebinding).
    if not remote and not all(map(_is_loopback, addresses)):
        raise RemoteReceiverError(host)
    context = await asyncio.to_thread(_tls) if target.scheme == "https" else None
    name = host if context else None
    failure: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port, limit=_MAX_READ, ssl=context, server_hostname=name)
        except OSError as error:
            failure = error
    raise failure or OSError(f"{host} has no address")


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


async def _addresses(host: str) -> list[str]:
    """Look up a name on a separate daemon thread, which is abandoned when it takes too long.

    The event loop's own lookups share a small thread pool that slow name servers could exhaust, and that the loop waits
    for when it closes.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def resolve(addresses: list[str]) -> None:
        if not found.done():  # it is cancelled after a timeout
            found.set_result(addresses)

    def look_up() -> None:
        addresses: list[str] = []
        with contextlib.suppress(OSError, UnicodeError):
            addresses = [str(it[4][0]) for it in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(resolve, addresses)

    threading.Thread(target=look_up, name="enprompta-emulator-lookup", daemon=True).start()
    return await found


def _head(target: httpx.URL, headers: Mapping[str, str], length: int) -> bytes:
    sent = {"Host": target.netloc.decode("ascii"), **headers, "Content-Length": str(length), "Connection": "close"}
    if target.userinfo:
        sent["Authorization"] = f"Basic {b64encode(f'{target.username}:{target.password}'.encode()).decode()}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return b"POST " + target.raw_path + b" HTTP/1.1\r\n" + lines.encode("latin-1") + b"\r\n"


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Load the CA certificates, once and on a thread, because it is slow."""
    return httpx.create_ssl_context()
