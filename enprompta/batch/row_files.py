"""Rows out of files: CSV, JSON Lines and Parquet, checked against a prompt before anything is sent."""

from __future__ import annotations

import csv
import json
import os
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from enprompta import templating
from enprompta.batch.errors import RowError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from enprompta.models.prompts import Prompt

Format = Literal["csv", "jsonl", "parquet"]
Row: TypeAlias = "dict[str, Any]"
Numbered: TypeAlias = "Iterator[tuple[int, Row]]"

SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_LISTED = 10


class Rows:
    """The rows of a file: has a length, can be iterated any number of times, and holds one row at a time in memory.

    Args:
        read: Gives them, each with its place in the file.
        variables: The columns that the prompt asks for; all without a prompt.
        count: How many rows there are.
    """

    variables: tuple[str, ...]
    """What to give to `execute_many` as `variables`: the columns that the prompt asks for, not the others."""

    def __init__(self, read: Callable[[], Numbered], variables: tuple[str, ...], count: int) -> None:
        self._read = read
        self._count = count
        self.variables = variables

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
    """Look through a file of rows and give them, once all of them are known to be good.

    Args:
        path: The file. CSV has the columns' names in its first line; JSON Lines an object a line;
            Parquet needs pyarrow.
        format: What it is; None goes by its name.
        prompt: Whose variables the rows have to give: each row is held against their declarations.

    Raises:
        RowError: A row cannot be read, or does not give what the prompt needs; the text names the row's line and the
            column.
        ConfigurationError: The file is not there, or its format is not known or needs a package that is not there.
    """
    kind = format or SUFFIXES.get(os.path.splitext(path)[1].lower())  # noqa: PTH122 (a path of any kind)
    if kind not in _READERS:
        raise ConfigurationError(f"{os.fspath(path)} is of no known format: say format='csv', 'jsonl' or 'parquet'")
    reader = _READERS[kind]

    def read() -> Numbered:
        with _named(path):
            yield from reader(os.fspath(path))

    count, columns = 0, dict[str, None]()
    needed = None if prompt is None else _needed(prompt)
    for place, row in read():
        count += 1
        columns.update(dict.fromkeys(row))
        if prompt is not None and needed is not None:
            _check(f"{os.fspath(path)}, {_UNITS[kind]} {place}", row, prompt, needed)
    return Rows(read, tuple(name for name in columns if needed is None or name in needed), count)


def _needed(prompt: Prompt) -> list[str]:
    names = [*(variable.name for variable in prompt.variables), *templating.variables(prompt.content)]
    return list(dict.fromkeys(names))


def _check(where: str, row: Row, prompt: Prompt, needed: list[str]) -> None:
    """Hold a row against the declarations of a prompt's variables."""
    given = {name: row[name] for name in needed if name in row}
    problems = templating.validate(prompt.variables, given, prompt.content)
    if not problems:
        return
    first = problems[0]
    if first.field not in row:
        has = ", ".join(list(row)[:_LISTED]) or "none"
        raise RowError(f"{where}: there is no column {first.field!r}, which the prompt needs; there are: {has}")
    raise RowError(f"{where}, column {first.field!r}: {first.message}")


def _csv(path: str) -> Numbered:
    with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader, list[str]())
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise RowError(f"{path}, line 1: there are two columns {twice!r}")
            start = reader.line_num + 1
            for fields in reader:
                if fields:
                    yield start, _fields(f"{path}, line {start}", names, fields)
                start = reader.line_num + 1
        except csv.Error as error:
            raise RowError(f"{path}, line {reader.line_num}: {error}") from error


def _fields(where: str, names: list[str], fields: list[str]) -> Row:
    if len(fields) < len(names):
        raise RowError(f"{where}: the row ends before column {names[len(fields)]!r}")
    if len(fields) > len(names):
        raise RowError(f"{where}: the row has {len(fields)} fields, and there are {len(names)} columns")
    return dict(zip(names, fields, strict=True))


def _jsonl(path: str) -> Numbered:
    with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise RowError(f"{path}, line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise RowError(f"{path}, line {number} is not an object of columns and values")
            yield number, cast("Row", row)


def _parquet(path: str) -> Numbered:
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigurationError("Parquet needs pyarrow: pip install pyarrow") from error
    number = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for row in cast("list[Mapping[str, Any]]", batch.to_pylist()):
                number += 1
                yield number, dict(row)


_READERS: dict[str, Callable[[str], Numbered]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
_UNITS = {"csv": "line", "jsonl": "line", "parquet": "row"}


@contextmanager
def _named(path: object) -> Generator[None]:
    """Tell which file it was that could not be read."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RowError(f"{path} is not text in UTF-8: {error}") from error
