"""A uvicorn server on a separate thread, without uvicorn's startup and shutdown polling."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from enprompta._common.clock import monotonic
from enprompta._common.event_loop import sleep
from enprompta._common.hosts import in_url
from enprompta.emulator.serving.faults import Connection
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_MAX_PORT = 65_535
_START_SECONDS = 30.0
_GRACE_SECONDS = 2  # for requests still running at shutdown, such as one that waits for an upstream
_KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, to never close one that a client is reusing


class ServerThread:
    """A running server and its thread, which closes the listening socket at the end.

    Raises:
        ConfigurationError: The server did not start.
    """

    def __init__(self, listener: socket.socket, app: ASGIApp) -> None:
        bound: tuple[str, int] = listener.getsockname()[:2]
        host, port = bound
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (the address to reach it by)
        self.address: str = f"{in_url(host)}:{port}"
        self._server = _Server(app)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, name=f"enprompta-emulator-{port}", daemon=True)
        self._thread.start()
        self._server.ready.wait(_START_SECONDS)
        if not self._server.started:
            self._server.request_stop()
            raise ConfigurationError("The emulator's server did not start; see its log for the reason")

    def stop(self) -> None:
        """Stop the server and wait until its thread has ended."""
        self._server.request_stop()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            with suppress(SystemExit):  # uvicorn exits the process when the application does not start
                asyncio.run(self._server.serve(sockets=[self._listener]))
        finally:
            self._server.ready.set()  # after a failed start too, to release the thread that waits for it


class _Server(uvicorn.Server):
    """A uvicorn server that signals when it is ready, and stops on request without polling."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # pyright: ignore[reportArgumentType] (uvicorn's ASGI types differ from Starlette's)
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                date_header=False,  # the middleware sets it, from the emulator's clock
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self.ready = threading.Event()
        self._stop_requested = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._stop_requested.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, but without its sleeps, and without logging the requests that it cancels."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        deadline = monotonic() + _GRACE_SECONDS
        while (state.connections or state.tasks) and monotonic() < deadline:
            for connection in list(state.connections):  # again in each round: new ones may have been accepted
                connection.shutdown()  # closes an idle connection now, a busy one after its response
            await sleep(0.002)
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the transports close in the next iteration of the event loop
        await self.lifespan.shutdown()

    def request_stop(self) -> None:
        if self._loop is None:  # not started yet: it stops as soon as it starts
            self._stop_requested.set()
            return
        with suppress(RuntimeError):  # the start failed and the event loop is closed
            self._loop.call_soon_threadsafe(self._stop_requested.set)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        ConfigurationError: The address or the port cannot be used.
    """
    if not 0 <= port <= _MAX_PORT:  # getaddrinfo would reduce it modulo 65536
        raise ConfigurationError(f"The port must be between 0 and {_MAX_PORT}, not {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()  # `::` is every address of IPv4 too
        return socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=both)
    except OSError as error:
        reason = "it is in use; choose another port" if error.errno == errno.EADDRINUSE else error.strerror
        raise ConfigurationError(f"The emulator cannot listen on {host}, port {port}: {reason}") from error
