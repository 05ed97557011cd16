"""Standard output and standard error of commands: UTF-8 in every locale, and write errors reported in one line."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Generator

INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 and the number of SIGINT."""
_FAILED = 1


def use_utf8() -> None:
    """Write UTF-8 on both streams, whatever the locale, `PYTHONIOENCODING` or `PYTHONUTF8` say.

    Standard input is empty if it was closed with `<&-`, and what is written to a closed standard error is discarded.
    UTF-8 can encode everything except lone surrogates; `backslashreplace` writes those the way JSON does.
    """
    if cast("Any", sys.stdin) is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if cast("Any", sys.stderr) is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (as above)
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        with suppress(AttributeError):  # the stream is missing or was replaced
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


@contextmanager
def guarded() -> Generator[None]:
    """Exit with 130 on Ctrl-C, and with 1 and a one-line message if a file or the output cannot be used.

    Raises:
        SystemExit: The command was interrupted, or its output could not be written.
    """
    try:
        try:
            if cast("Any", sys.stdout) is None:  # closed with `>&-`, contrary to its type
                raise OSError(errno.EBADF, "It is closed")
            yield
        finally:
            with suppress(AttributeError):
                cast("Any", sys.stdout).flush()
    except KeyboardInterrupt:
        _discard(sys.stdout)
        sys.exit(INTERRUPTED)
    except OSError as error:
        _report(error)
        sys.exit(_FAILED)
    except SystemExit as ended:
        # click and rich exit silently on a closed pipe, for example while they print the help.
        if isinstance(ended.__context__, BrokenPipeError):
            _report(ended.__context__)
        raise


def complain(text: str) -> None:
    """Write to standard error, if it can be written."""
    try:
        sys.stderr.write(text)
    except (AttributeError, OSError, ValueError):
        _discard(sys.stderr)


def _report(error: OSError) -> None:
    _discard(sys.stdout)
    what = "Standard output cannot be written" if error.filename is None else error.filename
    complain(f"error  {what}: {error.strerror or error}\n")


def _discard(stream: TextIO) -> None:
    """Discard buffered output, because the interpreter would fail when it flushes at exit."""
    with suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
