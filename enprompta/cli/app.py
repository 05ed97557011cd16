"""The command `enprompta`, assembled from one module per group of commands.

To add a group, write a module with a `typer.Typer` called `group` and add a line here. Exit statuses: 0 success, 1 the
command failed or a check did not pass, 2 wrong usage, 3 no credentials, 130 Ctrl-C.
"""

from __future__ import annotations

import logging
from typing import Annotated, NoReturn

import typer

from enprompta._version import __version__
from enprompta.cli import shared_options
from enprompta.cli.commands import (
    doctor,
    emulator,
    execute_many,
    executions,
    login,
    mcp,
    prompts,
    teams,
    templates,
    traces,
    usage,
    webhooks,
    workbench,
    workflows,
)
from enprompta.cli.console import out
from enprompta.cli.error_handling import Commands
from enprompta.cli.prompts_as_code import commands as prompts_as_code

app: typer.Typer = typer.Typer(
    name="enprompta",
    cls=Commands,
    help="Tools for developing with the Enprompta API.",
    epilog="Exit status: 0 success, 1 failure, 2 wrong usage, 3 no credentials, 130 Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it would show local variables, and with them secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
prompts_as_code.add_to(app)
_RESOURCES = {
    "prompts": (prompts, execute_many),
    "executions": (executions,),
    "templates": (templates,),
    "workflows": (workflows,),
    "teams": (teams,),
    "webhooks": (webhooks,),
    "traces": (traces,),
    "usage": (usage,),
}
for _name, _modules in _RESOURCES.items():
    app.add_typer(_modules[0].group, name=_name, rich_help_panel="The API")
app.command(
    rich_help_panel="This machine", epilog="Exit status: 0 everything works, 1 a check failed, 3 no credentials."
)(doctor.doctor)
login.add_to(app)
app.command(rich_help_panel="This machine", epilog=mcp.EPILOG)(mcp.mcp)
app.command(rich_help_panel="This machine", epilog=workbench.EPILOG)(workbench.workbench)
shared_options.add_to(app)
emulator.add_to(app)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 (typer passes it by position)
    if wanted:
        out.print(f"enprompta {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[  # noqa: ARG001 (its callback acts on it)
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    profile: shared_options.Profile = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # noqa: ARG001 (the guard reads it)
) -> None:
    """Tools for developing with the Enprompta API."""
    shared_options.shared.profile = profile


def run() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    logging.getLogger("enprompta").addHandler(logging.NullHandler())  # the commands report errors themselves
    raise SystemExit(app(prog_name="enprompta"))
