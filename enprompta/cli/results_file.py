"""The results file of `execute-many`, in JSON Lines, CSV or Parquet: complete records only, never fewer than before.

The run writes a temporary file in the same directory and renames it when it stops. If the run is refused, for example
because the checkpoint belongs to other rows, or the disk is full, the results of an earlier run remain.
"""

from __future__ import annotations

import csv
import json
import os
import stat
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from enprompta._common.values import encodable
from enprompta.batch.errors import CheckpointError
from enprompta.errors import ConfigurationError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType, TracebackType
    from typing import TextIO

    from typing_extensions import Self

_FIELDS = ("output", "executionId", "model", "tokens", "cost", "error")
_NUMBERS = frozenset({"tokens", "cost"})
_BITS = 63  # of an integer, without the sign
_BATCH = 1_000  # rows of a Parquet file that are written at once
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Writer(Protocol):
    """Writes records to a stream."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one record; it may be buffered until `end`."""
        ...

    def end(self) -> None:
        """Write buffered records; the stream stays open."""


class JSONLinesWriter(Writer):
    """Writes one JSON object per line."""

    def __init__(self, stream: TextIO, _variables: Sequence[str]) -> None:
        self._stream = stream

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a record; see `Writer`."""
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")


class CSVWriter(Writer):
    """Writes one row per record, with a column for each variable.

    Spreadsheets run cells that start with `=`, `+`, `-` or `@` as formulas. Such texts get a leading apostrophe, unless
    they are numbers. JSON Lines and Parquet keep them unchanged.
    """

    def __init__(self, stream: TextIO, variables: Sequence[str]) -> None:
        self._columns = _columns(variables)
        self._writer = csv.writer(stream)
        self._writer.writerow([_shielded(name) for name in self._columns])

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a record; see `Writer`."""
        values = _flat(record)
        self._writer.writerow([_cell(values.get(name)) for name in self._columns])


class ParquetWriter(Writer):
    """Writes the columns of `CSVWriter` with types: variables are text, `tokens` an integer, `cost` a float."""

    def __init__(self, stream: TextIO, variables: Sequence[str]) -> None:
        arrow = _pyarrow("pyarrow")
        types = {"index": arrow.int64(), "ok": arrow.bool_(), "tokens": arrow.int64(), "cost": arrow.float64()}
        self._schema: Any = arrow.schema([(name, types.get(name, arrow.string())) for name in _columns(variables)])
        self._arrow = arrow
        self._writer: Any = _pyarrow("pyarrow.parquet").ParquetWriter(stream.buffer, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a record; see `Writer`."""
        values = _flat(record)
        self._rows.append({name: _storable(values.get(name)) for name in self._schema.names})
        if len(self._rows) >= _BATCH:
            self._flush()

    def end(self) -> None:
        """Write the last rows and the file's index; see `Writer`."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


FORMATS: dict[str, Callable[[TextIO, Sequence[str]], Writer]] = {
    ".jsonl": JSONLinesWriter,
    ".ndjson": JSONLinesWriter,
    ".csv": CSVWriter,
    ".parquet": ParquetWriter,
}


def writer_for(path: Path) -> Callable[[TextIO, Sequence[str]], Writer]:
    """Choose the writer by the file extension; a path without one, such as a pipe, gets JSON Lines.

    Raises:
        ConfigurationError: The extension is unknown, or its format needs a package that is not installed.
    """
    ending = path.suffix.lower()
    if ending and ending not in FORMATS:
        raise ConfigurationError(f"{path} ends in {path.suffix}: results are written as .jsonl, .csv or .parquet")
    if ending == ".parquet":
        _pyarrow("pyarrow.parquet")
    return FORMATS.get(ending, JSONLinesWriter)


def _pyarrow(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigurationError("Parquet needs pyarrow: pip install pyarrow") from None


def _columns(variables: Sequence[str]) -> list[str]:
    return ["index", "ok", *(f"variables.{name}" for name in variables), *_FIELDS]


def _flat(record: Mapping[str, Any]) -> dict[str, object]:
    """Flatten a record, with one text column per variable."""
    named = {f"variables.{name}": _text(value) for name, value in record["variables"].items()}
    rest = {name: value if name in _NUMBERS else _text(value) for name, value in record.items() if name in _FIELDS}
    return {"index": record["index"], "ok": record["ok"], **named, **rest}


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _shielded(value) if isinstance(value, str) else value


def _shielded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text[0].isspace()


def _storable(value: object) -> object:
    """Convert a value that Parquet cannot store: escape lone surrogates, drop integers beyond 64 bits."""
    if isinstance(value, str):
        return encodable(value)
    return None if type(value) is int and value.bit_length() > _BITS else value


def is_stream(path: Path) -> bool:
    """True for a pipe, a device, and the standard output of this program, also if that is redirected to a file."""
    try:
        found = path.stat()
    except OSError:  # it does not exist yet
        return False
    return not stat.S_ISREG(found.st_mode) or is_standard_output(path)


def is_standard_output(path: Path) -> bool:
    """True for `/dev/stdout` and its other names."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:  # one of them does not exist
        return False


class ResultsFile:
    """A file of records, in the format of its extension; pipes and devices are written to directly.

    Raises:
        ConfigurationError: The file cannot be written, or its extension is unknown.
        EnpromptaError: Raised by `write` and on exit if writing fails, for example because the disk is full; the file
            is left unchanged.
    """

    def __init__(self, path: Path, variables: Sequence[str] = ()) -> None:
        make = writer_for(path)
        self._path = path
        self._is_file = not is_stream(path)
        self._target = path.resolve() if self._is_file else path  # a link stays a link
        self._beside = self._target.with_name(f".{path.name}.{os.getpid()}.tmp") if self._is_file else path
        self._records = 0
        self._is_whole = True  # False after a failed write
        try:
            # `backslashreplace` writes a lone surrogate as the JSON escape that it came from.
            # A copy of the standard output continues where that is, not at the start of its file.
            opened: Path | int = os.dup(1) if is_standard_output(path) else self._beside
            self._stream: TextIO = open(opened, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: PTH123, SIM115 (a descriptor is no path; `__exit__` closes)
            self._writer = make(self._stream, variables)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a record."""
        with self._reported():
            self._writer.write(record)
        self._records += 1

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._reported():
                try:
                    self._writer.end()
                    self._stream.flush()
                    if self._is_file:
                        os.fsync(self._stream.fileno())  # because the checkpoint may be deleted now
                finally:
                    with suppress(OSError):  # closing retries the failed write
                        self._stream.close()
                # A run that was stopped may have fewer results than the file had before.
                is_news = exc is None or (self._records > 0 and not isinstance(exc, CheckpointError))
                if self._is_file and self._is_whole and is_news:
                    self._beside.replace(self._target)
        finally:
            if self._is_file:
                with suppress(OSError):  # it exists only if it was not renamed
                    self._beside.unlink()

    @contextmanager
    def _reported(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self._is_whole = False
            raise EnpromptaError(
                f"{self._path} cannot be written and was left unchanged: {error.strerror or error}. The results are in "
                "the checkpoint: free some disk space and run the same command again"
            ) from None
