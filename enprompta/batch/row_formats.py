"""Read the rows of CSV, JSON Lines and Parquet files, one at a time, each with its position in the file."""

from __future__ import annotations

import csv
import json
import threading
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from enprompta._common.json_reading import reason_of
from enprompta._common.text_files import NotTextError, check_encoding, open_regular, undecodable_line
from enprompta.batch.errors import RowError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from types import ModuleType
    from typing import TextIO

Row: TypeAlias = "dict[str, Any]"
Numbered: TypeAlias = "Iterator[tuple[int, Row]]"

MAX_LINE = 100_000_000
"""Maximum characters of a JSON line, so that a file without line feeds is not read into memory."""
_LARGEST_FIELD = 2**31 - 1  # the maximum of a C long on every platform
# The first bytes of files that are passed as text by mistake.
_PACKED = {
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip archive or a workbook",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_KINDS: dict[type, str] = {
    list: "a list",
    str: "a text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}
_limit = threading.Lock()


def read_csv(path: str) -> Numbered:
    """Read CSV with the column names in its first line."""
    with _opened(path, newline="") as file:
        reader = csv.reader(_without_nul(path, file), strict=True)
        start = 1
        try:
            names = _next_fields(reader)
            if names is None:
                return
            _check_names(f"{path}, line 1", names)
            start = reader.line_num + 1
            while (fields := _next_fields(reader)) is not None:
                # In a file of one column, a blank line is a row with an empty cell; in other files it is skipped.
                if fields or len(names) == 1:
                    yield start, _row(f"{path}, line {start}", names, fields or [""])
                start = reader.line_num + 1
        except csv.Error as error:
            if "end of data" in str(error):
                raise RowError(f"{path}, line {start}: a quoted field of this row is not closed") from error
            raise RowError(f"{path}, line {reader.line_num}: {error}") from error


def read_json_lines(path: str) -> Numbered:
    """Read one JSON object per line; blank lines are skipped."""
    with _opened(path, newline=None) as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > MAX_LINE:
                raise RowError(f"{where} is longer than {MAX_LINE:,} characters: JSON Lines has one object per line")
            if not line.strip():
                continue
            try:
                row: object = _decoder.decode(line.strip())
            except (ValueError, RecursionError) as error:
                raise RowError(
                    f"{where} is not JSON: {reason_of(error)}. JSON Lines has one object per line"
                ) from error
            if not isinstance(row, dict):
                kind = _KINDS[type(row)]
                raise RowError(f"{where} is {kind}, not an object of columns and values")
            yield number, row


def read_parquet(path: str) -> Numbered:
    """Read Parquet in batches; needs pyarrow."""
    try:
        parquet: ModuleType = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigurationError("Parquet needs pyarrow: pip install pyarrow") from error
    number = 0
    with open_regular(path) as stream:
        batches = _parquet_batches(parquet, stream)
        while True:
            try:
                batch = next(batches, None)
            except Exception as error:
                after = f" after row {number}" if number else ""
                raise RowError(f"{path} is not readable as Parquet{after}: {_first_line(error)}") from error
            if batch is None:
                return
            for row in batch:
                number += 1
                yield number, dict(row)


def _parquet_batches(parquet: ModuleType, stream: object) -> Generator[list[Mapping[str, object]]]:
    with parquet.ParquetFile(stream) as file:
        _check_names("the schema", file.schema_arrow.names)
        for batch in file.iter_batches():
            yield batch.to_pylist()


@contextmanager
def _opened(path: str, newline: str | None) -> Generator[TextIO]:
    """Open a text file; a decoding error names the line."""
    with open_regular(path) as stream:
        start = stream.read(4)
        stream.seek(0)
        try:
            check_encoding(start)
        except NotTextError as error:
            raise RowError(f"{path} {error}") from None
        for signature, what in _PACKED.items():
            if start.startswith(signature):
                raise RowError(f"{path} is {what}, not text: unpack or export it first")
        try:
            yield TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)
        except UnicodeDecodeError as error:
            line = undecodable_line(path)
            raise RowError(f"{path}, line {line} is not UTF-8. Save the file as UTF-8") from error


def _without_nul(path: str, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise RowError(f"{path}, line {number} has a NUL byte: it is not text, or text in UTF-16")
        yield line


def _next_fields(reader: Iterator[list[str]]) -> list[str] | None:
    # The limit applies to the whole process (131,072 characters by default), so it is raised only while reading.
    with _limit:
        before = csv.field_size_limit(_LARGEST_FIELD)
        try:
            return next(reader, None)
        finally:
            csv.field_size_limit(before)


def _check_names(where: str, names: Sequence[str]) -> None:
    if not any(name.strip() for name in names):
        raise RowError(f"{where} must have the column names")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError(f"{where}: there are two columns {twice!r}")


def _row(where: str, names: list[str], fields: list[str]) -> Row:
    if len(fields) < len(names):
        raise RowError(f"{where}: the row ends before column {names[len(fields)]!r}")
    if len(fields) > len(names):
        raise RowError(f"{where}: the row has {len(fields)} fields, and there are {len(names)} columns")
    return dict(zip(names, fields, strict=True))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)

READERS: dict[str, Callable[[str], Numbered]] = {"csv": read_csv, "jsonl": read_json_lines, "parquet": read_parquet}
UNITS = {"csv": "line", "jsonl": "line", "parquet": "row"}
