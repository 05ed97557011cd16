"""The command `enprompta`: puts the groups of commands together, one module a group.

To add a group: a module with a `typer.Typer` called `group`, and a line here. Every command ends with 0 when what it
was asked for is so, 1 when it is not or failed, 2 when it was called wrongly.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated

import typer

from enprompta._version import __version__
from enprompta.cli import webhooks
from enprompta.cli.console import out
from enprompta.cli.guard import Commands
from enprompta.cli.prompts_as_code import commands as prompts_as_code

app = typer.Typer(
    name="enprompta",
    cls=Commands,
    help="Tools for developing with the Enprompta API.",
    epilog="Exit status: 0 all is well, 1 refused or failed, 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it would show local variables, and with them secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
prompts_as_code.add_to(app)
app.add_typer(webhooks.group, name="webhooks")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 (typer calls it so)
    if wanted:
        out.print(f"enprompta {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Tools for developing with the Enprompta API."""


def run() -> int:
    """Run the command that the process was started with, and give the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show is no reason to fail
    logging.getLogger("enprompta").addHandler(logging.NullHandler())  # the commands say themselves what happened
    app(prog_name="enprompta")
    return 0
