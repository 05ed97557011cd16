"""Read user-supplied text: UTF-8, with or without a byte order mark, from regular files of limited size.

Commands and `read_rows` read all files and standard input through this module.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_TEXT = 10_000_000
"""Largest text in bytes that is read as a whole: a hundred times the largest prompt."""

# Without O_NONBLOCK, opening a pipe waits for a writer. Windows has O_BINARY instead of these flags.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
_CHUNK = 1 << 20
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # UTF-32-LE starts as UTF-16-LE does


class NotTextError(ValueError):
    """The bytes are not UTF-8; the message completes "FILE …"."""


def decode(data: bytes) -> str:
    """Decode UTF-8 and remove a byte order mark.

    Raises:
        NotTextError: The bytes are not UTF-8.
    """
    check_encoding(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The position does not count the mark.
        at = error.start + len(data) - len(error.object)
        line = data.count(b"\n", 0, at) + 1
        raise NotTextError(f"is not UTF-8: byte {at} is {data[at]:#04x} (line {line}). Save it as UTF-8") from None


def check_encoding(start: bytes) -> None:
    """Reject bytes that start with the byte order mark of another encoding.

    Raises:
        NotTextError: The text is UTF-16 or UTF-32.
    """
    if start.startswith(_WIDE_MARKS):
        raise NotTextError("is UTF-16 or UTF-32, not UTF-8. Save it as UTF-8")


def undecodable_line(path: str | os.PathLike[str]) -> int:
    """Return the number of the first line (from 1) that is not UTF-8; the last line if all are valid."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with open_regular(path) as stream:
        while chunk := stream.read(_CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start)
            line += chunk.count(b"\n")
    return line


def open_regular(path: str | os.PathLike[str], *, inside: Path | None = None) -> BinaryIO:
    """Open a regular file for reading bytes; reject pipes, sockets and devices without waiting for them.

    Args:
        path: The file.
        inside: The directory that must contain the file after following symbolic links; None for any.

    Raises:
        OSError: The file cannot be opened, is not a regular file, or is outside the directory.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        _check(path, os.fstat(descriptor), inside)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], *, inside: Path | None = None) -> bytes:
    """Read a regular file of at most `MAX_TEXT` bytes.

    Raises:
        OSError: The file cannot be opened or read (see `open_regular`), or is larger.
    """
    with open_regular(path, inside=inside) as stream:
        return read_bounded(stream)


def read_bounded(stream: BinaryIO) -> bytes:
    """Read a stream of at most `MAX_TEXT` bytes to its end.

    Raises:
        OSError: The stream cannot be read, or is larger.
    """
    data = stream.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise OSError(errno.EFBIG, f"Larger than {MAX_TEXT // 1_000_000} MB")
    return data


def _check(path: str | os.PathLike[str], opened: os.stat_result, directory: Path | None) -> None:
    if stat.S_ISDIR(opened.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(opened.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))
    if directory is None:
        return
    # Links may have changed since the file was opened, so the opened file itself must be the one inside.
    real, root = os.path.realpath(path), os.path.realpath(directory)
    if not Path(real).is_relative_to(root) or not os.path.samestat(opened, os.lstat(real)):
        raise OSError(errno.EPERM, "A symbolic link leads out of the directory", os.fspath(path))
