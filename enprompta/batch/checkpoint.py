"""Checkpoints: the progress of a run in an SQLite file, from which the run resumes.

A row is written when it has ended, not when it starts. Rows that were in flight when the process was killed are sent
again with the same idempotency key, so they are charged once. Results can therefore be written in batches, without an
fsync for each: in WAL mode with `synchronous=NORMAL` a commit survives a killed process, and rows that a power failure
loses are sent again too (https://sqlite.org/wal.html#performance_considerations).

The file is locked while a run uses it; the operating system releases the lock when the process ends.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from enprompta._common.private_files import create_private
from enprompta._core.body import encode_json
from enprompta._core.decode import decode
from enprompta.batch.charges import needs_new_key
from enprompta.batch.errors import CheckpointError, ExecutionFailedError
from enprompta.batch.row_calls import differences
from enprompta.batch.stored_errors import error_from, error_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import CallTemplate, RowTask
    from enprompta.errors import EnpromptaError
    from enprompta.models.executions import Execution

_APPLICATION_ID = 0x456E5072  # "EnPr": marks checkpoints, so that other programs' databases are never written to
_FORMAT = "1"
_FACTS = ("format", "run_id", "path", "options")
# Errors of reading JSON with an unexpected shape; pydantic's errors are value errors too.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_BATCH = 250  # maximum rows in one commit
_SECONDS = 0.05  # maximum delay from a row's end to its commit, while the run is iterated
_BUSY_SECONDS = 0.25

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS rows (idx INTEGER PRIMARY KEY, digest BLOB NOT NULL, ok INTEGER NOT NULL,
    attempt INTEGER NOT NULL, failed_repairs INTEGER NOT NULL, credits INTEGER NOT NULL, cost REAL NOT NULL,
    response BLOB, earlier TEXT, error TEXT)""",
)
_TABLES = "SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM run)"
# Checks the columns of every row; JSON is checked when the row is read.
_DAMAGED = """SELECT idx, CASE
    WHEN typeof(idx) != 'integer' OR idx < 0 THEN 'its place'
    WHEN typeof(digest) != 'blob' OR length(digest) != 32 THEN 'its digest'
    WHEN typeof(ok) != 'integer' OR ok NOT IN (0, 1) THEN 'its state'
    WHEN typeof(attempt) != 'integer' OR attempt < 0 THEN 'its number of attempts'
    WHEN typeof(failed_repairs) != 'integer' OR failed_repairs < 0 THEN 'its number of failed repairs'
    WHEN typeof(credits) != 'integer' OR credits < 0 THEN 'its number of credits'
    WHEN typeof(cost) NOT IN ('real', 'integer') THEN 'its cost'
    WHEN typeof(response) NOT IN ('blob', 'null') OR (ok AND response IS NULL) THEN 'its response'
    WHEN typeof(earlier) NOT IN ('text', 'null') THEN 'its earlier executions'
    WHEN typeof(error) NOT IN ('text', 'null') OR ok == (error IS NOT NULL) THEN 'its error'
    END AS problem FROM rows WHERE problem IS NOT NULL ORDER BY idx LIMIT 1"""
# Empty values in place of None, and `bytearray`: sqlite3 searches for adapters of None, bool and bytes, which takes as
# long as writing the row.
_WRITE = """INSERT OR REPLACE INTO rows
    VALUES (?1, ?2, ?9 = '', ?3, ?4, ?5, ?6, nullif(?7, x''), nullif(?8, ''), nullif(?9, ''))"""
_SUMS = "SELECT max(idx), total(credits), total(cost), coalesce(max(cost), 0.0), total(ok) FROM rows"


@dataclass(frozen=True, slots=True)
class PriorSpend:
    """Spending and progress before the run was resumed."""

    last: int = -1
    """The highest index of a row that has ended."""
    credits: int = 0
    usd: float = 0.0
    highest_cost: float = 0.0
    """The cost of the most expensive row in USD."""
    executed: int = 0
    """Number of rows with a known cost."""


@dataclass(frozen=True, slots=True)
class SavedRow:
    """The saved result of a row."""

    attempt: int
    """The attempt number to use if the row is executed again."""
    failed_repairs: int
    credits: int
    execution: Execution | None
    earlier: Sequence[Execution]
    """The executions before it whose outputs it repairs."""
    error: EnpromptaError | None


