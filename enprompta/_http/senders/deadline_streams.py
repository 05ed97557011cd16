"""Connections whose blocking operations end at the thread's deadline, however slowly bytes drip in.

A timeout of httpx applies to one socket operation, so a response that trickles in byte by byte never exceeds it. With a
deadline, each operation gets the remaining time as its timeout. Async calls are canceled from outside instead.

A host with several addresses is connected to without waiting for unreachable ones (RFC 8305, "Happy Eyeballs"): if an
attempt has not succeeded within 250 ms, the next address is tried in parallel; after a failure, it is tried at once.
The first connection wins and the others are closed. All attempts run in the caller's thread, with one selector.

Imported with the first client, because importing httpcore is slow.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import sys
from collections import deque
from importlib import import_module
from itertools import chain, zip_longest
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from weakref import WeakSet

import httpcore

from enprompta._common.clock import monotonic
from enprompta._common.handler_errors import errors_to, handler_error, ignoring, is_from_handler
from enprompta._core.steps import TRIED
from enprompta._http.senders.base import is_bound, remaining_timeout
from enprompta._http.senders.unread import Unread, core_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from typing_extensions import Self

    from enprompta._http.senders.unread import CorePart

Address: TypeAlias = "tuple[int, int, int, str, Any]"
"""One result of `socket.getaddrinfo`."""

ATTEMPT_DELAY = 0.25
"""Seconds before the next address is tried in parallel ("Connection Attempt Delay" in RFC 8305)."""
_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}
T = TypeVar("T")

_PART = 65_536  # bytes

_streams: WeakSet[DeadlineStream] = WeakSet()


class Race:
    """Parallel attempts to connect to the addresses of one host; a context manager that closes the losing ones.

    Args:
        addresses: Results of `socket.getaddrinfo`, best first.
        local_address: Local address to connect from; None for any.
    """

    def __init__(self, addresses: Sequence[Address], local_address: str | None) -> None:
        self._waiting = deque(interleaved(addresses))
        self._local_address = local_address
        self._running: dict[socket.socket, str] = {}
        self._failures: list[str] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for sock in self._running:
            sock.close()

    def run(self, timeout: float | None) -> socket.socket:
        """Connect.

        Args:
            timeout: Seconds for all attempts together; None for the system's limit.

        Returns:
            The socket that connected first, in non-blocking mode.

        Raises:
            TimeoutError: The timeout passed; the message lists each address with its result.
            OSError: All addresses failed; the message lists each with its reason.
        """
        ends = None if timeout is None else monotonic() + timeout
        while self._waiting or self._running:
            if self._waiting and (won := self._start(self._waiting.popleft())):
                return won
            if self._running and (won := self._wait(ends)):
                return won
        raise OSError(self._outcome())

    def _start(self, to: Address) -> socket.socket | None:
        """Start an attempt; return its socket if it succeeds immediately."""
        family, kind, protocol, _, address = to
        name = _name(address)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # the address family is not supported
            return self._failed(name, error)
        self._running[sock] = name
        try:
            sock.setblocking(False)
            if self._local_address is not None:
                sock.bind((self._local_address, 0))
            code = sock.connect_ex(address)
        except OSError as error:  # the local address is of another family or does not exist
            del self._running[sock]
            sock.close()
            return self._failed(name, error)
        if code not in _IN_PROGRESS:
            return self._ended(sock, code)
        self._selector.register(sock, selectors.EVENT_WRITE)
        return None

    def _failed(self, name: str, error: OSError) -> None:
        if is_from_handler(error):
            raise error
        self._failures.append(f"{name} ({error.strerror or error})")

    def _wait(self, ends: float | None) -> socket.socket | None:
        """Wait until an attempt ends or the next one is due; return the socket of a successful one."""
        left = None if ends is None else ends - monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(self._outcome())
        pauses = [pause for pause in (left, ATTEMPT_DELAY if self._waiting else None) if pause is not None]
        for key, _ in self._selector.select(min(pauses, default=None)):
            sock: Any = key.fileobj
            self._selector.unregister(sock)
            if won := self._ended(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                return won
        return None

    def _ended(self, sock: socket.socket, code: int) -> socket.socket | None:
        """Finish an attempt; return its socket if it succeeded."""
        name = self._running.pop(sock)
        if not code:
            return sock
        sock.close()
        self._failures.append(f"{name} ({os.strerror(code)})")
        return None

    def _outcome(self) -> str:
        return TRIED + ", ".join([*self._failures, *(f"{name} (no answer)" for name in self._running.values())])


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Order addresses so that families alternate, starting with the family of the first one."""
    families: dict[int, list[Address]] = {}
    for one in addresses:
        families.setdefault(one[0], []).append(one)
    return [one for one in chain.from_iterable(zip_longest(*families.values())) if one is not None]


