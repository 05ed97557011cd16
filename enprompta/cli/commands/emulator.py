"""`enprompta emulator`: run the API on this machine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from enprompta.cli.commands.workbench import needs_workbench
from enprompta.cli.error_handling import FAILED, show_error

if TYPE_CHECKING:
    from collections.abc import Generator

    from enprompta.emulator import Emulator
    from enprompta.workbench.server import Addresses


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
