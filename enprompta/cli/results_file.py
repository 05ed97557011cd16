"""The results file of `execute-many`, which contains complete records only and never fewer than before.

The run writes a temporary file in the same directory and renames it when it stops. If the run is refused, for example
because the checkpoint belongs to other rows, or the disk is full, the results of an earlier run remain.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from enprompta.batch.errors import CheckpointError
from enprompta.cli.result_formats import writer_for
from enprompta.errors import ConfigurationError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


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
