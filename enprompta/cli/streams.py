"""Standard output and standard error of the process: UTF-8 whatever the locale, and errors of writing in one line."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Generator

_FAILED = 1
_INTERRUPTED = 130


def use_utf8() -> None:
    """Write UTF-8 on both streams, whatever the locale, `PYTHONIOENCODING` or `PYTHONUTF8` say.

    UTF-8 lacks lone surrogates alone, and `backslashreplace` writes those as JSON itself does, so JSON stays JSON.
    """
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        with suppress(AttributeError):  # the process was started without it, or the caller has put in a stream
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


@contextmanager
def guarded() -> Generator[None]:
    """Turn Ctrl-C into exit status 130, and a file or output that cannot be used into a line and exit status 1.

    Raises:
        SystemExit: The command was interrupted, or its output could not be written.
    """
    stdout = cast("Any", sys.stdout)  # None when it was closed before the start, `>&-`, which its type does not say
    stderr = cast("Any", sys.stderr)
    try:
        try:
            if stdout is None:
                raise OSError(errno.EBADF, "It is closed")
            yield
        finally:
            with suppress(AttributeError):
                cast("Any", sys.stdout).flush()
    except KeyboardInterrupt:
        _discard_output()
        sys.exit(_INTERRUPTED)
    except OSError as error:
        _discard_output()
        if stderr is not None:
            what = "Standard output cannot be written" if error.filename is None else error.filename
            stderr.write(f"error  {what}: {error.strerror or error}\n")
        sys.exit(_FAILED)


def _discard_output() -> None:
    """Send what is still buffered nowhere, or the interpreter would complain when it flushes at exit."""
    with suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
