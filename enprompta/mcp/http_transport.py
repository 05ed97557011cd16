"""The server on streamable HTTP: on the loopback interface, behind a bearer token."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from enprompta._common.hosts import in_url, is_loopback
from enprompta.errors import ConfigurationError
from enprompta.mcp.server import SESSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from enprompta.mcp.notices import Audience
    from enprompta.mcp.server import PromptServer

PATH = "/mcp"
MAX_PORT = 65535
MIN_TOKEN = 16  # characters
SHUTDOWN_SECONDS = 2
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def create_app(
    server: PromptServer, *, token: str, port: int, host: str = "127.0.0.1", allowed_hosts: Sequence[str] = ()
) -> ASGIApp:
    """Make an ASGI application that serves MCP at `/mcp`, with the arguments of `serve_http`.

    Raises:
        ConfigurationError: The token is too short or not ASCII.
    """
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(f"The token needs at least {MIN_TOKEN} ASCII characters, without spaces")
    names = {in_url(host), *(LOOPBACK_NAMES if is_loopback(host) else ())}
    hosts = [*(f"{name}:{port}" for name in sorted(names)), *allowed_hosts]
    security = TransportSecuritySettings(
        allowed_hosts=hosts, allowed_origins=[f"{scheme}://{one}" for one in hosts for scheme in ("http", "https")]
    )
    app = server.streamable_http_app(streamable_http_path=PATH, transport_security=security)
    return _Guard(app, token, server.audience)


async def serve_http(
    server: PromptServer,
    *,
    token: str,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_remote: bool = False,
    allowed_hosts: Sequence[str] = (),
    on_ready: Callable[[str], object],
) -> None:
    """Serve MCP over streamable HTTP until the process gets SIGINT or SIGTERM.

    Args:
        server: Answers the requests.
        token: Required as `Authorization: Bearer TOKEN` on every request; at least 16 ASCII characters.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        allow_remote: Allow an address that other machines can reach. The connection is not encrypted.
        allowed_hosts: Further values of the `Host` header, such as `prompts.example.com` behind a proxy.
        on_ready: Called with the URL once connections are accepted.

    Raises:
        ConfigurationError: The address is not a loopback address and `allow_remote` is false, the port is taken, or the
            token is too short.
    """
    if not (allow_remote or is_loopback(host)):
        raise ConfigurationError(
            f"{host} can be reached from other machines. Use 127.0.0.1, or allow it with allow_remote "
            "behind a proxy that encrypts"
        )
    with _listener(host, port) as listener:
        port = listener.getsockname()[1]
        app = create_app(server, token=token, host=host, port=port, allowed_hosts=allowed_hosts)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS)
        on_ready(f"http://{in_url(host)}:{port}{PATH}")
        await uvicorn.Server(config).serve(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    if not 0 <= port <= MAX_PORT:
        raise ConfigurationError(f"port must be 0 to {MAX_PORT}, not {port}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigurationError(f"{host} port {port} cannot be used: {error}. Choose another port") from None


class _Guard:
    """Checks the token of every request, and notes which sessions have a stream for notices."""

    def __init__(self, app: ASGIApp, token: str, audience: Audience) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._audience = audience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # the application's start and stop
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("authorization", "").encode("latin-1")
        if not secrets.compare_digest(given, self._expected):
            refusal = PlainTextResponse(
                "A bearer token is required", status_code=401, headers={"WWW-Authenticate": 'Bearer realm="enprompta"'}
            )
            await refusal(scope, receive, send)
            return
        with ExitStack() as stack:
            session = headers.get(SESSION_HEADER)
            if session is not None and scope["method"] == "GET":
                stack.enter_context(self._audience.listening(session))
            elif session is not None and scope["method"] == "DELETE":
                self._audience.leave(session)
            await self._app(scope, receive, send)
