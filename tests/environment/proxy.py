"""A proxy on this machine: it opens tunnels by HTTP or SOCKS, or refuses to."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self


class Proxy:
    """A proxy that passes on what it is sent, through tunnels, to whatever address it is asked for.

    Args:
        refusal: What it answers instead of opening a tunnel; empty to hang up.
        credentials: `user:password` that it wants; None for none.
        tls: Wraps its connections, for a proxy with https://.
    """

    def __init__(
        self, refusal: bytes | None = None, *, credentials: bytes | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[bytes] = []
        """The head of each HTTP request, or `host:port` of each SOCKS request."""
        self._refusal = refusal
        self._credentials = credentials
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._sockets.append(client)
            first = client.recv(1)
            there = self._by_socks(client) if first == b"\x05" else self._by_http(client, first)
            if there is None:
                client.close()
                return
            self._sockets.append(there)
            self._start(self._pass_on, there, client)
            self._pass_on(client, there)

    def _by_http(self, client: socket.socket, head: bytes) -> socket.socket | None:
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(65_536)):
                return None
            head += part
        self.asked.append(head)
        if self._refusal is not None:
            client.sendall(self._refusal)
            return None
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        there = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return there

    def _by_socks(self, client: socket.socket) -> socket.socket | None:
        client.recv(client.recv(1)[0])  # the ways to authenticate that it offers
        if self._credentials is None:
            client.sendall(b"\x05\x00")
        else:
            client.sendall(b"\x05\x02")
            client.recv(1)
            username = client.recv(client.recv(1)[0])
            if username + b":" + client.recv(client.recv(1)[0]) != self._credentials:
                client.sendall(b"\x01\x01")
                return None
            client.sendall(b"\x01\x00")
        kind = client.recv(4)[3]
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        port = int.from_bytes(client.recv(2), "big")
        self.asked.append(f"{host}:{port}".encode())
        if self._refusal is not None:
            client.sendall(b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")
            return None
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return socket.create_connection((host, port))

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65_536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
