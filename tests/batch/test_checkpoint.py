"""Checkpoints: a stopped run resumes, and the file of another run is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import BadRequestError, ConfigurationError, InsufficientTokensError
from enprompta.batch import Budget, CheckpointError, ExecutionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.batch.conftest import Runner, Service


def numbered(count: int) -> list[dict[str, str]]:
    """Make rows."""
    return [{"n": str(i)} for i in range(count)]


def refused(status: int) -> httpx.Response:
    """Make an error response."""
    return httpx.Response(status, json={"error": {"code": "NO", "message": "no", "request_id": "req_9"}})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Provide the path of the checkpoint."""
    return tmp_path / "run.db"


def test_a_run_resumes_where_it_was_left(runner: Runner, file: Path) -> None:
    """Finished rows are restored from the checkpoint and the others are executed: each row once."""
    run = runner.many(numbered(100), checkpoint=file, concurrency=4)
    runner.walk(run, most=40)
    assert str(file) in run.resume_hint
    before = set(runner.service.charged)
    results = runner.all(numbered(100), checkpoint=str(file), concurrency=4)
    assert [result.output for result in results] == [f"did {i}" for i in range(100)]
    assert {result.restored for result in results} == {True, False}
    assert len(runner.service.requests) == len(runner.service.charged) == 100
    assert sum(result.restored for result in results) == len(before)


def test_what_is_restored_is_what_was_given(runner: Runner, file: Path) -> None:
    """A restored result has the first execution and error, without a call."""

    def answer(n: str) -> httpx.Response | None:
        if n == "2":
            data = {"id": "exe_2", "status": "failed", "error": "overloaded"}
            return httpx.Response(201, json={"success": True, "data": data})
        return refused(400) if n == "1" else None

    runner.service.answer = answer
    rows: list[Any] = [*numbered(3), 4]
    first = runner.all(rows, checkpoint=file)
    runner.service.requests.clear()
    again = runner.all(rows, checkpoint=file, retry_failed=False)
    assert runner.service.requests == []
    assert [result.execution for result in again] == [result.execution for result in first]
    assert [str(result.error) for result in again] == [str(result.error) for result in first]
    assert [type(result.error) for result in again] == [type(result.error) for result in first]
    error = again[1].error
    assert isinstance(error, BadRequestError)
    assert (error.status_code, error.code, error.request_id) == (400, "NO", "req_9")
    assert isinstance(again[2].error, ExecutionFailedError)
    assert again[2].error.execution.id == "exe_2"


ODD_BODIES = [
    b'{"success": true, "data": {"id": "e", "status": "completed", "new": [1, {"a": null}], "cost": 1e-7}, "more": 1}',
    b'{"id": "e", "status": "completed", "output": "no envelope", "cost": NaN, "tokens": "12"}',
    b'\xef\xbb\xbf {"success": true, "data": {"id": 7, "status": "new", "output": "\xff\xfe", "latency": -Infinity}}\n',
    '{"data": {"id": "e", "status": "completed", "output": "\u00e4 \U0001f600"}}'.encode("utf-16"),
    rb'{"data": {"id": "e", "status": "completed", "output": "\ud800 \u0000", "variables": {"n": "0"}}}',
    b'{"data": {"id": "e", "id": "f", "status": "completed", "output": "' + b"x" * 300_000 + b'"}}',
]


@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_an_odd_body_is_restored_as_it_was_read(runner: Runner, file: Path, body: bytes) -> None:
    """A restored execution equals the first one in every field, known and unknown."""
    runner.service.answer = lambda _: httpx.Response(201, content=body)
    (first,) = runner.all(numbered(1), checkpoint=file)
    runner.service.requests.clear()
    (again,) = runner.all(numbered(1), checkpoint=file)
    assert first.error is None
    assert again.restored
    assert runner.service.requests == []
    assert repr(again.execution.model_dump()) == repr(first.execution.model_dump())
    assert again.execution.model_fields_set == first.execution.model_fields_set
    assert repr(again.execution.model_extra) == repr(first.execution.model_extra)


def test_a_changed_result_is_not_what_is_stored(runner: Runner, file: Path) -> None:
    """The caller may change a result at once; the checkpoint has what the API returned."""

    def change(result: Any) -> None:
        result.execution.output = "changed"
        result.execution.variables["n"] = "changed"
        result.row["n"] = "changed"

    runner.walk(runner.many(numbered(30), checkpoint=file), then=change)
    assert [result.output for result in runner.all(numbered(30), checkpoint=file)] == [f"did {i}" for i in range(30)]


def test_failures_are_executed_again(runner: Runner, file: Path) -> None:
    """Resuming executes failed rows again: with a new key if the API would repeat its response, else with the same."""
    runner.service.answer = {"1": refused(400), "2": refused(500), "3": refused(409)}.get
    runner.all(numbered(4), checkpoint=file)
    keys = [request.headers["idempotency-key"] for request in runner.service.requests]
    by_row = dict(zip((request.content for request in runner.service.requests), keys, strict=True))
    runner.service.requests.clear()
    runner.service.answer = lambda _: None
    assert all(result.ok for result in runner.all(numbered(4), checkpoint=file))
    again = {request.content: request.headers["idempotency-key"] for request in runner.service.requests}
    assert len(again) == 3
    same = {content.split(b'"n":"')[1][:1]: by_row[content] == key for content, key in again.items()}
    assert same == {b"1": False, b"2": True, b"3": True}