def _name(address: Any) -> str:  # noqa: ANN401 (a tuple of two, or of four for IPv6)
    host, port, *_ = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bound_reads(pool: CorePart) -> None:
    """Make the connections of a pool respect `thread_deadline`."""
    backend = pool._network_backend  # noqa: SLF001 (no public API)
    if not isinstance(backend, DeadlineBackend):
        pool._network_backend = DeadlineBackend(backend, core_of(pool))  # noqa: SLF001 (no public API)


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections whose operations end at the thread's deadline."""

    def __init__(self, inner: httpcore.NetworkBackend, core: ModuleType) -> None:
        self._inner = inner
        self._core = core

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[object] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect within the remaining time, to the first address of the host that responds."""
        if type(self._inner) is not self._core.SyncBackend:  # a custom backend, which may not use sockets
            timeout = remaining_timeout(timeout, self._core.ConnectTimeout)
            return self._stream(self._inner.connect_tcp, host, port, timeout, local_address, socket_options)
        try:
            sock = self._socket(host, port, timeout, local_address, socket_options)
        except OSError as error:
            if is_from_handler(error):
                raise
            kind = self._core.ConnectTimeout if isinstance(error, TimeoutError) else self._core.ConnectError
            raise kind(str(error)) from error
        backends = import_module(f"{self._core.__name__}._backends.sync")
        return DeadlineStream(backends.SyncStream(sock), self._core)

    def _socket(
        self, host: str, port: int, timeout: float | None, local_address: str | None, options: Iterable[Any] | None
    ) -> socket.socket:
        addresses = self._addresses(host, port)
        with Race(addresses, local_address) as race:
            sock = race.run(remaining_timeout(timeout, self._core.ConnectTimeout))
        try:
            for option in (*(options or ()), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                sock.setsockopt(*option)
        except BaseException:
            sock.close()
            raise
        return sock

    def _stream(self, connect: Callable[..., httpcore.NetworkStream], *arguments: object) -> DeadlineStream:
        return DeadlineStream(as_raised(self._core, connect, *arguments), self._core)

    def _addresses(self, host: str, port: int) -> Sequence[Address]:
        """Resolve a host within the remaining time; IP addresses need no lookup."""
        with ignoring(OSError):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return self._resolve(host, port) if is_bound() else socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    def _resolve(self, host: str, port: int) -> list[object]:
        """Resolve a host in a thread, because the system's resolver has no timeout and can take half a minute.

        At the deadline, the thread is abandoned; it ends when the resolver returns.
        """
        from concurrent import futures  # noqa: PLC0415 (only host names with a deadline need it)

        answer: futures.Future[list[Any]] = futures.Future()

        def resolve() -> None:
            with errors_to(answer.set_exception):  # raised below unless the deadline has passed
                answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

        try:
            Thread(target=resolve, name="enprompta-lookup", daemon=True).start()
        except RuntimeError as error:  # no further thread can be started, or Python has no threads
            if is_from_handler(error):
                raise
            resolve()
        try:
            return answer.result(remaining_timeout(None, self._core.ConnectTimeout))
        except futures.TimeoutError:
            raise self._core.ConnectTimeout(f"{host} was not found in time") from None
        except OSError as error:
            raise self._core.ConnectError(str(error)) from error

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[object] | None = None
    ) -> httpcore.NetworkStream:
        """Connect within the remaining time."""
        timeout = remaining_timeout(timeout, self._core.ConnectTimeout)
        return self._stream(self._inner.connect_unix_socket, path, timeout, socket_options)

    def sleep(self, seconds: float) -> None:
        """Sleep between connection attempts, within the remaining time."""
        self._inner.sleep(remaining_timeout(seconds, self._core.ConnectTimeout))


class DeadlineStream(httpcore.NetworkStream):
    """A connection whose operations end at the thread's deadline, and that reports unread bytes."""

    setup_timeout: float | None = None
    """Seconds for each operation that has no timeout, as those with a SOCKS proxy; None for no limit."""

    def __init__(self, inner: httpcore.NetworkStream, core: ModuleType) -> None:
        self._inner = inner
        self._core = core
        self.unread = Unread(inner)
        _streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within the remaining time."""
        outside = sys.exc_info()[1]
        try:
            return self._inner.read(max_bytes, remaining_timeout(timeout or self.setup_timeout, self._core.ReadTimeout))
        except (self._core.NetworkError, self._core.TimeoutException) as error:
            if (raised := handler_error(error, outside=outside)) is None:
                raise
        raise raised

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write within the remaining time."""
        outside = sys.exc_info()[1]
        try:
            # In parts: the inner stream restarts the timeout whenever it has sent a part of the buffer.
            for start in range(0, len(buffer), _PART):
                self._inner.write(buffer[start : start + _PART], remaining_timeout(timeout, self._core.WriteTimeout))
        except (self._core.NetworkError, self._core.TimeoutException) as error:
            if (raised := handler_error(error, outside=outside)) is None:
                raise
        else:
            return
        raise raised  # httpcore ignores its own WriteError to read an early response

    def close(self) -> None:
        """Close the connection and wake a thread that waits for a response on it."""
        sock = self._inner.get_extra_info("socket")
        try:
            if isinstance(sock, socket.socket):
                with ignoring(OSError):  # already closed, or never connected
                    # Closing alone leaves a thread in `recv` until its timeout. `SSLSocket.shutdown` would remove the
                    # TLS state while that thread uses it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        finally:
            self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Perform the TLS handshake within the remaining time."""
        timeout = remaining_timeout(timeout, self._core.ConnectTimeout)
        inner = as_raised(self._core, self._inner.start_tls, ssl_context, server_hostname, timeout)
        return DeadlineStream(inner, self._core)

    def get_extra_info(self, info: str) -> object:
        """Return information about the connection; unread bytes count as readable."""
        if info == "is_readable" and self.unread.found():
            return True
        return self._inner.get_extra_info(info)


def as_raised(core: ModuleType, operation: Callable[..., T], *arguments: object) -> T:
    """Run a network operation; re-raise the exception of a signal handler instead of the error it was converted to.

    Args:
        core: The library.
        operation: The operation.
        arguments: Its arguments.
    """
    outside = sys.exc_info()[1]
    try:
        return operation(*arguments)
    except (core.NetworkError, core.TimeoutException) as error:
        if (raised := handler_error(error, outside=outside)) is None:
            raise
    raise raised


def close_inherited_sockets() -> None:
    """Close a child process's copies of its parent's sockets; the parent's connections stay open."""
    for stream in list(_streams):
        sock = stream.get_extra_info("socket")
        # Without `shutdown` and without closing TLS, which would both send data on the parent's connection.
        if isinstance(sock, socket.socket) and (descriptor := sock.detach()) >= 0:
            os.close(descriptor)
