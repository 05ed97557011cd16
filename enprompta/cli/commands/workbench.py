"""`enprompta workbench`: see, try and debug everything in a browser; `enprompta emulator`: the API on this machine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from enprompta.cli.error_handling import FAILED, INTERRUPTED, show_error

if TYPE_CHECKING:
    from collections.abc import Generator

    from enprompta.emulator import Emulator
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


def emulator(context: typer.Context) -> None:
    """Serve the Enprompta API on this machine until Ctrl-C; `enprompta emulator --help` lists its options."""
    try:
        from enprompta.emulator.__main__ import main  # noqa: PLC0415 (an extra)
    except ImportError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):  # otherwise the message says what to install
            raise
        show_error(str(error))
        raise typer.Exit(FAILED) from None
    raise typer.Exit(main(context.args, program=context.command_path, companion=_workbench))


@contextmanager
def _workbench(emulator: Emulator) -> Generator[str]:
    """Serve the Workbench beside an emulator, on a thread; yields the lines to print."""
    with needs_workbench():
        from enprompta.cli import workbench_session  # noqa: PLC0415 (an extra)
    running = workbench_session.Server(workbench_session.emulator_session(emulator))
    ready: Future[Addresses] = Future()

    def serve() -> None:
        try:
            asyncio.run(running.serve(ready.set_result, handle_signals=False))
        except BaseException as error:  # the caller waits for the result
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=serve, name="enprompta-workbench", daemon=True)
    thread.start()
    try:
        addresses = ready.result()
        emulator.workbench_url = f"{running.origin}/"
        yield (f"  workbench {addresses.url}\n  program   export ENPROMPTA_WORKBENCH={addresses.report_url}\n")
    finally:
        running.stop()
        thread.join()


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line; the emulator parses its options."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=settings, add_help_option=False, rich_help_panel="This machine")(emulator)