@pytest.mark.parametrize(
    ("runs", "is_new"),
    [
        ([[400]], True), ([[422]], True), ([[405]], True), ([["failed"]], True), ([[503, "failed"]], True),
        ([[302]], False), ([[408]], False), ([[425]], False), ([[499]], False), ([[409]], False), ([[503]], False),
        ([[503, 400]], False), ([["lost", 400]], False), ([["lost", 422]], False), ([["lost"]], False),
        ([[503], [400]], False), ([["lost"], [422], [400]], False), ([[503], ["failed"]], True), ([["junk"]], False),
    ],
)  # fmt: skip
def test_a_row_that_may_have_been_charged_keeps_its_key(
    runner: Runner, file: Path, runs: list[list[Any]], *, is_new: bool
) -> None:
    """Only a definite refusal, of every attempt in every run, or a failed provider leads to another key."""
    failed = {"success": True, "data": {"id": "e", "status": "failed"}}
    answers: dict[Any, Any] = {
        "lost": httpx.ReadError("gone"),
        "failed": httpx.Response(201, json=failed),
        "junk": httpx.Response(200, text="?"),
    }
    for run in runs:
        left = list(run)

        def answer(_: str, left: list[Any] = left) -> Any:
            given = left.pop(0) if len(left) > 1 else left[0]
            return answers.get(given) or httpx.Response(given, headers={"Retry-After": "0"})

        runner.service.answer = answer
        runner.all(numbered(1), checkpoint=file, client=runner.make(max_retries=len(run) - 1))
    runner.service.answer = lambda _: None
    (result,) = runner.all(numbered(1), checkpoint=file)
    keys = [request.headers["idempotency-key"] for request in runner.service.requests]
    assert result.ok
    assert len({*keys[:-1]}) == 1
    assert (keys[-1] != keys[0]) is is_new


def test_done_rows_may_be_left_out(runner: Runner, file: Path) -> None:
    """With `skip_done`, only rows executed now are returned, in order if `ordered` is set."""
    runner.walk(runner.many(numbered(200), checkpoint=file, concurrency=4), most=100)
    done = len(runner.service.charged)
    results = runner.walk(runner.many(numbered(200), checkpoint=file, skip_done=True, ordered=True))
    assert len(results) == 200 - done
    assert [result.index for result in results] == sorted(result.index for result in results)


def test_a_run_stopped_without_credits_resumes(runner: Runner, file: Path) -> None:
    """Without credits the run stops, and the same call resumes it once there are new ones."""
    runner.service.answer = lambda _: refused(402) if len(runner.service.charged) >= 30 else None
    with pytest.raises(InsufficientTokensError, match=r"30 of 100 rows have ended; run again with checkpoint="):
        runner.all(numbered(100), checkpoint=file)
    runner.service.answer = lambda _: None
    assert len(runner.all(numbered(100), checkpoint=file)) == 100
    assert len(runner.service.charged) == 100


def test_a_budget_is_that_of_the_whole_run(runner: Runner, file: Path) -> None:
    """Earlier spending counts after resuming; restored rows are returned at no cost."""
    for budget, rows in ((Budget(credits=10), 10), (Budget(credits=10), 10), (Budget(usd=7.5), 15)):
        run = runner.many(numbered(100), checkpoint=file, budget=budget, ordered=True)
        assert len(runner.walk(run)) == rows
        assert run.ending == "budget"
        assert len(runner.service.charged) == rows


def differing(runner: Runner, file: Path) -> Iterator[tuple[Callable[[], Any], str]]:
    """Yield runs that differ from that of the file, each with the message."""
    rows = numbered(10)

    def run(rows: Any, **options: Any) -> Callable[[], Any]:
        return lambda: runner.all(rows, checkpoint=file, **options)

    other = [*rows[:7], {"n": "x", "m": "1"}, *rows[8:]]
    yield (
        run(other),
        """row 7 differs from the row that the run was started with: its 'm' was missing and is "1"; so do n""",
    )
    yield run(rows[:5]), "it has row 9, and the input has only 5 rows"
    yield run(row for row in rows[:5]), "it has row 9, and the input has only 5 rows"
    yield run(rows, temperature=0.5), "of a run with other options: 'options' was missing and is"
    yield run(rows, run_id="mine"), "this one is 'mine'"
    yield run([{"n": "y" * 100}, *rows[1:]]), 'is "' + "y" * 59 + "…"


