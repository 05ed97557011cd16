"""Connections whose blocking operations end at the thread's deadline, however slowly bytes drip in.

A timeout of httpx bounds one socket operation; an answer that sends a byte now and then never trips it. So each
operation of a call with a deadline is given the time that is left, not the same time again and again. Async calls
need none of this: they are cancelled from outside.

Loaded with the first client, as httpx itself loads httpcore: importing it takes longer than the rest of this package.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import httpcore

from enprompta._http.senders.deadline import is_bound, left

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable


_PART = 65_536  # bytes

_streams: WeakSet[BoundStream] = WeakSet()


def bound_reads(pool: Any) -> None:  # noqa: ANN401 (httpcore's, or that of httpcore2)
    """Make the connections of a pool keep to `reads_end_at`."""
    backend = pool._network_backend  # noqa: SLF001
    if not isinstance(backend, BoundBackend):
        pool._network_backend = BoundBackend(backend, import_module(library_of(pool)))  # noqa: SLF001


def library_of(pool: object) -> str:
    """Tell the library that a pool is of: httpcore, or httpcore2, which is httpx2's and has the same names."""
    return type(pool).__module__.partition(".")[0]


class BoundBackend(httpcore.NetworkBackend):
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
        """Connect within the time that is left, which the look-up of the host and all its addresses share."""
        *others, last = self._addresses(host, port) if is_bound() else [host]
        for address in others:
            with suppress(self._core.ConnectError, self._core.ConnectTimeout):
                return self._connect(address, port, timeout, local_address, socket_options)
        return self._connect(last, port, timeout, local_address, socket_options)

    def _connect(
        self,
        host: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore.NetworkStream:
        timeout = left(timeout, self._core.ConnectTimeout)
        return BoundStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options), self._core)

    def _addresses(self, host: str, port: int) -> list[str]:
        """Look a host up within the time that is left; what is an address already needs no looking up."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            found = self._looked_up(host, port)
        return [str(address[0]) for *_, address in found] or [host]

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

        Thread(target=look_up, name="enprompta-lookup", daemon=True).start()
        try:
            return answer.result(left(None, self._core.ConnectTimeout))
        except NotInTimeError:
            raise self._core.ConnectTimeout(f"{host} was not found in time") from None
        except OSError as error:
            raise self._core.ConnectError(str(error)) from error

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Connect within the time that is left."""
        timeout = left(timeout, self._core.ConnectTimeout)
        return BoundStream(self._inner.connect_unix_socket(path, timeout, socket_options), self._core)

    def sleep(self, seconds: float) -> None:
        """Sleep between connection attempts, within the time that is left."""
        self._inner.sleep(left(seconds, self._core.ConnectTimeout))


class BoundStream(httpcore.NetworkStream):
    """A connection whose every operation ends at the thread's moment."""

    def __init__(self, inner: httpcore.NetworkStream, core: Any) -> None:  # noqa: ANN401
        self._inner = inner
        self._core = core
        _streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within the time that is left."""
        return self._inner.read(max_bytes, left(timeout, self._core.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write within the time that is left."""
        # In parts: what is below takes the whole time anew whenever the network has taken a part of the buffer.
        for start in range(0, len(buffer), _PART):
            self._inner.write(buffer[start : start + _PART], left(timeout, self._core.WriteTimeout))

    def close(self) -> None:
        """Close the connection, and wake a thread that waits for an answer on it."""
        sock = self._inner.get_extra_info("socket")
        if isinstance(sock, socket.socket):
            with suppress(OSError):  # it is closed already, or never was connected
                # Closing alone leaves a thread waiting in `recv` to its timeout. Not `SSLSocket.shutdown`, which would
                # take the TLS state away from under that thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands within the time that is left."""
        timeout = left(timeout, self._core.ConnectTimeout)
        return BoundStream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._core)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 (httpcore's signature)
        """Tell what httpcore asks of a connection."""
        return self._inner.get_extra_info(info)


def abandon_inherited() -> None:
    """Close the copies that a child of a fork has of its parent's connections, which go on without noticing."""
    for stream in list(_streams):
        sock = stream.get_extra_info("socket")
        # Without `shutdown` and below TLS: both would speak to the server, in the parent's name.
        if isinstance(sock, socket.socket) and (descriptor := sock.detach()) >= 0:
            os.close(descriptor)
