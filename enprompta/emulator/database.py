"""The SQLite database that stores the emulator's data, in a file or in memory.

There is one connection, used by one thread at a time. The API runs its statements on the event loop: each takes less
time than a switch to another thread, and a single writer never finds the database locked. A file uses WAL mode with
`synchronous=NORMAL`: a commit needs no fsync and still survives a killed process
(https://sqlite.org/wal.html#performance_considerations).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from enprompta._common.data import read_data
from enprompta._common.private_files import create_private
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from os import PathLike

_APPLICATION_ID = 0x456E5074  # "EnPt": marks the emulator's files; a file of another program is never written to
_FORMAT = 1  # increased when a schema change makes files unusable for older emulators
_BUSY_SECONDS = 10.0  # how long to wait for another process that reads or copies the file


def new_id(prefix: str) -> str:
    """Create a unique id such as `pmt_0f3a…`."""
    return f"{prefix}_{secrets.token_hex(10)}"


def contains(needle: str, *texts: str | None) -> bool:
    """Return True if any text contains the case-folded needle, ignoring case in all of Unicode."""
    return any(needle in text.casefold() for text in texts if text is not None)


class Database:
    """A connection to the database that threads share, one at a time.

    Args:
        path: SQLite file, or `:memory:`. A new file is created readable by its owner only.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._lock = threading.RLock()
        create_private(path)
        try:
            with ExitStack() as on_failure:
                connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                self._connection = on_failure.enter_context(closing(connection))
                self._prepare(path)
                on_failure.pop_all()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's message may quote a damaged name
            raise unusable(path, error) from error

    def _prepare(self, path: str | PathLike[str]) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.create_function("contains", -1, contains, deterministic=True)
        application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application_id != _APPLICATION_ID:
            raise ConfigurationError(f"{path} is a database of another program; give the emulator another file")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _FORMAT:
            raise ConfigurationError(
                f"{path} was written by a newer enprompta (format {version}; this version reads up to {_FORMAT}): "
                "upgrade enprompta, or give the emulator another file"
            )
        damage: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise _damaged(path, damage)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        with self.transaction():  # always writes, so that a read-only file fails here
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
            for statement in _statements():
                connection.execute(statement)
        self._check_columns(path)

    def _check_columns(self, path: str | PathLike[str]) -> None:
        """Raise an error if an existing table lacks columns of the schema."""
        with closing(sqlite3.connect(":memory:")) as fresh:
            for statement in _statements():
                fresh.execute(statement)
            for (name,) in fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                missing = _columns(fresh, name) - _columns(self._connection, name)
                if missing:
                    raise _damaged(path, f"its table {name} lacks {', '.join(sorted(missing))}")

    def one(self, sql: str, *args: object) -> sqlite3.Row | None:
        """Run a statement and return its first row, or None."""
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, args).fetchone()
            return row

    def all(self, sql: str, *args: object) -> list[sqlite3.Row]:
        """Run a statement and return all its rows."""
        with self._lock:
            return self._connection.execute(sql, args).fetchall()

    def scalar(self, sql: str, *args: object) -> int:
        """Run a statement that returns one number; no row and NULL count as 0."""
        row = self.one(sql, *args)
        return 0 if row is None or row[0] is None else int(row[0])

    def run(self, sql: str, *args: object) -> int:
        """Run a statement and return the number of rows it changed."""
        with self._lock:
            return self._connection.execute(sql, args).rowcount

    def insert(self, table: str, values: Mapping[str, object], conflict: str = "") -> None:
        """Insert a row; lists and objects are stored as JSON. `conflict` is such as `ON CONFLICT (id) DO NOTHING`."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}"  # noqa: S608 (no input in it)
        self.run(sql, *map(_stored, values.values()))

    def update(self, table: str, id: str, values: Mapping[str, object]) -> None:
        """Update the given columns of a row; lists and objects are stored as JSON."""
        assignments = ", ".join(f"{column} = ?" for column in values)
        sql = f"UPDATE {table} SET {assignments} WHERE id = ?"  # noqa: S608 (no input in it)
        self.run(sql, *map(_stored, values.values()), id)

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Run the statements inside as one transaction; may be nested. Do not await inside."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")  # lock for writing now: a later upgrade could deadlock
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; SQLite merges the WAL into the file."""
        with self._lock:
            self._connection.close()


def _stored(value: object) -> object:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


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
    reason = " ".join(how.removeprefix("*** in database main ***").split())  # SQLite's report has several lines
    return ConfigurationError(f"{path} is damaged: {reason}. Restore a backup, or give the emulator another file")


def unusable(path: str | PathLike[str], error: sqlite3.Error | UnicodeDecodeError) -> ConfigurationError:
    """Return the error for a file that SQLite cannot use."""
    if not isinstance(error, sqlite3.OperationalError):  # not a database, or a damaged one
        return _damaged(path, str(error))
    return ConfigurationError(
        f"The emulator cannot use {path} as its database: {error}. "
        "Use a file in an existing, writable directory with free space, or :memory:"
    )