def test_the_file_of_another_run_is_refused(runner: Runner, file: Path) -> None:
    """A checkpoint of other rows, options or another prompt is refused with the difference; nothing is sent."""
    runner.all(numbered(10), checkpoint=file)
    runner.service.requests.clear()
    for act, text in differing(runner, file):
        with pytest.raises(CheckpointError) as caught:
            act()
        assert text in str(caught.value)
    run = runner.client.prompts.execute_many("q", numbered(10), checkpoint=file)
    with pytest.raises(CheckpointError, match="of another prompt: it was started with p, and this run uses q"):
        runner.walk(run)
    assert runner.service.requests == []


def test_more_rows_than_before_are_welcome(runner: Runner, file: Path) -> None:
    """Rows may be appended to the input."""
    runner.all(numbered(10), checkpoint=file)
    assert len(runner.all(numbered(15), checkpoint=file)) == 15
    assert len(runner.service.charged) == 15


def test_a_file_that_is_no_checkpoint_is_refused(runner: Runner, file: Path, tmp_path: Path) -> None:
    """Another program's database, a text, and an impossible path are each refused with the reason."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
    with pytest.raises(CheckpointError, match="a database of another program"):
        runner.all(numbered(1), checkpoint=file)
    text = tmp_path / "text.db"
    text.write_text("n\n1\n" * 1000)
    for path in (text, tmp_path / "missing" / "run.db", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be used as a checkpoint"):
            runner.all(numbered(1), checkpoint=path)


def test_a_file_of_another_format_is_refused(runner: Runner, file: Path) -> None:
    """A checkpoint of a later version is not changed."""
    runner.all(numbered(1), checkpoint=file)
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE run SET value = '9' WHERE name = 'format'")
        db.commit()
    with pytest.raises(CheckpointError, match="in format 9"):
        runner.all(numbered(1), checkpoint=file)


def test_a_file_in_use_is_refused(runner: Runner, file: Path) -> None:
    """Two runs cannot share a file at the same time."""
    refusals: list[CheckpointError] = []
    other = runner.many(numbered(3), checkpoint=file)

    def at_the_same_time(_: object) -> None:
        if not refusals:
            with pytest.raises(CheckpointError, match="is in use by another run") as caught:
                other._open_parts()
            refusals.append(caught.value)

    runner.walk(runner.many(numbered(3), checkpoint=file), then=at_the_same_time)
    assert refusals


class FullDisk:
    """A connection to a disk that is full while `full` is set.

    Args:
        real: The connection.
    """

    full = False

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def executemany(self, sql: str, rows: Any) -> Any:
        """Fail like SQLite, which then rolls back."""
        if self.full and "rows" in sql:
            self._real.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")
        return self._real.executemany(sql, rows)


def test_a_full_disk_loses_nothing(runner: Runner, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk stops the run with an error; unwritten rows are not charged again."""
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda *args, **how: FullDisk(connect(*args, **how)))
    given: list[Any] = []

    def fill(result: object) -> None:
        given.append(result)
        FullDisk.full = len(given) >= 20

    run = runner.many(numbered(300), checkpoint=file, concurrency=4)
    with pytest.raises(CheckpointError, match=r"disk is full\. \d+ rows have ended that are not in it"):
        runner.walk(run, then=fill)
    FullDisk.full = False
    charged = len(runner.service.charged)
    assert 20 <= charged < 300
    assert len(runner.all(numbered(300), checkpoint=file)) == 300
    assert len(runner.service.charged) == 300


def test_keys_are_those_of_the_file(runner: Runner, file: Path, service: Service) -> None:
    """The file keeps the run id, so a row that is sent again has the same key."""
    first = runner.many(numbered(3), checkpoint=file)
    runner.walk(first)
    again = runner.many(numbered(6), checkpoint=file)
    runner.walk(again)
    assert again.run_id == first.run_id
    fixed = runner.many(numbered(6), checkpoint=file, run_id=first.run_id)
    assert len(runner.walk(fixed)) == 6


def test_an_error_of_a_strange_kind_is_restored_as_one(runner: Runner, file: Path) -> None:
    """Only error classes of this package are recreated from a file."""
    runner.service.answer = {
        "0": httpx.ConnectError("gone"), "1": httpx.Response(200, text="?"), "2": refused(400)
    }.get  # fmt: skip
    runner.all(numbered(3), checkpoint=file)
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE rows SET error = replace(error, 'BadRequestError', 'sys.exit') WHERE idx = 2")
        db.commit()
    again = runner.all(numbered(3), checkpoint=file, retry_failed=False)
    names = [type(result.error).__name__ for result in again]
    assert names == ["APIConnectionError", "APIResponseError", "EnpromptaError"]
    assert (again[1].error.status_code, again[1].error.body) == (200, b"?")


def test_an_option_of_the_run_may_change(runner: Runner, file: Path) -> None:
    """Options such as concurrency and order may change when a run is resumed."""
    runner.walk(runner.many(numbered(50), checkpoint=file), most=20)
    assert len(runner.all(numbered(50), checkpoint=file, ordered=True, concurrency=1)) == 50
    with pytest.raises(ConfigurationError):
        runner.many(numbered(50), checkpoint=file, concurrency=0)
