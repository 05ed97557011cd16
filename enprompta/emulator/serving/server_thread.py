"""A uvicorn on a thread of its own, which is ready when it says so and stops when it is asked to."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from enprompta._common.clock import monotonic
from enprompta._common.event_loop import sleep
from enprompta.emulator.serving.faults import Connection
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_HIGHEST_PORT = 65_535
_START_SECONDS = 30.0
_GRACE_SECONDS = 2  # for requests still running when the emulator stops, such as one at a slow upstream
_KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections, so that none is closed under a request


class ServerThread:
    """An emulator that serves: its thread, its server and its parts.

    Args:
        listener: A bound socket; closed with the server.
        app: The ASGI application to serve.
    """

    def __init__(self, listener: socket.socket, app: ASGIApp) -> None:
        bound: tuple[str, int] = listener.getsockname()[:2]
        host, port = bound
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (the address to reach it by)
        self.address: str = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server = _Server(app)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, name=f"enprompta-emulator-{port}", daemon=True)
        self._thread.start()
        self._server.ready.wait(_START_SECONDS)
        if not self._server.started:
            self._server.ask_to_stop()
            raise ConfigurationError("The emulator's server did not start; its log says why")

    def stop(self) -> None:
        """Stop; returns when nothing is left running."""
        self._server.ask_to_stop()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            with suppress(SystemExit):  # uvicorn would end the process when its application does not start
                asyncio.run(self._server.serve(sockets=[self._listener]))
        finally:
            self._server.ready.set()  # also when it failed: nobody shall wait for it


class _Server(uvicorn.Server):
    """A uvicorn that tells when it is ready and stops at once when asked to, where uvicorn looks now and then."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # pyright: ignore[reportArgumentType] (uvicorn's own ASGI types differ from Starlette's)
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                date_header=False,  # the emulator's clock gives the date
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self.ready = threading.Event()
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._asked.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, but without its pauses, and without a word when it cuts off what takes too long."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        deadline = monotonic() + _GRACE_SECONDS
        while (state.connections or state.tasks) and monotonic() < deadline:
            for connection in list(state.connections):  # each round, for one may have been accepted meanwhile
                connection.shutdown()  # an idle one closes, a busy one will when it has answered
            await sleep(0.002)
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the transports go in the next round of the loop
        await self.lifespan.shutdown()

    def ask_to_stop(self) -> None:
        if self._loop is None:  # it has not begun, and will end when it does
            self._asked.set()
            return
        with suppress(RuntimeError):  # it could not start, and its loop has ended
            self._loop.call_soon_threadsafe(self._asked.set)


def listen(host: str, port: int) -> socket.socket:
    """Give a socket that takes connections; a `ConfigurationError` when there can be none."""
    if not 0 <= port <= _HIGHEST_PORT:  # the resolver would take it modulo 65536
        raise ConfigurationError(f"The port must be between 0 and {_HIGHEST_PORT}, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"The emulator cannot listen at {host}, port {port}: {error.strerror}") from error
    try:
        if os.name == "posix":  # elsewhere this option would let a second emulator take the first one's port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise ConfigurationError(f"The emulator cannot listen at {host}, port {port}: {reason}") from error
    return listener