class NoCheckpoint:
    """The null object for a run without a checkpoint; `Checkpoint` documents each method."""

    spent: PriorSpend = PriorSpend()

    def find(self, task: RowTask[Any]) -> SavedRow | None:
        """Return None: no row was saved."""

    def check_number(self, rows: int) -> None:
        """Accept any number of rows."""

    def write(
        self, result: BatchResult[Any], task: RowTask[Any], contents: Sequence[bytes], credits: int, cost: float
    ) -> None:
        """Save nothing."""

    def flush(self, now: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Checkpoint:
    """The checkpoint file of a run, used by one thread at a time.

    Args:
        path: The file. If it does not exist it is created, readable only by its owner.
        template: The run's call template; its run id is set to that of the file.
        fixed: True if the caller chose the run id, which must then match that of the file.

    Raises:
        CheckpointError: The file belongs to another run, is in use, is damaged, or cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], template: CallTemplate[Any], *, fixed: bool) -> None:
        self._path = os.fspath(path)
        self._call = template.shared
        self._pending: list[tuple[object, ...]] = []
        self._flushed_at = 0.0
        create_private(self._path)
        try:
            self._db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, ValueError) as error:  # ValueError: an invalid file name
            raise self._unusable(error) from error
        try:
            self._prepare(template, fixed=fixed)
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's message may quote a damaged name
            self._db.close()
            raise self._unusable(error) from error
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, template: CallTemplate[object], *, fixed: bool) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise CheckpointError(f"{self._path} is a database of another program: give the checkpoint its own file")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        for statement in _SCHEMA:
            db.execute(statement)
        rows, facts = db.execute(_TABLES).fetchone()
        if rows or facts:
            known = self._checked(dict(db.execute("SELECT name, value FROM run").fetchall()))
            self._check(known, template, fixed=fixed)
            self._check_rows()
            template.run_id = known["run_id"]
        else:
            now = {"format": _FORMAT, "run_id": template.run_id, "path": template.path, "options": template.options}
            db.executemany("INSERT INTO run VALUES (?, ?)", now.items())
        db.execute("COMMIT")
        last, charged, usd, highest_cost, executed = db.execute(_SUMS).fetchone()
        self.spent: PriorSpend = PriorSpend(
            -1 if last is None else last, int(charged), usd, highest_cost, int(executed)
        )

    def _checked(self, known: Mapping[str, object]) -> dict[str, str]:
        """Return the facts about the file's run, after checking that none is missing."""
        if known.get("format", _FORMAT) != _FORMAT:
            raise CheckpointError(
                f"{self._path} was written by another version of enprompta, in format {known['format']}. Use that "
                "version, or delete the file to start over"
            )
        facts = {name: value for name, value in known.items() if isinstance(value, str)}
        if missing := [name for name in _FACTS if name not in facts]:
            raise self._damaged(f"the {missing[0]} of its run is missing")
        return facts

    def _check_rows(self) -> None:
        """Refuse a file with a row that no run can have written."""
        found = self._db.execute(_DAMAGED).fetchone()
        if found is not None:
            raise self._damaged(f"{found[1]} cannot be read", row=found[0])

    def _check(self, known: Mapping[str, str], template: CallTemplate[object], *, fixed: bool) -> None:
        """Refuse the file of another run, and report the difference."""
        if known["path"] != template.path:
            earlier, now = (
                path.removeprefix("/prompts/").removesuffix("/execute") for path in (known["path"], template.path)
            )
            self._refuse(f"of another prompt: it was started with {earlier}, and this run uses {now}")
        if known["options"] != template.options:
            try:
                before = dict(json.loads(known["options"]))
            except _UNREADABLE:
                raise self._damaged("the options of its run cannot be read") from None
            how = differences(before, json.loads(template.options))
            self._refuse(f"of a run with other options: {how.removeprefix('its ')}")
        if fixed and known["run_id"] != template.run_id:
            self._refuse(f"of run {known['run_id']!r}, this one is {template.run_id!r}")

    def _refuse(self, why: str) -> None:
        raise CheckpointError(
            f"{self._path} is {why}. Use a separate file for each run, or delete this one to start over"
        )

    def find(self, task: RowTask[Any]) -> SavedRow | None:
        """Return the saved result of a row; None if there is none.

        Raises:
            CheckpointError: The row is damaged, or the file has another row at its index.
        """
        if task.index > self.spent.last:
            return None
        sql = "SELECT digest, attempt, failed_repairs, credits, response, earlier, error FROM rows WHERE idx = ?"
        try:
            row = self._db.execute(sql, (task.index,)).fetchone()
        except sqlite3.Error as error:
            raise self._damaged(str(error), row=task.index) from error
        if row is None:
            return None
        digest, attempt, failed_repairs, charged, response, earlier_json, stored_error = row
        try:
            execution = None if response is None else decode(self._call, response)
            earlier = [decode(self._call, one.encode("latin-1")) for one in json.loads(earlier_json or "[]")]
            saved = SavedRow(attempt, failed_repairs, charged, execution, earlier, error_from(stored_error, execution))
        except _UNREADABLE as error:
            what = "error" if stored_error is not None and response is None else "response"
            raise self._damaged(f"its {what} has an unexpected form", row=task.index) from error
        if digest != task.digest:
            before = {} if execution is None else execution.variables
            how = f": {differences(before, json.loads(encode_json(task.variables)))}" if before else ""
            self._refuse(f"of other rows: row {task.index} differs from the row that the run was started with{how}")
        return saved

    def check_number(self, rows: int) -> None:
        """Refuse input with fewer rows than the checkpoint has.

        Raises:
            CheckpointError: The input has fewer rows.
        """
        if rows <= self.spent.last:
            self._refuse(f"of other rows: it has row {self.spent.last}, and the input has only {rows} rows")

    def write(
        self, result: BatchResult[Any], task: RowTask[Any], contents: Sequence[bytes], credits: int, cost: float
    ) -> None:
        """Save the result of a row, with one of the next calls of `flush`.

        Args:
            result: The result.
            task: The row.
            contents: The response body of each of its executions.
            credits: The credits that the row was charged or may have been.
            cost: Cost of its executions in USD, as far as known.
        """
        error = result.error
        attempt = task.attempt + needs_new_key(error, credits)
        failed_repairs = task.failed_repairs + (isinstance(error, ExecutionFailedError) and len(contents) > 1)
        *before, last = contents or (b"",)
        # Each byte as the character of its number, because JSON holds no bytes.
        earlier = json.dumps([one.decode("latin-1") for one in before]) if before else ""
        digest, response = bytearray(task.digest), bytearray(last)
        numbers = attempt, failed_repairs, credits, cost
        self._pending.append((task.index, digest, *numbers, response, earlier, error_json(error)))

    def flush(self, now: float) -> None:
        """Write pending results if there are many, or if the last write was a while ago.

        Raises:
            CheckpointError: The file cannot be written. The results stay pending.
        """
        if len(self._pending) >= _BATCH or (self._pending and now - self._flushed_at >= _SECONDS):
            self._flushed_at = now
            self._commit()

    def _commit(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_WRITE, self._pending)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            cure = "Make room" if "full" in str(error) else "Make the file writable, or restore it from a copy,"
            raise CheckpointError(
                f"{self._path} cannot be written: {error}. {len(self._pending)} rows have ended that are not in it. "
                "They will be sent again with the same idempotency keys, and the API answers them without another "
                f"charge. {cure} and run again to resume"
            ) from error
        finally:
            if self._db.in_transaction:  # also after Ctrl-C; a full disk may have caused a rollback already
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
        self._pending.clear()

    def close(self) -> None:
        """Write pending results and close the file. Closing again does nothing."""
        try:
            if self._pending:
                self._commit()
        finally:
            self._pending.clear()
            with suppress(sqlite3.Error):  # the write-ahead log then stays beside the file, and is read with it
                self._db.close()

    def _unusable(self, error: Exception) -> CheckpointError:
        text = str(error)
        if "not a database" in text:
            return CheckpointError(
                f"{self._path} cannot be used as a checkpoint: file is not a database. Give the checkpoint its own file"
            )
        if "locked" in text:
            return CheckpointError(f"{self._path} is in use by another run")
        if isinstance(error, UnicodeDecodeError) or not text:  # Python 3.10 raises an error without a text
            return self._damaged("a name in it cannot be decoded")
        if "malformed" in text or "no such column" in text or "decode" in text:
            return self._damaged(text)
        return CheckpointError(
            f"{self._path} cannot be used as a checkpoint: {text}. Use a file in a directory that exists, is "
            "writable and has free space"
        )

    def _damaged(self, what: str, *, row: int | None = None) -> CheckpointError:
        where, cure = "", "delete it to start over: all rows are then executed, and charged, again"
        if row is not None:
            where = f" at row {row}"
            cure = f"delete the row (idx = {row} in table rows) to execute it again under its first key"
        return CheckpointError(f"{self._path} is damaged{where}: {what}. Restore the file from a copy, or {cure}")


Store: TypeAlias = "Checkpoint | NoCheckpoint"
