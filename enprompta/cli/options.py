"""Options that several commands share, and helpers that read their values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enprompta._common.json_reading import reason_of
from enprompta._common.narrowing import is_dict
from enprompta._common.text_files import NotTextError, decode, read_bounded
from enprompta._core.unset import UNSET, Unset
from enprompta.cli.console import FAILED, out
from enprompta.cli.error_handling import WRONG_USAGE, show_error

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = "Exit status: 0 success, 1 the API returned an error, 2 wrong usage, 3 no credentials, 130 Ctrl-C."

Json = Annotated[bool, typer.Option("--json", help="Output JSON Lines, with the API's field names.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of results.")]
All = Annotated[bool, typer.Option("--all", help="Show all results.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Search = Annotated[str | None, typer.Option(metavar="TEXT", help="Only results that contain this text.")]
Category = Annotated[str | None, typer.Option(help="Only results in this category.")]
Team = Annotated[str | None, typer.Option(metavar="ID", help="Only results of this team.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="Start date or time, such as 2024-01-17.")]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="End date or time.")]
Values = Annotated[
    list[str] | None, typer.Option("--var", "-v", metavar="NAME=VALUE", help="A variable's value; can be repeated.")
]
ValuesFile = Annotated[
    str | None, typer.Option("--vars", metavar="FILE", help="JSON file with an object of values; - for standard input.")
]


def given(value: object) -> Any:  # noqa: ANN401 (whatever an option holds)
    """Convert an option that was not given into `UNSET`, so that it is not sent."""
    return UNSET if value is None or value == [] else value


def given_only(**values: object) -> dict[str, Any]:
    """Leave out the options that were not given."""
    return {name: value for name, value in values.items() if given(value) is not UNSET}


def values_of(pairs: Sequence[str] | None, file: str | None) -> dict[str, object] | Unset:
    """Read variables from a file and from `NAME=VALUE` pairs, which take precedence.

    Raises:
        typer.BadParameter: A pair is not `NAME=VALUE`, or the file does not contain a JSON object.
    """
    values: dict[str, object] = {} if file is None else read_object(file)
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--var")
        values[name] = value
    return values or UNSET


def read_object(file: str) -> dict[str, object]:
    """Read a JSON object from a file, or from standard input for `-`.

    Raises:
        typer.BadParameter: It does not contain a JSON object.
    """
    try:
        values: object = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file} is not JSON: {reason_of(error)}") from None
    if not is_dict(values):
        raise typer.BadParameter(f"{file} must hold a JSON object")
    return values


def read_text(file: str) -> str:
    """Read a file, or standard input for `-`; keeps line endings and drops a byte order mark.

    Raises:
        typer.BadParameter: It cannot be read, is not UTF-8, or is larger than a prompt can be.
    """
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            return decode(read_bounded(sys.stdin.buffer))
        with Path(file).open("rb") as stream:  # may be a pipe, such as `<(command)`
            return decode(read_bounded(stream))
    except NotTextError as error:
        raise typer.BadParameter(f"{name} {error}") from None
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror or error}") from None


def confirm(question: str, *, yes: bool, instead: str = "", kept: str = "nothing was changed") -> None:
    """Ask for confirmation before an action that cannot be undone.

    Where there is no terminal to ask at, `--yes` is needed, or what `instead` says. `kept` is what the answer no means.

    Raises:
        typer.Exit: The answer is no, or standard input is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        reason = "Cannot ask for confirmation because standard input is not a terminal"
        show_error(f"{reason}: pass --yes to continue{instead}")
        raise typer.Exit(WRONG_USAGE)
    if not typer.confirm(question):
        out.print(f"Cancelled; {kept}.")
        raise typer.Exit(FAILED)
