"""Close connections of async clients after a canceled TLS handshake, and do not reuse those with unread bytes.

httpcore closes a connection when its TLS handshake fails, but not when the waiting task is canceled, as at a deadline.
The connection then stays open until the garbage collector finds it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import httpcore

from enprompta._common.handler_errors import handler_error, is_from_handler
from enprompta._http.senders.unread import Unread, protocol_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable

    from enprompta._http.senders.unread import CorePart

T = TypeVar("T")


def close_cancelled_handshakes(pool: CorePart) -> None:
    """Make a pool close connections whose handshake is canceled."""
    backend = pool._network_backend  # noqa: SLF001 (no public API)
    if not isinstance(backend, HandshakeBackend):
        pool._network_backend = HandshakeBackend(backend)  # noqa: SLF001 (no public API)


class HandshakeBackend(httpcore.AsyncNetworkBackend):
    """Opens connections that are closed if their handshake is canceled."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect."""
        return HandshakeStream(
            await as_raised(self._inner.connect_tcp, host, port, timeout, local_address, socket_options)
        )

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Connect."""
        return HandshakeStream(await as_raised(self._inner.connect_unix_socket, path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        """Sleep between connection attempts."""
        await self._inner.sleep(seconds)


class HandshakeStream(httpcore.AsyncNetworkStream):
    """A connection that reports unread bytes as readable."""

    setup_timeout: float | None = None
    """Seconds for each wait for bytes that has no timeout, as those for a SOCKS proxy; None for no limit."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self.unread = Unread(inner)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read; raise the exception of a signal handler for which asyncio closed the connection without waking us."""
        try:
            return await as_raised(self._inner.read, max_bytes, timeout or self.setup_timeout)
        except Exception:
            closed_by: BaseException | None = getattr(protocol_of(self._inner), "exception", None)
            if closed_by is None or not is_from_handler(closed_by):
                raise
        raise closed_by

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write."""
        await as_raised(self._inner.write, buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Perform the TLS handshake; close the connection if it fails or is canceled."""
        try:
            return HandshakeStream(await as_raised(self._inner.start_tls, ssl_context, server_hostname, timeout))
        except BaseException:
            import anyio  # noqa: PLC0415 (httpx imports it with its first async request)

            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> object:
        """Return information about the connection; unread bytes count as readable."""
        if info == "is_readable" and self.unread.found():
            return True
        return self._inner.get_extra_info(info)


async def as_raised(operation: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run a network operation; re-raise the exception of a signal handler instead of the error it was converted to.

    Args:
        operation: The operation, which is called here, so that no signal leaves a coroutine without an `await`.
        arguments: Its arguments.
    """
    outside = sys.exc_info()[1]
    try:
        return await operation(*arguments)
    except Exception as error:
        if (raised := handler_error(error, outside=outside) or _no_sockets(error)) is None or raised is error:
            raise
    raise raised


def _no_sockets(error: Exception) -> BaseException | None:
    """Find the NotImplementedError of an event loop without sockets, which anyio raises in an exception group."""
    return next((one for one in getattr(error, "exceptions", ()) if isinstance(one, NotImplementedError)), None)
