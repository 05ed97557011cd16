"""`enprompta mcp`: an MCP server on the prompts of the account, for editors and agents."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from enprompta.cli.console import FAILED
from enprompta.cli.error_handling import show_error

if TYPE_CHECKING:
    from enprompta.mcp import Permission

EPILOG = "Exit status: 0 the client disconnected or SIGTERM, 1 failure, 2 wrong usage, 3 no credentials, 130 Ctrl-C."


def mcp(
    *,
    transport: Annotated[
        Literal["stdio", "http"], typer.Option(help="stdio for a client that starts this command; http for others.")
    ] = "stdio",
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="execute,write", help="Let clients execute prompts, or create and update them."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Serve live versions under this label; not given serves the newest versions.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Offer only prompts of this category.")] = None,
    team: Annotated[str | None, typer.Option(metavar="ID", help="Offer only prompts of this team.")] = None,
    max_executions: Annotated[int, typer.Option(min=0, metavar="N", help="Executions that clients may start.")] = 20,
    max_usd: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Start no execution once this much is spent.")
    ] = None,
    max_writes: Annotated[int, typer.Option(min=0, metavar="N", help="Prompts that clients may change.")] = 20,
    poll_interval: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How often to look for changes while a client listens.")
    ] = 60.0,
    host: Annotated[str, typer.Option(help="Address of the HTTP server.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTP server; 0 takes a free one.")] = 0,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ENPROMPTA_MCP_TOKEN", show_envvar=True, help="Bearer token of the HTTP server; random by default."
        ),
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines can reach.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Accept this Host header too, as behind a proxy.")
    ] = None,
) -> None:
    """Serve the account's prompts to MCP clients such as editors and agents; reading only unless --allow says more."""
    try:
        from enprompta.cli import mcp_server  # noqa: PLC0415 (an extra)
    except ImportError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        show_error(str(error))
        raise typer.Exit(FAILED) from None
    options = mcp_server.ServerOptions(
        allow=cast("list[Permission]", [one.strip() for value in allow or () for one in value.split(",")]),
        label=label,
        category=category,
        team_id=team,
        max_executions=max_executions,
        max_usd=max_usd,
        max_writes=max_writes,
        poll_interval=poll_interval,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    mcp_server.serve(
        transport, options, token,
        {"host": host, "port": port, "allow_remote": allow_remote, "allowed_hosts": allowed_host or ()},
    )  # fmt: skip
