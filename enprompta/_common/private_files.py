"""Create databases that only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress


def create_private(path: str | os.PathLike[str]) -> None:
    """Create the empty file of an SQLite database with mode 0600, whatever the umask.

    SQLite creates the files beside a database (`-wal`, `-shm`, `-journal`) with the mode of the database. An existing
    file keeps its content and its mode, which its owner may have chosen. This function never raises: if the file
    cannot be created, opening it reports the reason.
    """
    if os.fspath(path) in {"", ":memory:"}:  # SQLite creates no files for these
        return
    # O_EXCL with the mode: the file is never readable by others, not even briefly. The real path, because SQLite would
    # later follow a dangling link and create its target with the mode of the umask.
    with suppress(OSError, ValueError):
        real = os.path.realpath(path)
        descriptor = os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:  # a umask may have removed the owner's rights
            os.chmod(descriptor if os.chmod in os.supports_fd else real, 0o600)  # noqa: PTH101 (by the open file)
        finally:
            os.close(descriptor)
