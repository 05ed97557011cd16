"""`enprompta emulator`: run the API on this machine."""

from __future__ import annotations

import typer

from enprompta.cli.error_handling import FAILED, show_error


def emulator(context: typer.Context) -> None:
    """Serve the Enprompta API on this machine until Ctrl-C; `enprompta emulator --help` lists its options."""
    try:
        from enprompta.emulator.__main__ import main  # noqa: PLC0415 (an extra)
    except ImportError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):  # otherwise the message says what to install
            raise
        show_error(str(error))
        raise typer.Exit(FAILED) from None
    raise typer.Exit(main(context.args, program=context.command_path))


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line; the emulator parses its options."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=settings, add_help_option=False, rich_help_panel="This machine")(emulator)
