"""Connections whose blocking operations end at the thread's deadline, however slowly bytes drip in.

A timeout of httpx applies to one socket operation, so a response that trickles in byte by byte never exceeds it. With a
deadline, each operation gets the remaining time as its timeout. Async calls are canceled from outside instead.

Imported with the first client, because importing httpcore is slow.
"""

from __future__ import annotations

import os
import socket
import sys
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import httpcore

from enprompta._common.handler_errors import handler_error, ignoring, is_from_handler
from enprompta._common.isolation import errors_to
from enprompta._http.senders.base import is_bound, remaining_timeout
from enprompta._http.senders.connect import Race
from enprompta._http.senders.unread import Unread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from enprompta._http.senders.base import CorePart
    from enprompta._http.senders.connect import Address

T = TypeVar("T")

_PART = 65_536  # bytes

_streams: WeakSet[DeadlineStream] = WeakSet()


def bound_reads(pool: CorePart) -> None:
    """Make the connections of a pool respect `thread_deadline`."""
    backend = pool._network_backend  # noqa: SLF001 (no public API)
    if not isinstance(backend, DeadlineBackend):
        pool._network_backend = DeadlineBackend(backend, import_module(library_of(pool)))  # noqa: SLF001


def library_of(pool: object) -> str:
    """Return the name of a pool's library: httpcore, or httpcore2, which httpx2 uses and which has the same API."""
    return type(pool).__module__.partition(".")[0]


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

    def __init__(self, inner: httpcore.NetworkStream, core: ModuleType) -> None:
        self._inner = inner
        self._core = core
        self.unread = Unread()
        _streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within the remaining time."""
        outside = sys.exc_info()[1]
        try:
            return self._inner.read(max_bytes, remaining_timeout(timeout, self._core.ReadTimeout))
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
        if info == "is_readable" and self.unread.found(self._inner):
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
