"""A server of a raw socket and threads that follows a script for each request, mostly of faults.

A fault is a function of a `Peer`, one connection, and plays one request: it may read it, answer it, drip, reset, close
or stall. `FaultServer.play(a, b, then=c)` does `a` to the first request, `b` to the second one, `c` to all others.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Self

Headers: TypeAlias = Iterable[tuple[str, str]]

PATIENCE = 10.0  # seconds after which an expected event counts as missing
_PROMPT = {"id": "p1", "title": "Greeting", "content": "Hello {{name}}"}
PROMPT = json.dumps({"success": True, "data": _PROMPT}).encode()
ERROR = json.dumps({"error": {"code": "OOPS", "message": "it went wrong"}}).encode()


def certificate(name: str) -> Path:
    """Return the path of a certificate and its key: test clients trust `trusted`, and no client trusts `stranger`."""
    return Path(__file__).with_name(f"{name}.pem")


def serving_tls(name: str) -> ssl.SSLContext:
    """Create the TLS context of a server with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(name))
    return context


@dataclass(frozen=True)
class Received:
    """One request as the server read it."""

    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


class Gone(Exception):  # noqa: N818 (ends the connection of a script)
    """The connection is closed."""


class Peer:
    """One connection, as used by a fault."""

    def __init__(self, server: FaultServer, connection: socket.socket) -> None:
        self.server = server
        self.socket = connection
        self._buffer = b""

    def arrived(self) -> bool:
        """Wait for the first bytes of a request, without taking them; False when the client has closed."""
        if isinstance(self.socket, ssl.SSLSocket):  # which cannot peek
            self._buffer = self._buffer or self.socket.recv(65_536)
            return bool(self._buffer)
        return bool(self._buffer) or bool(self.socket.recv(1, socket.MSG_PEEK))

    def read(self) -> Received:
        """Read one whole request."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        received = Received(method, path, headers, body)
        self.server.received.append(received)
        return received

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise Gone
        self._buffer += data

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def drip(self, data: bytes, every: float) -> None:
        """Send the bytes slowly, until all are sent, the client leaves or the server stops."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if self.server.stopping.wait(every):
                raise Gone

    def stall(self) -> None:
        """Do nothing until the client leaves."""
        while self.socket.recv(65_536):
            pass
        raise Gone

    def close(self) -> None:
        """Close the connection cleanly."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        raise Gone

    def reset(self) -> None:
        """Reset the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise Gone

    def start_tls(self, name: str) -> None:
        """Perform the TLS handshake with a certificate."""
        self.socket = serving_tls(name).wrap_socket(self.socket, server_side=True)


Fault: TypeAlias = Callable[[Peer], None]


def at_connect(fault: Fault) -> Fault:
    """Mark a fault that plays when a connection opens, not when a request arrives."""
    fault.at_connect = True  # type: ignore[attr-defined]
    return fault


def answer(status: int, body: bytes = b"", headers: Headers = (), *, version: str = "1.1") -> bytes:
    """Build a response; its length is added unless the headers have one."""
    lines = [f"HTTP/{version} {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers)]
    told = {name.lower() for name, _ in headers}
    if status >= 200 and status not in {204, 304} and not told & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Who Knows"


def fine(peer: Peer) -> None:
    """Answer as the API does."""
    number = len(peer.server.received) + 1
    is_delete = peer.read().method == "DELETE"
    headers = [("X-Request-Id", f"req_{number}"), ("Content-Type", "application/json")]
    peer.send(answer(204, headers=headers) if is_delete else answer(200, PROMPT, headers))


class FaultServer:
    """Listens on a separate port, with a thread for each connection.

    Args:
        listening: False to be a port that refuses connections, until `listen()`.
        tls: The name of the certificate to greet each connection with; None serves plain HTTP.
    """

    def __init__(self, *, listening: bool = True, tls: str | None = None) -> None:
        self.received: list[Received] = []
        """The requests that were read, since the last `play`."""
        self.attempts = 0
        """The requests that a fault was played to, read or not, since the last `play`."""
        self.connections = 0
        """Connections accepted since the last `play`."""
        self.stopping = threading.Event()
        self.problems: list[BaseException] = []
        """Errors of the server; must stay empty."""
        self._tls = tls
        self._script: deque[Fault] = deque()
        self._then: Fault = fine
        self._changed = threading.Condition()
        self._open: set[Peer] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._listening = False
        if listening:
            self.listen()

    @property
    def base_url(self) -> str:
        """The base URL for a client."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/api/v1"

    def listen(self) -> None:
        """Accept connections from now on."""
        self._listening = True
        self._listener.listen(1_000)
        self._start(self._accept)

    def play(self, *faults: Fault, then: Fault = fine) -> None:
        """Set the faults for the next requests, and reset the counters."""
        self._script = deque(faults)
        self._then = then
        self.received = []
        self.attempts = self.connections = 0

    def wait_for_connections(self, at_most: int = 0) -> None:
        """Wait until the client has closed its connections, but for so many that it may keep.

        Raises:
            AssertionError: It leaks some.
        """
        with self._changed:
            closed = self._changed.wait_for(lambda: len(self._open) <= at_most, PATIENCE)
            assert closed, f"{len(self._open)} connections are open"

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Reset all connections and stop listening."""
        self.stopping.set()
        if self._listening:
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in list(self._open):
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        if self.problems:
            raise self.problems[0]

    def _start(self, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # stopped
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(self, connection)
            with self._changed:
                self._open.add(peer)
                self.connections += 1
            self._start(lambda peer=peer: self._serve(peer))  # type: ignore[misc]

    def _serve(self, peer: Peer) -> None:
        try:
            if fault := self._take(at_connect=True):
                fault(peer)
            if self._tls and not isinstance(peer.socket, ssl.SSLSocket):
                peer.start_tls(self._tls)
            while peer.arrived() and (fault := self._take()):
                fault(peer)
        except (Gone, OSError):  # scripted, or the client has left
            pass
        except BaseException as problem:  # noqa: BLE001 (raised when the server stops)
            self.problems.append(problem)
        finally:
            peer.socket.close()
            with self._changed:
                self._open.discard(peer)
                self._changed.notify_all()

    def _take(self, *, at_connect: bool = False) -> Fault | None:
        """Take the next fault of the script; of those that play at connect only when asked for."""
        with self._changed:
            fault = self._script[0] if self._script else self._then
            if at_connect and not hasattr(fault, "at_connect"):
                return None
            if self._script:
                self._script.popleft()
            self.attempts += 1
            return fault


class FullBacklog:
    """A port with a full backlog, which neither accepts nor refuses connections."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._queued: list[socket.socket] = []

    @property
    def base_url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.port}/api/v1"

    def __enter__(self) -> Self:
        for _ in range(8):  # Linux accepts one more than the backlog
            queued = socket.socket()
            queued.setblocking(False)
            queued.connect_ex(("127.0.0.1", self.port))
            self._queued.append(queued)
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self._queued, self._listener):
            one.close()
