"""One POST to a stranger: the status of its answer, and nothing else of it.

Whoever answers may mean harm, or be broken: it may never answer, drip, flood, send heads without an end or a body of
gigabytes, break off, or not speak HTTP at all. So no redirect is followed and no body is decoded, no more than some
KiB are read, and memory and time do not depend on what comes.
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
from functools import lru_cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping

_MOST_READ = 16 * 1024
_POLITENESS = 0.5  # seconds to let a receiver finish its answer, which one that is cut off might report as an error
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: .*)?\r?\n")
_HOST = re.compile(rb"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+")  # a name or an address; httpx lets much else pass
_HIGHEST_PORT = 65_535
_PORTS = {"http": 80, "https": 443}


@asynccontextmanager
async def post_untrusted(
    url: str, headers: Mapping[str, str], body: bytes, *, timeout: float, remote: bool
) -> AsyncGenerator[int | None]:
    """Send a request on a connection of its own, and give the status of the answer; None when there is none.

    Inside of the context the status is known; on leaving it the receiver is let finish what it has to say.

    Args:
        url: Where to; one that `can_be_sent_to`.
        headers: What to send beside what every request has.
        body: What to send.
        timeout: Seconds until the head of the answer must have come, from the name lookup on.
        remote: False to connect to loopback addresses only.

    Raises:
        RemoteReceiverError: The host has an address that is not loopback, and `remote` is False. Nothing was sent.
    """
    exchange = _Exchange(remote=remote)
    try:
        status = None
        with contextlib.suppress(asyncio.TimeoutError, OSError, EOFError, ValueError):  # ValueError: it is not HTTP
            status = await asyncio.wait_for(exchange.ask(httpx.URL(url), headers, body), timeout)
        yield status
        if status is not None:
            with contextlib.suppress(asyncio.TimeoutError, OSError):
                await asyncio.wait_for(exchange.rest(), _POLITENESS)
    finally:
        exchange.close()


class RemoteReceiverError(Exception):
    """The host of a receiver is not this machine."""


def can_be_sent_to(url: str) -> bool:
    """Tell whether a URL is one that `post` can make sense of; nothing is sent, and no name looked up."""
    try:
        target = httpx.URL(url)
        _head(target, {}, 0)
    except (httpx.InvalidURL, ValueError):  # ValueError: half a character
        return False
    has_port = target.port is None or 1 <= target.port <= _HIGHEST_PORT
    return url.startswith(("http://", "https://")) and has_port and bool(_HOST.fullmatch(target.raw_host))


class _Exchange:
    """A request and its answer, of which a fixed number of bytes is read."""

    def __init__(self, *, remote: bool) -> None:
        self._remote = remote
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None
        self._left = _MOST_READ

    async def ask(self, target: httpx.URL, headers: Mapping[str, str], body: bytes) -> int:
        """Send the request and read the answer's head; ValueError when it is none."""
        self._reader, self._writer = await _connect(target, remote=self._remote)
        self._writer.write(_head(target, headers, len(body)) + body)
        while True:
            line = _STATUS_LINE.fullmatch(await self._line())
            if line is None:
                raise ValueError("not HTTP")
            while (await self._line()).strip():
                pass
            status = int(line[1])
            if status >= 200 or status == 101:  # noqa: PLR2004 (1xx comes ahead of the answer: RFC 9110, section 15.2)
                return status

    async def rest(self) -> None:
        """Read what else comes, to its end or as much of it as will be read."""
        while self._left > 0 and (data := await self._reader.read(self._left)):
            self._left -= len(data)

    def close(self) -> None:
        """Let go of the connection at once: to close politely would be to wait for the other side."""
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
    # The addresses that are checked are those connected to: a second lookup could have another answer.
    if not remote and not all(map(_is_loopback, addresses)):
        raise RemoteReceiverError(host)
    context = await asyncio.to_thread(_tls) if target.scheme == "https" else None
    name = host if context else None
    refused: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port, limit=_MOST_READ, ssl=context, server_hostname=name)
        except OSError as error:
            refused = error
    raise refused or OSError(f"{host} has no address")


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


async def _addresses(host: str) -> list[str]:
    """Look a name up, on a thread that nobody waits for when it takes too long.

    The loop's own lookups share a few threads, which slow name servers would keep from everyone else; and the loop
    does not end before them.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str]) -> None:
        if not found.done():  # too late
            found.set_result(addresses)

    def look_up() -> None:
        addresses: list[str] = []
        with contextlib.suppress(OSError, UnicodeError):
            addresses = [str(it[4][0]) for it in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, addresses)

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
    """Load the certificates; takes longer than all else, so it is done once, and on a thread."""
    return httpx.create_ssl_context()
