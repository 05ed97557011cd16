"""The SQLite file, or memory, that holds everything the emulator knows.

One connection, used by one thread at a time. The API runs its statements on the event loop itself: each takes tens of
microseconds, less than handing it to another thread would, and one writer can never find its database locked by
another. A file is in WAL mode with `synchronous=NORMAL`: a commit is one write without an fsync, and still survives a
killed process (https://sqlite.org/wal.html#performance_considerations).
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from enprompta._common.data import read_data
from enprompta._common.private_files import create_private
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from os import PathLike

_APPLICATION_ID = 0x456E5074  # "EnPt": tells our file from someone else's, which must not be written to
_FORMAT = 1  # grows when the schema changes so that an older emulator could not use a file any more
_BUSY_SECONDS = 10.0  # another process may read, or copy, the file; wait for it rather than fail


def new_id(prefix: str) -> str:
    """Make an id such as `pmt_0f3a…`, never given before."""
    return f"{prefix}_{secrets.token_hex(10)}"


def contains(needle: str, *texts: str | None) -> bool:
    """Tell whether any text holds the needle (already case-folded), whatever its case, beyond ASCII too."""
    return any(needle in text.casefold() for text in texts if text is not None)


class Database:
    """A connection that any thread may use, one at a time, and transactions on it.

    Args:
        path: The file, or `:memory:`. One that does not exist is created, readable by its owner alone.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._lock = threading.RLock()
        create_private(path)
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise unusable(path, error) from error
        try:
            self._prepare(path)
        except sqlite3.Error as error:
            self._connection.close()
            raise unusable(path, error) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, path: str | PathLike[str]) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.create_function("contains", -1, contains, deterministic=True)
        application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application_id != _APPLICATION_ID:
            raise ConfigurationError(f"{path} is a database of another program; give the emulator a file of its own")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _FORMAT:
            raise ConfigurationError(
                f"{path} was written by a newer enprompta (format {version}, this one reads up to {_FORMAT}): "
                "upgrade enprompta, or give the emulator another file"
            )
        damage: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise _damaged(path, damage)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        with self.transaction():  # written even when nothing is new: a file that cannot be written to fails here
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
            for statement in _statements():
                connection.execute(statement)
        self._check_columns(path)

    def _check_columns(self, path: str | PathLike[str]) -> None:
        """Compare the tables with those of the schema; one that existed before may lack columns."""
        with closing(sqlite3.connect(":memory:")) as fresh:
            for statement in _statements():
                fresh.execute(statement)
            for (name,) in fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                missing = _columns(fresh, name) - _columns(self._connection, name)
                if missing:
                    raise _damaged(path, f"its table {name} lacks {', '.join(sorted(missing))}")

    def one(self, sql: str, *args: object) -> sqlite3.Row | None:
        """Run a statement and give its first row, or None."""
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, args).fetchone()
            return row

    def all(self, sql: str, *args: object) -> list[sqlite3.Row]:
        """Run a statement and give all its rows."""
        with self._lock:
            return self._connection.execute(sql, args).fetchall()

    def scalar(self, sql: str, *args: object) -> int:
        """Run a statement that gives one number; no row counts as 0."""
        row = self.one(sql, *args)
        return 0 if row is None or row[0] is None else int(row[0])

    def run(self, sql: str, *args: object) -> int:
        """Run a statement for its effect and give the number of rows it changed."""
        with self._lock:
            return self._connection.execute(sql, args).rowcount

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Make the statements inside happen together or not at all; never awaits inside. May be nested."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")  # a writer from the start: an upgrade later could deadlock
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; a file's WAL is merged into it."""
        with self._lock:
            self._connection.close()


def _statements() -> Iterator[str]:
    schema = read_data("enprompta.emulator", "schema.sql").decode()
    pending = ""
    for line in schema.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _damaged(path: str | PathLike[str], how: str) -> ConfigurationError:
    reason = " ".join(how.removeprefix("*** in database main ***").split())  # SQLite reports on several lines
    return ConfigurationError(f"{path} is damaged: {reason}. Restore a copy of it, or give the emulator another file")


def unusable(path: str | PathLike[str], error: sqlite3.Error) -> ConfigurationError:
    """Return the error for a file that SQLite cannot use."""
    if not isinstance(error, sqlite3.OperationalError):  # it is no database, or a broken one
        return _damaged(path, str(error))
    return ConfigurationError(
        f"The emulator cannot use {path} as its database: {error}. "
        "Give a file in a directory that exists, can be written to and has room, or :memory:"
    )
