"""The server of the Workbench: NiceGUI behind the security checks, on a loopback address."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
import webbrowser
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from enprompta.errors import ConfigurationError
from enprompta.exchanges import Exchange, TimelineEvent
from enprompta.workbench import frame, pages
from enprompta.workbench.relay import Relay
from enprompta.workbench.security import RELAY_PATH, REPORT_PATH, Security
from enprompta.workbench.session import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from enprompta.exchanges import ExchangeLog
    from enprompta.workbench.session import Session

_MAX_REPORT = 16 * 1024 * 1024
_KINDS = frozenset({"wait", "request", "response", "retry"})
DEFAULT_PORT = 8788
_HOST = "127.0.0.1"
_SHUTDOWN_SECONDS = 1


class Programs:
    """ASGI application that takes the reports of programs, and passes other requests to the relay, if there is one."""

    def __init__(self, log: ExchangeLog, relay: ASGIApp | None) -> None:
        self._log = log
        self._relay = relay
        self.report_path: str = f"{REPORT_PATH}/{secrets.token_urlsafe(24)}"
        """Path for reports; its last part is a secret."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not scope["path"].startswith(f"{REPORT_PATH}/"):
            answer = self._relay or PlainTextResponse("Start the Workbench with --relay to use it as a relay", 404)
        elif not secrets.compare_digest(scope["path"].encode(), self.report_path.encode()):
            answer = PlainTextResponse("Unknown address: use the one that the Workbench has printed", 404)
        else:
            answer = await self._take(Request(scope, receive))
        await answer(scope, receive, send)

    async def _take(self, request: Request) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > _MAX_REPORT:
                    return PlainTextResponse("The report is too large", 413, headers={"Connection": "close"})
            for report in json.loads(body):
                self._add(report)
        except ClientDisconnect:
            return Response(status_code=400)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return PlainTextResponse("The report is invalid", 400)
        return Response(status_code=204)

    def _add(self, report: dict[str, Any]) -> None:
        if "exchange" in report:
            self._log.add(Exchange.from_json({**report["exchange"], "source": "program"}))
        else:
            step = report["event"]
            event = TimelineEvent(step["kind"], float(step["at"]), float(step["seconds"]), str(step["text"]))
            if event.kind not in _KINDS:
                raise ValueError(event.kind)
            self._log.add_events(str(report["call"]), int(report["attempt"]), [event])


class Addresses(NamedTuple):
    """Addresses of a running Workbench."""

    url: str
    """The link to open, with its token."""
    report_url: str
    """Value of `ENPROMPTA_WORKBENCH` for programs."""
    relay_url: str | None
    """Value of `ENPROMPTA_BASE_URL` for programs that use the relay; None without a relay."""


class Server:
    """A Workbench that is about to be served; its port is already bound.

    Args:
        session: What the pages work with.
        port: Port to listen on, 0 for any free one; None for `DEFAULT_PORT`, or any if that is in use.
        relay: True to relay programs to the live service.

    Raises:
        ConfigurationError: The port cannot be used, or the base URL of the session cannot be relayed to.
    """

    def __init__(self, session: Session, *, port: int | None = None, relay: bool = False) -> None:
        self._session = session
        self._relay = Relay(session.base_url, session.log) if relay else None
        self._listener = _listen(port)
        number: int = self._listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        programs = Programs(session.log, self._relay)
        self.origin: str = f"http://{_HOST}:{number}"
        """Scheme, host and port of the Workbench."""
        if relay:
            session.relay_url = self.origin + RELAY_PATH + urlsplit(session.base_url).path
        session.report_url = self.origin + programs.report_path
        self.addresses: Addresses = Addresses(f"{self.origin}/?token={token}", session.report_url, session.relay_url)
        self._app: ASGIApp = Security(_application(), programs, port=number, token=token)
        self._server: uvicorn.Server | None = None

    async def serve(self, on_ready: Callable[[Addresses], object], *, handle_signals: bool = True) -> None:
        """Serve until `stop` is called or, on the main thread, the process gets SIGINT or SIGTERM."""
        config = uvicorn.Config(
            self._app,  # pyright: ignore[reportArgumentType] (uvicorn's ASGI types differ from Starlette's)
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        server = self._server = _UvicornServer(
            config, handle_signals=handle_signals, on_ready=lambda: on_ready(self.addresses)
        )
        end = begin(self._session)
        following = asyncio.create_task(self._session.follow())
        try:
            await server.serve(sockets=[self._listener])
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            end()
            await self._session.aclose()
            if self._relay is not None:
                await self._relay.aclose()

    def stop(self) -> None:
        """Ask the server to stop; any thread may call it."""
        if self._server is not None:
            self._server.should_exit = True


class _UvicornServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, handle_signals: bool, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._handle_signals = handle_signals
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        if self._handle_signals:
            with super().capture_signals():
                yield
        else:
            yield


def open_browser(url: str) -> None:
    """Open a link in the user's browser, without waiting for it."""

    def show() -> None:
        with suppress(webbrowser.Error, OSError):
            webbrowser.open(url)

    threading.Thread(target=show, name="enprompta-workbench-browser", daemon=True).start()


@cache
def _application() -> FastAPI:
    """Return the application with all pages; it is made once, because NiceGUI has one application per process."""
    app = FastAPI(openapi_url=None)
    frame.install()
    for module in iter_modules(pages.__path__, f"{pages.__name__}."):
        import_module(module.name)
    run_with: Any = ui.run_with  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] (partly untyped)
    run_with(
        app,
        title="Enprompta Workbench",
        favicon=frame.FAVICON,
        dark=None,
        tailwind=False,
        gzip_middleware_factory=None,  # compressing for loopback only costs time
        show_welcome_message=False,
    )
    return app


def _listen(port: int | None) -> socket.socket:
    """Bind the port.

    Raises:
        ConfigurationError: It cannot be used.
    """
    if port is None:
        with suppress(OSError):
            return socket.create_server((_HOST, DEFAULT_PORT))
    try:
        return socket.create_server((_HOST, port or 0))
    except OSError as error:
        problem = f"The Workbench cannot listen on port {port}: {error}. Use another --port"
        raise ConfigurationError(problem) from None
