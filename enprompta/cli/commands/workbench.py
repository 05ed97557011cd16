"""`enprompta workbench`: see, try and debug everything in a browser."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs, urlsplit

import typer

import enprompta
from enprompta import exchanges
from enprompta.cli.console import FAILED
from enprompta.cli.credentials import choose
from enprompta.cli.error_handling import INTERRUPTED, make_client, show_error
from enprompta.cli.errors import SetupError
from enprompta.cli.words import NO_CREDENTIALS

if TYPE_CHECKING:
    from types import ModuleType

    from enprompta.emulator import Emulator
    from enprompta.workbench.server import Addresses
    from enprompta.workbench.session import Session

EPILOG = "Exit status: 0 stopped, 1 failure, 2 wrong usage, 3 no credentials, 130 Ctrl-C."
VARIABLE = "ENPROMPTA_CONTROL_TOKEN"
_MISSING = 'The Workbench needs {}, which is not installed: pip install "enprompta[workbench]"'
_PACKAGES = frozenset({"fastapi", "nicegui", "starlette", "uvicorn", "yaml"})


def workbench(
    *,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Join the emulator that runs at this address.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar=VARIABLE, show_envvar=True, help="Control token that the emulator of --url prints."),
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
    server = import_server()
    with ExitStack() as stack:
        session = _session(stack, url=url, token=token, emulator=emulator, relay=relay)
        running = server.Server(session, port=port, relay=relay)

        def announce(addresses: Addresses) -> None:
            show_addresses(session, addresses)
            if not no_open:
                server.open_browser(addresses.url)

        try:
            asyncio.run(running.serve(announce))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def import_server() -> ModuleType:
    """Import the Workbench's server; exit with one line that says what to install if a package is missing."""
    try:
        from enprompta.workbench import server  # noqa: PLC0415 (an extra)
    except ImportError as error:
        cause = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
        package = (cause.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        show_error(_MISSING.format(package))
        raise typer.Exit(FAILED) from None
    return server


def emulator_session(emulator: Emulator) -> Session:
    """Make a session on an emulator of this process; they share one log."""
    from enprompta.emulator import EmulatorControl  # noqa: PLC0415 (an extra)
    from enprompta.workbench.session import Session, emulator_client  # noqa: PLC0415 (an extra)

    control = EmulatorControl(emulator.origin, emulator.control_token)
    return Session(emulator_client(emulator.origin), emulator.exchanges, control=control)


def show_addresses(session: Session, addresses: Addresses) -> None:
    """Print the link of the Workbench, and what programs need."""
    lines = ["Enprompta Workbench", f"  open it    {addresses.url}"]
    if addresses.relay_url is not None:
        lines.append(f"  relay      export ENPROMPTA_BASE_URL={addresses.relay_url}")
    elif session.control is not None:
        from enprompta.emulator import Keys  # noqa: PLC0415 (an extra)

        lines.append(f"  emulator   export ENPROMPTA_BASE_URL={session.base_url} ENPROMPTA_API_KEY={Keys().team}")
    lines += [f"  program    export ENPROMPTA_WORKBENCH={addresses.report_url}", "Press Ctrl-C to stop."]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _session(stack: ExitStack, *, url: str | None, token: str | None, emulator: bool, relay: bool) -> Session:
    from enprompta.workbench.session import USER_AGENT, Session  # noqa: PLC0415 (an extra)

    if url is not None:
        return _joined(url, token)
    if emulator or choose().is_missing:
        if relay:
            raise SetupError(NO_CREDENTIALS)
        return emulator_session(_started(stack))
    return Session(
        make_client(enprompta.AsyncEnprompta, default_headers={"User-Agent": USER_AGENT}), exchanges.ExchangeLog()
    )


def _started(stack: ExitStack) -> Emulator:
    """Start an emulator with sample data."""
    from enprompta.emulator import Emulator, EmulatorControl  # noqa: PLC0415 (an extra)

    running = stack.enter_context(Emulator())

    async def seed() -> None:
        async with EmulatorControl(running.origin, running.control_token) as control:
            await control.seed()

    asyncio.run(seed())
    return running


def _joined(url: str, token: str | None) -> Session:
    """Make a session on the emulator at a URL, whose token may be part of the URL."""
    from enprompta.emulator import EmulatorControl  # noqa: PLC0415 (an extra)
    from enprompta.workbench.session import Session, emulator_client  # noqa: PLC0415 (an extra)

    found = token or parse_qs(urlsplit(url).query).get("token", [""])[0]
    if not found and sys.stdin.isatty():
        found = typer.prompt("Control token, as the emulator printed it", hide_input=True)
    if not found:
        raise SetupError(f"The emulator's control token is missing: add --token, or set {VARIABLE}")
    control = EmulatorControl(url, found)

    async def check() -> None:
        async with EmulatorControl(url, found) as one:
            await one.info()

    asyncio.run(check())
    return Session(emulator_client(control.origin), exchanges.ExchangeLog(), control=control, follows=True)
