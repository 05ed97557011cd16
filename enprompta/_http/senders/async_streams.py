"""A TLS handshake that is cancelled closes its connection.

httpcore closes it when a handshake fails, not when the task that waits for it is cancelled; the connection then stays
open until the garbage collector comes by. That is the end of every deadline that passes during a handshake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable


def close_cancelled_handshakes(pool: Any) -> None:  # noqa: ANN401 (httpcore's, or that of httpcore2)
    """Make the connections of a pool close when they are cancelled in a handshake."""
    backend = pool._network_backend  # noqa: SLF001
    if not isinstance(backend, TidyBackend):
        pool._network_backend = TidyBackend(backend)  # noqa: SLF001


class TidyBackend(httpcore.AsyncNetworkBackend):
    """Opens connections that do not outlive a cancelled handshake."""

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
        return TidyStream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Connect."""
        return TidyStream(await self._inner.connect_unix_socket(path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        """Sleep between connection attempts."""
        await self._inner.sleep(seconds)


class TidyStream(httpcore.AsyncNetworkStream):
    """A connection before its handshake; one that needs none passes everything on."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read."""
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands, or close; what comes of it needs no more care, and is not wrapped."""
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            import anyio  # noqa: PLC0415 (httpx brings it and loads it with its first async request)

            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 (httpcore's signature)
        """Tell what httpcore asks of a connection."""
        return self._inner.get_extra_info(info)
