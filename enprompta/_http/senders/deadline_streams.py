"""Connections whose blocking operations end at the thread's deadline, however slowly bytes drip in.

A timeout of httpx bounds one socket operation; an answer that sends a byte now and then never trips it. So each
operation of a call with a deadline is given the time that is left, not the same time again and again. Async calls
need none of this: they are cancelled from outside.

Loaded with the first client, as httpx itself loads httpcore: importing it takes longer than the rest of this package.
"""

from __future__ import annotations

import os
import socket
import sys
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import httpcore

from enprompta._http.handler_errors import handler_error, ignoring, is_from_handler
from enprompta._http.senders.connect import Race
from enprompta._http.senders.deadline import is_bound, remaining_timeout
from enprompta._http.senders.unread import Unread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence

    from enprompta._http.senders.connect import Address

T = TypeVar("T")

_PART = 65_536  # bytes

_streams: WeakSet[DeadlineStream] = WeakSet()


def bound_reads(pool: Any) -> None:  # noqa: ANN401 (httpcore's, or that of httpcore2)
    """Make the connections of a pool keep to `reads_end_at`."""
    backend = pool._network_backend  # noqa: SLF001
    if not isinstance(backend, DeadlineBackend):
        pool._network_backend = DeadlineBackend(backend, import_module(library_of(pool)))  # noqa: SLF001


def library_of(pool: object) -> str:
    """Tell the library that a pool is of: httpcore, or httpcore2, which is httpx2's and has the same names."""
    return type(pool).__module__.partition(".")[0]


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections whose every operation ends at the thread's moment."""

    def __init__(self, inner: httpcore.NetworkBackend, core: Any) -> None:  # noqa: ANN401
        self._inner = inner
        self._core = core

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect within the time that is left, to the host's first address that answers."""
        if type(self._inner) is not self._core.SyncBackend:  # the caller's own: it may not use sockets at all
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

    def _stream(self, connect: Callable[..., httpcore.NetworkStream], *arguments: Any) -> DeadlineStream:  # noqa: ANN401
        return DeadlineStream(as_raised(self._core, connect, *arguments), self._core)

    def _addresses(self, host: str, port: int) -> Sequence[Address]:
        """Look a host up, within the time that is left; an address needs no looking up."""
        with ignoring(OSError):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return self._looked_up(host, port) if is_bound() else socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    def _looked_up(self, host: str, port: int) -> list[Any]:
        """Ask the system's resolver in a thread, for it takes no time-out, and half a minute while nobody answers it.

        The thread is left behind when there is no time left; it ends when the resolver does.
        """
        answer: Future[list[Any]] = Future()

        def look_up() -> None:
            try:
                answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except Exception as error:  # noqa: BLE001 (raised below, if anybody still waits)
                answer.set_exception(error)

        try:
            Thread(target=look_up, name="enprompta-lookup", daemon=True).start()
        except RuntimeError as error:  # there is no room for one more thread, or this Python has none
            if is_from_handler(error):
                raise
            look_up()
        try:
            return answer.result(remaining_timeout(None, self._core.ConnectTimeout))
        except NotInTimeError:
            raise self._core.ConnectTimeout(f"{host} was not found in time") from None
        except OSError as error:
            raise self._core.ConnectError(str(error)) from error

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Connect within the time that is left."""
        timeout = remaining_timeout(timeout, self._core.ConnectTimeout)
        return self._stream(self._inner.connect_unix_socket, path, timeout, socket_options)

    def sleep(self, seconds: float) -> None:
        """Sleep between connection attempts, within the time that is left."""
        self._inner.sleep(remaining_timeout(seconds, self._core.ConnectTimeout))


class DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends at the thread's moment, and that reports bytes that are left over."""

    def __init__(self, inner: httpcore.NetworkStream, core: Any) -> None:  # noqa: ANN401
        self._inner = inner
        self._core = core
        self.unread = Unread()
        _streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within the time that is left."""
        outside = sys.exc_info()[1]
        try:
            return self._inner.read(max_bytes, remaining_timeout(timeout, self._core.ReadTimeout))
        except (self._core.NetworkError, self._core.TimeoutException) as error:
            if (raised := handler_error(error, outside=outside)) is None:
                raise
        raise raised

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write within the time that is left."""
        outside = sys.exc_info()[1]
        try:
            # In parts: the inner stream takes the whole time again whenever the network has taken a part of the buffer.
            for start in range(0, len(buffer), _PART):
                self._inner.write(buffer[start : start + _PART], remaining_timeout(timeout, self._core.WriteTimeout))
        except (self._core.NetworkError, self._core.TimeoutException) as error:
            if (raised := handler_error(error, outside=outside)) is None:
                raise
        else:
            return
        raise raised  # httpcore ignores its own WriteError, to read an early answer

    def close(self) -> None:
        """Close the connection, and wake a thread that waits for an answer on it."""
        sock = self._inner.get_extra_info("socket")
        try:
            if isinstance(sock, socket.socket):
                with ignoring(OSError):  # it is closed already, or never was connected
                    # Closing alone leaves a thread waiting in `recv` to its timeout. Not `SSLSocket.shutdown`, which
                    # would take the TLS state away from under that thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        finally:
            self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands within the time that is left."""
        timeout = remaining_timeout(timeout, self._core.ConnectTimeout)
        inner = as_raised(self._core, self._inner.start_tls, ssl_context, server_hostname, timeout)
        return DeadlineStream(inner, self._core)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 (httpcore's signature)
        """Return what httpcore asks of a connection; bytes that are left over count as readable."""
        if info == "is_readable" and self.unread.found(self._inner):
            return True
        return self._inner.get_extra_info(info)


def as_raised(core: Any, operation: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 (httpcore or httpcore2)
    """Do a network operation, and raise what a signal handler raised in it, not the error that the library made of it.

    Args:
        core: The library.
        operation: What to do.
        arguments: What to do it with.
    """
    outside = sys.exc_info()[1]
    try:
        return operation(*arguments)
    except (core.NetworkError, core.TimeoutException) as error:
        if (raised := handler_error(error, outside=outside)) is None:
            raise
    raise raised


def close_inherited_sockets() -> None:
    """Close the copies that a child of a fork has of its parent's connections, which go on without noticing."""
    for stream in list(_streams):
        sock = stream.get_extra_info("socket")
        # Without `shutdown` and below TLS: both would speak to the server, in the parent's name.
        if isinstance(sock, socket.socket) and (descriptor := sock.detach()) >= 0:
            os.close(descriptor)
