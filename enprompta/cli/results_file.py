"""The file that `execute-many` writes: whole lines only, and never less than what was there before.

It is written beside its place, and takes it when the run stops. What an earlier run wrote is so still there when this
one is refused, as with the checkpoint of other rows, or when the disk is full.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from enprompta.batch.errors import CheckpointError
from enprompta.errors import ConfigurationError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


class ResultsFile:
    """A file of lines.

    Args:
        path: Where it is to be. What is no file, such as a pipe, is written to as it is.

    Raises:
        ConfigurationError: It cannot be written there.
        EnpromptaError: From `write` and the end of the block: there is no room, and the file is as it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_file = path.is_file() or not path.exists()
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.tmp") if self._is_file else path
        self._lines = 0
        self._is_whole = True  # nothing is missing from the lines that were written
        try:
            # What JSON has as an escape may be no letter, such as half of a pair; so written it is that escape again.
            self._stream: TextIO = self._beside.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def write(self, line: str) -> None:
        """Write a line."""
        with self._told():
            self._stream.write(f"{line}\n")
        self._lines += 1

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._told():
                try:
                    self._stream.flush()
                    if self._is_file:
                        os.fsync(self._stream.fileno())  # for the checkpoint may be deleted now
                finally:
                    self._stream.close()
                if self._is_file and self._is_whole and (exc is None or self._is_news(exc)):
                    self._beside.replace(self._path)
        finally:
            if self._is_file:
                with suppress(OSError):  # it is there only when its lines are not to be
                    self._beside.unlink()

    def _is_news(self, exc: BaseException) -> bool:
        """Tell whether a run that was broken off has more to show than what was there before."""
        return self._lines > 0 and not isinstance(exc, CheckpointError)

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self._is_whole = False
            raise EnpromptaError(
                f"{self._path} cannot be written and is as it was: {error.strerror or error}. What was executed is in "
                "the checkpoint: make room and run the same command again"
            ) from None
