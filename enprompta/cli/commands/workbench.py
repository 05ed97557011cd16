"""`enprompta workbench`: see, try and debug everything in a browser."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from enprompta.cli.console import FAILED
from enprompta.cli.error_handling import INTERRUPTED, show_error

if TYPE_CHECKING:
    from collections.abc import Generator

    from enprompta.workbench.server import Addresses

EPILOG = "Exit status: 0 stopped, 1 failure, 2 wrong usage, 3 no credentials, 130 Ctrl-C."
_MISSING = 'The Workbench needs {}, which is not installed: pip install "enprompta[workbench]"'
_PACKAGES = frozenset({"fastapi", "nicegui", "starlette", "uvicorn", "yaml"})


def workbench(
    *,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Join the emulator that runs at this address.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ENPROMPTA_CONTROL_TOKEN", show_envvar=True, help="Control token that the emulator of --url prints."
        ),
    ] = None,
    emulator: Annotated[
        bool, typer.Option("--emulator", help="Start an emulator, also if there is an API key or a profile.")
    ] = False,
    relay: Annotated[
        bool, typer.Option("--relay", help="Relay programs to the live service, and log what they send and receive.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on, 0 for any free one; 8788 or a free one by default."),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the link without opening it.")] = False,
) -> None:
    """Open the Workbench: with a key or profile on the live account, otherwise on an emulator with sample data."""
    if url is not None and (emulator or relay):
        raise typer.BadParameter("Use --url without --emulator and --relay")
    if emulator and relay:
        raise typer.BadParameter("The relay is for the live service: use --relay without --emulator")
    with needs_workbench():
        from enprompta.cli import workbench_session  # noqa: PLC0415 (an extra)
    with ExitStack() as stack:
        session = workbench_session.begin(stack, url=url, token=token, emulator=emulator, relay=relay)
        running = workbench_session.Server(session, port=port, relay=relay)

        def announce(addresses: Addresses) -> None:
            workbench_session.show_addresses(session, addresses)
            if not no_open:
                workbench_session.open_browser(addresses.url)

        try:
            asyncio.run(running.serve(announce))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


@contextmanager
def needs_workbench() -> Generator[None]:
    """Exit with one line that says what to install, if a package of the extra cannot be imported."""
    try:
        yield
    except ImportError as error:
        cause = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
        package = (cause.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        show_error(_MISSING.format(package))
        raise typer.Exit(FAILED) from None
