"""`enprompta prompts check`: find template syntax that stays in the text of a prompt."""

from __future__ import annotations

from typing import Annotated

import typer

from enprompta.cli.commands.prompts import group
from enprompta.cli.console import FAILED, line, out
from enprompta.cli.options import Json
from enprompta.cli.output import write_json
from enprompta.cli.template_checks import of_target

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        help="Prompt files, directories of them, other text files, - for standard input, or ids of prompts.",
        show_default=False,
    ),
]


@group.command(epilog="Exit status: 0 no problems, 1 problems or failure, 2 wrong usage, 3 no credentials.")
def check(targets: Targets, *, as_json: Json = False) -> None:
    """Find template syntax that stays in the text, and declarations that do not match it; files are checked offline."""
    found = [one for target in targets for one in of_target(target)]
    for place, problem in found:
        if as_json:
            write_json({"place": place, "message": problem.message})
        else:
            out.print(line(f"{place}: {problem.message}"))
    if found:
        raise typer.Exit(FAILED)
    if not as_json:
        out.print(line("No problems."))
