"""The file that `execute-many` writes: whole records only, and never fewer than were there before.

It is written beside its place, and renamed when the run stops. What an earlier run wrote is still there when this run
is refused, as with the checkpoint of other rows, or when the disk is full.
"""

from __future__ import annotations

import os
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


class ResultsFile:
    """A file of records, in the format of its ending.

    Args:
        path: The file. A pipe or a device is written to directly.
        variables: The names of the variables, which are columns of a table.

    Raises:
        ConfigurationError: It cannot be written, or its ending is unknown.
        EnpromptaError: From `write` and the end of the block: the disk is full, say, and the file is as it was.
    """

    def __init__(self, path: Path, variables: Sequence[str] = ()) -> None:
        make = writer_for(path)
        self._path = path
        self._is_file = path.is_file() or not path.exists()
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.tmp") if self._is_file else path
        self._records = 0
        self._is_whole = True  # nothing is missing from the records that were written
        try:
            # What JSON has as an escape may be no letter, such as half of a pair; so written it is that escape again.
            self._stream: TextIO = self._beside.open("w", encoding="utf-8", errors="backslashreplace", newline="")
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
                        os.fsync(self._stream.fileno())  # for the checkpoint may be deleted now
                finally:
                    with suppress(OSError):  # it tries to write again what could not be written
                        self._stream.close()
                if self._is_file and self._is_whole and (exc is None or self._is_news(exc)):
                    self._beside.replace(self._path)
        finally:
            if self._is_file:
                with suppress(OSError):  # it is there only when it is not to be the result
                    self._beside.unlink()

    def _is_news(self, exc: BaseException) -> bool:
        """True if a run that was stopped has more results than the file had before."""
        return self._records > 0 and not isinstance(exc, CheckpointError)

    @contextmanager
    def _reported(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self._is_whole = False
            raise EnpromptaError(
                f"{self._path} cannot be written and is as it was: {error.strerror or error}. What was executed is in "
                "the checkpoint: make room and run the same command again"
            ) from None
