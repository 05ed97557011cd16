"""`enprompta codegen`: prompts as typed Python functions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from enprompta._common.text_files import open_regular
from enprompta.cli import prompts_as_code as code
from enprompta.cli.console import FAILED, line, out
from enprompta.cli.error_handling import show_error
from enprompta.cli.prompts_as_code.files import read_directory, write_text
from enprompta.cli.template_checks import warn_of_files

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory of the *.prompt.md files.", show_default=False)
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The Python module to write.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if FILE is out of date.")]


def codegen(directory: Directory, *, output: Output, check: Check = False) -> None:
    """Generate a Python module with a typed function for each prompt in DIR; works offline, without credentials."""
    files = read_directory(directory)
    code.lock.Lock.read(directory).refuse_conflicts(files)
    warn_of_files(files, directory)
    text = code.generate.module(files)
    is_current = _holds(output, text.encode())
    if check and not is_current:
        show_error(f"{output} is out of date: run `enprompta codegen {directory} -o {output}`")
        raise typer.Exit(FAILED)
    if not is_current:
        write_text(output, text)
    out.print(line(f"{output} {'is up to date' if is_current else 'written'}: {len(files):,} functions."))


def _holds(path: Path, data: bytes) -> bool:
    try:
        with open_regular(path) as stream:
            return stream.read(len(data) + 1) == data
    except OSError:  # writing reports the error
        return False


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    epilog = "Exit status: 0 written or up to date, 1 out of date or an invalid prompt file, 2 wrong usage."
    app.command(rich_help_panel="Prompts as code", epilog=epilog)(codegen)
