"""Sessions of `enprompta workbench` and `enprompta emulator --workbench`; loaded late, because they need an extra."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import typer

from enprompta import AsyncEnprompta
from enprompta.cli.error_handling import make_client
from enprompta.cli.profiles import SetupError, choose
from enprompta.cli.words import NO_CREDENTIALS
from enprompta.emulator import Emulator, EmulatorControl, Keys
from enprompta.exchanges import ExchangeLog
from enprompta.workbench.server import Server, open_browser
from enprompta.workbench.session import USER_AGENT, Session, emulator_client

if TYPE_CHECKING:
    from contextlib import ExitStack

    from enprompta.workbench.server import Addresses

__all__ = ["Server", "begin", "emulator_session", "open_browser", "show_addresses"]


def begin(stack: ExitStack, *, url: str | None, token: str | None, emulator: bool, relay: bool) -> Session:
    """Make the session that the options ask for; the stack ends what is started."""
    if url is not None:
        return asyncio.run(_joined(url, token))
    if emulator or choose().is_missing:
        if relay:
            raise SetupError(NO_CREDENTIALS)
        return emulator_session(asyncio.run(_started(stack)))
    return Session(make_client(AsyncEnprompta, default_headers={"User-Agent": USER_AGENT}), ExchangeLog())


def emulator_session(emulator: Emulator) -> Session:
    """Make a session on an emulator of this process; they share one log."""
    control = EmulatorControl(emulator.origin, emulator.control_token)
    return Session(emulator_client(emulator.origin), emulator.exchanges, control=control)


def show_addresses(session: Session, addresses: Addresses) -> None:
    """Print the link of the Workbench, and what programs need."""
    lines = ["Enprompta Workbench", f"  open it    {addresses.url}"]
    if addresses.relay_url is not None:
        lines.append(f"  relay      export ENPROMPTA_BASE_URL={addresses.relay_url}")
    elif session.control is not None:
        lines.append(f"  emulator   export ENPROMPTA_BASE_URL={session.base_url} ENPROMPTA_API_KEY={Keys().team}")
    lines += [f"  program    export ENPROMPTA_WORKBENCH={addresses.report_url}", "Press Ctrl-C to stop."]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


async def _started(stack: ExitStack) -> Emulator:
    """Start an emulator with sample data."""
    emulator = stack.enter_context(Emulator())
    async with EmulatorControl(emulator.origin, emulator.control_token) as control:
        await control.seed()
    return emulator


async def _joined(url: str, token: str | None) -> Session:
    """Make a session on the emulator at a URL, whose token may be part of the URL."""
    found = token or parse_qs(urlsplit(url).query).get("token", [""])[0]
    if not found and sys.stdin.isatty():
        found = typer.prompt("Control token, as the emulator printed it", hide_input=True)
    if not found:
        raise SetupError("The emulator's control token is missing: add --token, or set ENPROMPTA_CONTROL_TOKEN")
    async with EmulatorControl(url, found) as control:
        await control.info()
    return Session(emulator_client(control.origin), ExchangeLog(), control=EmulatorControl(url, found), follows=True)
