"""Options that many commands share, and reading what was given with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from enprompta._common.text_files import NotTextError, decode, read_bounded
from enprompta._core.unset import UNSET, Unset
from enprompta.cli.console import FAILED, out
from enprompta.cli.error_handling import WRONG_USAGE, show_error

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = "Exit status: 0 done, 1 the API said no, 2 wrong usage, 3 no key, 130 Ctrl-C."

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, in the API's names.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="How many to show.")]
All = Annotated[bool, typer.Option("--all", help="Show all, however many.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Search = Annotated[str | None, typer.Option(metavar="TEXT", help="Only those that hold this text.")]
Category = Annotated[str | None, typer.Option(help="Only those of this category.")]
Team = Annotated[str | None, typer.Option(metavar="ID", help="Only those of this team.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="From this day or moment on, such as 2024-01-17.")]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="Up to this day or moment.")]
Values = Annotated[
    list[str] | None, typer.Option("--var", "-v", metavar="NAME=VALUE", help="A value; may be given again.")
]
ValuesFile = Annotated[
    str | None, typer.Option("--vars", metavar="FILE", help="A JSON object of values; - for standard input.")
]


def given(value: Any) -> Any:  # noqa: ANN401 (whatever an option holds)
    """Turn an option that was not given into a parameter that is not sent."""
    return UNSET if value is None or value == [] else value


def values_of(pairs: Sequence[str] | None, file: str | None) -> dict[str, Any] | Unset:
    """Read values given by name: those of a file, and over them those of the command line.

    Raises:
        typer.BadParameter: One is not `name=value`, or the file holds no JSON object.
    """
    values: dict[str, Any] = {} if file is None else read_object(file)
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--var")
        values[name] = value
    return values or UNSET


def read_object(file: str) -> dict[str, Any]:
    """Read a JSON object from a file, or from standard input for `-`.

    Raises:
        typer.BadParameter: It holds none.
    """
    try:
        values: object = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{file} must hold a JSON object")
    return cast("dict[str, Any]", values)


def read_text(file: str) -> str:
    """Read a file, or standard input for `-`, with its line ends as they are and without a byte order mark.

    Raises:
        typer.BadParameter: It cannot be read, is not UTF-8, or is larger than a prompt can be.
    """
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            return decode(read_bounded(sys.stdin.buffer))
        with Path(file).open("rb") as stream:  # a pipe too, as `<(command)` is one
            return decode(read_bounded(stream))
    except NotTextError as error:
        raise typer.BadParameter(f"{name} {error}") from None
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror or error}") from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        typer.Exit: The answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        show_error("There is nobody to ask here: --yes goes on without asking")
        raise typer.Exit(WRONG_USAGE)
    if not typer.confirm(question):
        out.print("Nothing was done.")
        raise typer.Exit(FAILED)
