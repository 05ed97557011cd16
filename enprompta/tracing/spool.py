"""Batches of spans on disk, so that they survive an outage of the service and the end of the process.

A spool is a folder that several processes may share. Each process owns the files whose names begin with its id, and
locks the file `{id}.lock` as long as it lives. A process that finds the lock of another one free takes over its files.

    {account}-{owner}-{number}.otlp   one batch: a line with the number of spans and a checksum, then the body
    *.damaged                         a batch with a wrong checksum, kept for inspection and never sent
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from enprompta._common.clock import monotonic

try:
    import fcntl
except ImportError:  # Windows: a file that another process has open cannot be deleted there
    fcntl = None  # type: ignore[assignment] # a module elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESCAN_SECONDS = 60.0
"""Seconds between two searches for files of processes that have ended."""
MAX_DAMAGED = 20
"""Damaged files that are kept; the oldest are deleted."""

_MAGIC = b"enprompta-spool-1"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]+)-(\d+)\.otlp")


class DamagedFileError(Exception):
    """A file of the spool is not what was written."""


class SpooledBatch(NamedTuple):
    """A batch in the spool."""

    path: Path
    span_count: int
    """Number of spans."""
    size: int
    """Bytes on disk."""


class Spool:
    """The spool of one process for one account.

    Args:
        folder: The folder; it is created if it does not exist, readable by its owner only.
        account: Identifies the account; batches of other accounts in the folder are left alone.
        max_bytes: Bytes that all files in the folder may take together.

    Raises:
        OSError: The folder cannot be created or written.
    """

    def __init__(self, folder: Path, account: str, max_bytes: int) -> None:
        self._folder = folder
        self._account = hashlib.sha256(account.encode()).hexdigest()[:16]
        self._max_bytes = max_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = -1
        self._own()

    def _own(self) -> None:
        """Choose an id and lock its file."""
        self._owner = f"{time.time_ns():x}{os.urandom(6).hex()}"
        self._number = 0
        self._next_scan = 0.0
        self._bytes = 0
        self._lock_path = self._folder / f"{self._owner}.lock"
        if fcntl is None:
            self._lock = os.open(self._lock_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            return
        unlocked = self._lock_path.with_suffix(".part")  # locked before another process can see it under its name
        self._lock = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(self._lock_path)

    def after_fork(self) -> None:
        """Become another owner in a child process; the files belong to the parent."""
        with suppress(OSError):
            os.close(self._lock)  # does not unlock: the parent holds the same lock
        with suppress(OSError):
            self._own()

    def write(self, body: bytes, count: int) -> SpooledBatch | None:
        """Write a batch; None if the spool is full or cannot be written."""
        content = b"%b %d %b\n%b" % (_MAGIC, count, hashlib.sha256(body).hexdigest().encode(), body)
        if self._bytes + len(content) > self._max_bytes:
            return None
        self._number += 1
        path = self._folder / f"{self._account}-{self._owner}-{self._number}.otlp"
        partial = path.with_suffix(".part")
        try:
            file = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with open(file, "wb") as opened:  # noqa: PTH123 (a descriptor)
                opened.write(content)
            partial.rename(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            return None
        self._bytes += len(content)
        return SpooledBatch(path, count, len(content))

    def read(self, batch: SpooledBatch) -> bytes:
        """Return the body of a batch.

        Raises:
            DamagedFileError: The file is missing or has changed; a changed one is set aside.
        """
        try:
            head, _, body = batch.path.read_bytes().partition(b"\n")
        except OSError as error:
            raise DamagedFileError(str(error)) from error
        magic, _, rest = head.partition(b" ")
        if magic != _MAGIC or rest.partition(b" ")[2] != hashlib.sha256(body).hexdigest().encode():
            self._set_aside(batch.path)
            raise DamagedFileError(f"{batch.path.name} has a wrong checksum")
        return body

    def remove(self, batch: SpooledBatch) -> None:
        """Delete a batch that is no longer needed."""
        self._bytes = max(0, self._bytes - batch.size)
        with suppress(OSError):
            batch.path.unlink()

    def take_over(self) -> list[SpooledBatch]:
        """Take over the batches of processes that have ended, at most once a minute; the oldest are first."""
        now = monotonic()
        if now < self._next_scan:
            return []
        self._next_scan = now + RESCAN_SECONDS
        try:
            entries = {path.name: path for path in self._folder.iterdir()}
        except OSError:
            return []
        ended = {lock.stem for lock in entries.values() if lock.suffix == ".lock" and self._has_ended(lock)}
        owners = {path.stem for path in entries.values() if path.suffix == ".lock"} - ended
        found = sorted(self._left_behind(entries, owners), key=lambda one: _changed_at(one.path))
        for owner in ended:
            self._forget(owner, entries)
        self._bytes = sum(_size(path) for path in self._folder.iterdir())
        return [batch for old in found if (batch := self._take(old)) is not None]

    def _left_behind(self, entries: dict[str, Path], living: set[str]) -> Iterator[SpooledBatch]:
        """List the batches of this account whose owner has ended."""
        for name, path in entries.items():
            match = _NAME.fullmatch(name)
            if match and match[1] == self._account and match[2] not in living and path.is_file():
                yield SpooledBatch(path, _count(path), _size(path))

    def _take(self, batch: SpooledBatch) -> SpooledBatch | None:
        """Rename a file to one of this process; None if another process was faster."""
        self._number += 1
        path = self._folder / f"{self._account}-{self._owner}-{self._number}.otlp"
        try:
            batch.path.rename(path)
        except OSError:
            return None
        return batch._replace(path=path)

    def _has_ended(self, lock: Path) -> bool:
        """True if no process holds a lock."""
        if lock == self._lock_path:
            return False
        if fcntl is None:
            with suppress(OSError):
                lock.unlink()
            return not lock.exists()
        try:
            file = os.open(lock, os.O_RDWR)
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(file)
        return True

    def _forget(self, owner: str, entries: dict[str, Path]) -> None:
        """Delete the lock and the unfinished files of a process that has ended."""
        for name, path in entries.items():
            if name == f"{owner}.lock" or (f"-{owner}-" in name and path.suffix == ".part"):
                with suppress(OSError):
                    path.unlink()

    def _set_aside(self, path: Path) -> None:
        """Keep a damaged file under another name, and only the newest few of them."""
        with suppress(OSError):
            path.rename(path.with_suffix(".damaged"))
            damaged = sorted(self._folder.glob("*.damaged"), key=_changed_at)
            for old in damaged[:-MAX_DAMAGED]:
                old.unlink()

    def close(self) -> None:
        """Unlock; the next process takes over what is left."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            with suppress(OSError):
                self._lock_path.unlink()


def _count(path: Path) -> int:
    """Read the number of spans of a batch; 0 if the file is damaged."""
    with suppress(OSError, ValueError, IndexError), path.open("rb") as file:
        return int(file.readline(200).split(b" ")[1])
    return 0


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _changed_at(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
