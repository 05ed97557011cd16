"""Create databases that only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress


def create_private(path: str | os.PathLike[str]) -> None:
    """Create the empty file of an SQLite database with mode 0600, whatever the umask.

    SQLite gives the files that it puts beside a database (`-wal`, `-shm`, `-journal`) the mode of the database. A file
    that exists is left as it is, and so is its mode, which its owner may have chosen. Nothing is raised: where the file
    cannot be created, opening it reports why.
    """
    if os.fspath(path) in {"", ":memory:"}:  # which SQLite makes no files of
        return
    # Created with its mode, and by no other process: it is never readable, not even for a moment. The real path, for
    # a link to a file that does not exist yet would otherwise be followed later, with the mode of the umask.
    with suppress(OSError, ValueError):
        real = os.path.realpath(path)
        descriptor = os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:  # a umask may have taken the owner's rights too
            os.chmod(descriptor if os.chmod in os.supports_fd else real, 0o600)  # noqa: PTH101 (by the open file)
        finally:
            os.close(descriptor)
