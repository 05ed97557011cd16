"""A server in a separate process that answers at once with the same bytes, so that the client is what is measured.

It speaks enough HTTP for well-formed clients, and reports a request budget that never runs out, so pacing is active.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import socket
import ssl
import time
from email.utils import formatdate
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from typing_extensions import Self

_AT = "2026-01-15T10:30:00Z"
_LIMIT = re.compile(rb"[?&]limit=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


def prompt(number: int) -> dict[str, Any]:
    """Make a prompt as the API writes it."""
    return {
        "id": f"pmt_{number:012d}", "title": "Email writer", "content": "Write an e-mail about {{topic}}",
        "description": None, "tags": ["a", "b"], "variables": [{"name": "topic", "type": "text", "required": True}],
        "visibility": "PRIVATE", "version": 1, "usageCount": 3, "teamId": None, "createdAt": _AT, "updatedAt": _AT,
    }  # fmt: skip


@cache
def _body(target: bytes) -> bytes:
    path, _, _ = target.partition(b"?")
    if path == b"/v1/models/m":  # as the API of another SDK writes a small object
        data: Any = {"id": "m", "object": "model", "created": 1686935002, "owned_by": "nobody"}
    elif path == b"/api/v1/prompts":
        found = _LIMIT.search(target)
        number = int(found[1]) if found else 20
        pagination = {"has_more": False, "next_cursor": None, "total_count": number, "limit": number}
        data = {"success": True, "data": [prompt(i) for i in range(number)], "pagination": pagination}
    else:
        data = {"success": True, "data": prompt(1)}
    return json.dumps(data, separators=(",", ":")).encode()


@cache
def _head(second: int) -> bytes:
    _head.cache_clear()
    date = formatdate(second, usegmt=True)
    reset = second // 60 * 60 + 60
    return (
        f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\nX-Request-Id: req_0123456789\r\n"
        f"X-RateLimit-Limit: 1000000000\r\nX-RateLimit-Remaining: 999999999\r\nX-RateLimit-Reset: {reset}\r\n"
    ).encode()


class _Answering(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            body = _body(self._buffer.split(b" ", 2)[1])
            self._buffer = self._buffer[end:]
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (_head(int(time.time())), len(body), body))


def _serve(told: Connection, certificate: str) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
    if tls is not None:
        tls.load_cert_chain(certificate)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0, backlog=2048, ssl=tls)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    pin(-1)
    asyncio.run(main())


def pin(cpu: int) -> None:
    """Keep this process on one processor, so that client and server do not take turns; -1 is the last one."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {sorted(range(os.cpu_count() or 1))[cpu]})


class Canned:
    """The server, running inside of a `with` block.

    Args:
        certificate: A PEM file with a certificate and its key, to serve https; None for http.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = "" if certificate is None else str(certificate)

    def __enter__(self) -> Self:
        here, there = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(there, self._certificate), daemon=True
        )
        self._process.start()
        scheme = "https" if self._certificate else "http"
        self.origin = f"{scheme}://127.0.0.1:{here.recv()}"
        self.base_url = f"{self.origin}/api/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
