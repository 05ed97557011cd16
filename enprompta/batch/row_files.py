"""Rows from files: CSV, JSON Lines and Parquet, validated against a prompt before anything is sent."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from enprompta import templating
from enprompta.batch.errors import RowError
from enprompta.batch.row_formats import READERS, UNITS
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from enprompta.batch.row_formats import Numbered, Row
    from enprompta.models.prompts import Prompt, PromptVariable

Format = Literal["csv", "jsonl", "parquet"]

SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_LISTED = 10
_HINTS = {"csv": " below the line with the column names", "jsonl": "", "parquet": ""}


class Rows:
    """The rows of a file: sized, iterable any number of times, with one row in memory at a time.

    Args:
        read: Returns an iterator over rows, each with its position in the file.
        variables: The columns that the prompt needs; all columns without a prompt.
        count: The number of rows.
        skipped: The number of rows whose cells are all empty.
    """

    variables: tuple[str, ...]
    """The columns that the prompt needs, to pass to `execute_many` as `variables`."""
    skipped: int
    """Rows of the file whose cells are all empty; they are left out, and not counted in the length."""

    def __init__(self, read: Callable[[], Numbered], variables: tuple[str, ...], count: int, skipped: int = 0) -> None:
        self._read = read
        self._count = count
        self.variables = variables
        self.skipped = skipped

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self._read())

    def __len__(self) -> int:
        return self._count


def read_rows(
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,
    prompt: Prompt | None = None,
) -> Rows:
    """Validate a file of rows, and return the rows.

    Text is UTF-8; a byte order mark is skipped. Rows of CSV and Parquet whose cells are all empty are skipped and
    counted in `Rows.skipped`.

    Args:
        path: A regular file, because rows are read twice. CSV has the column names in its first line, and fields of
            any length; JSON Lines has one object per line; Parquet needs pyarrow.
        format: The file's format; None derives it from the file's name.
        prompt: The prompt that the rows are for: each row is validated against its variables, and a required variable
            needs more than whitespace.

    Raises:
        RowError: A row cannot be read or does not fit the prompt (the text names the line and the column), or the
            file has no rows.
        ConfigurationError: The file cannot be opened, or its format is unknown or needs a package that is missing.
    """
    kind = format or SUFFIXES.get(os.path.splitext(path)[1].lower())  # noqa: PTH122 (a path of any kind)
    if kind not in READERS:
        raise ConfigurationError(f"{os.fspath(path)} has an unknown format: pass format='csv', 'jsonl' or 'parquet'")
    name = os.fspath(path)

    def read_all() -> Numbered:
        with _named(path):
            yield from READERS[kind](name)

    def read() -> Numbered:
        # An empty JSON object is deliberate; empty rows of a table are often left over.
        return (each for each in read_all() if kind == "jsonl" or not _is_empty(each[1]))

    count, total, columns = 0, 0, dict[str, None]()
    needs = None if prompt is None else _Needs(prompt)
    for place, row in read_all():
        total += 1
        columns.update(dict.fromkeys(row))
        if kind != "jsonl" and _is_empty(row):
            continue
        count += 1
        if needs is not None:
            needs.check(f"{name}, {UNITS[kind]} {place}", row)
    if not count:
        raise RowError(
            f"{name} has no rows" + (f": all cells of its {total:,} rows are empty" if total else _HINTS[kind])
        )
    wanted = tuple(column for column in columns if needs is None or column in needs.names)
    return Rows(read, wanted, count, total - count)


def _is_empty(row: Row) -> bool:
    return all(map(_is_blank, row.values()))


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


class _Needs:
    """The requirements of a prompt's variables on a row."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        used = templating.variables(prompt.content)
        declared = {variable.name: variable for variable in prompt.variables}
        self.names = list(dict.fromkeys([*declared, *used]))
        """The names of the variables, each once."""
        self._required = [name for name in self.names if _is_required(declared.get(name), is_used=name in used)]

    def check(self, where: str, row: Row) -> None:
        """Validate a row.

        Raises:
            RowError: The row does not meet the requirements.
        """
        given = {name: row[name] for name in self.names if name in row}
        problems = templating.validate(self._prompt.variables, given, self._prompt.content)
        if problems:
            first = problems[0]
            if first.field not in row:
                has = ", ".join(list(row)[:_LISTED]) or "none"
                raise RowError(
                    f"{where}: there is no column {first.field!r}, which the prompt needs; the columns are: {has}"
                )
            raise RowError(f"{where}, column {first.field!r}: {first.message}")
        for name in self._required:
            if name in row and _is_blank(row[name]):
                raise RowError(f"{where}, column {name!r}: the cell is empty, and the prompt requires a value")


def _is_required(declared: PromptVariable | None, *, is_used: bool) -> bool:
    if declared is None or declared.required is None:
        return is_used and (declared is None or declared.default is None)
    return declared.required


@contextmanager
def _named(path: object) -> Generator[None]:
    """Name the file in errors of opening and reading it."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
