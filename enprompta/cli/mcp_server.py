"""The server of `enprompta mcp`, on standard input and output or over HTTP. Needs the extra `mcp`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Literal, TypedDict

import anyio

import enprompta
from enprompta.cli.console import err, line
from enprompta.cli.error_handling import make_client
from enprompta.cli.signals import exits_at_once, exits_on_sigterm
from enprompta.mcp import ServerOptions, create_server, serve_http, serve_stdio

if TYPE_CHECKING:
    from collections.abc import Sequence


class HTTPOptions(TypedDict):
    """Where the HTTP server listens."""

    host: str
    port: int
    allow_remote: bool
    allowed_hosts: Sequence[str]


def serve(
    transport: Literal["stdio", "http"], options: ServerOptions, token: str | None, http_options: HTTPOptions
) -> None:
    """Serve until the client disconnects or a signal arrives."""
    if transport == "http":
        anyio.run(_serve_http, options, token, http_options)
    else:
        anyio.run(_serve_stdio, options)


async def _serve_stdio(options: ServerOptions) -> None:
    with exits_at_once():  # the thread that reads standard input cannot be interrupted
        async with make_client(enprompta.AsyncEnprompta) as client:
            await serve_stdio(create_server(client, options))


async def _serve_http(options: ServerOptions, token: str | None, http_options: HTTPOptions) -> None:
    is_random = token is None
    token = token or secrets.token_urlsafe(32)

    def announce(url: str) -> None:
        err.print(line(("serving  ", "bold green"), url))
        if is_random:
            err.print(line(("token    ", "bold green"), token, "  (shown only now; set your own: ENPROMPTA_MCP_TOKEN)"))

    with exits_on_sigterm():  # once the requests in flight are finished, the HTTP server raises the signal again
        async with make_client(enprompta.AsyncEnprompta) as client:
            await serve_http(create_server(client, options), token=token, on_ready=announce, **http_options)
