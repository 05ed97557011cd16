"""Bulk runs in threads, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    EnpromptaError,
    InsufficientTokensError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from enprompta.batch import Budget, ExecutionFailedError, Progress, RowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.batch.conftest import Runner


def numbered(count: int) -> list[dict[str, str]]:
    """Make rows."""
    return [{"n": str(i)} for i in range(count)]


def refused(status: int, **headers: str) -> httpx.Response:
    """Make an error response."""
    return httpx.Response(status, json={"error": {"code": "NO", "message": "no"}}, headers=headers)


def test_each_row_gives_its_result(runner: Runner) -> None:
    """A result has the row, its variables and its output."""
    results = runner.all(numbered(100), concurrency=8)
    assert [result.output for result in results] == [f"did {i}" for i in range(100)]
    assert all(result.ok and result.row == result.variables == {"n": str(result.index)} for result in results)
    assert len(results[0].attempts) == 1
    assert len(runner.service.charged) == 100


def test_rows_are_taken_as_they_are_needed(runner: Runner) -> None:
    """Rows may be endless: only a few times `concurrency` are read ahead."""
    taken: list[int] = []

    def rows() -> Iterator[dict[str, str]]:
        while True:
            taken.append(1)
            yield {"n": str(len(taken))}

    assert len(runner.walk(runner.many(rows(), concurrency=4), most=50)) == 50
    assert len(taken) <= 50 + 4 * 4 + 1
    assert runner.service.most <= 4


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_concurrency_limits_requests_in_flight(runner: Runner, concurrency: int) -> None:
    """`concurrency` bounds the requests in flight, and is reached."""
    seen: list[int] = []
    runner.service.answer = lambda _: seen.append(runner.service.at_once)  # type: ignore[func-returns-value]
    runner.all(numbered(60), concurrency=concurrency)
    assert runner.service.most <= concurrency


def test_order_is_kept_when_asked(runner: Runner) -> None:
    """With `ordered`, results are in the order of the rows; without, each is returned once, as it completes."""
    ordered = runner.walk(runner.many(numbered(200), concurrency=8, ordered=True))
    assert [result.index for result in ordered] == list(range(200))
    assert {result.index for result in runner.walk(runner.many(numbered(200), concurrency=8))} == set(range(200))


def test_equal_rows_are_executed_separately(runner: Runner) -> None:
    """Rows with equal content are executed and charged separately."""
    assert len(runner.all([{"n": "x"}] * 10)) == 10
    assert len(runner.service.charged) == 10


def test_the_same_run_sends_the_same_keys(runner: Runner) -> None:
    """The key depends on the run id and the row, not on the order of columns."""
    runner.all([{"n": "1", "a": "2"}], run_id="r")
    runner.all([{"a": "2", "n": "1"}], run_id="r")
    runner.all([{"n": "1", "a": "2"}], run_id="s")
    keys = [request.headers["idempotency-key"] for request in runner.service.requests]
    assert keys[0] == keys[1] != keys[2]
    assert runner.service.requests[0].content == runner.service.requests[1].content


def test_variables_of_a_row(runner: Runner) -> None:
    """Variables come from a function, renamed columns, selected columns or the row itself."""
    row = {"n": "1", "id": "7", "who": "me"}

    def sent(**options: Any) -> Any:
        runner.service.requests.clear()
        assert runner.all([row], **options)[0].row is row
        return json.loads(runner.service.requests[0].content)["variables"]

    assert sent() == row
    assert sent(variables=["n"]) == {"n": "1"}
    assert sent(variables={"n": "id"}) == {"n": "7"}
    assert sent(variables=lambda row: {"n": row["who"] * 2}) == {"n": "meme"}


def test_options_go_with_each_row(runner: Runner) -> None:
    """The model options are sent as by `execute`; headers and retries apply to the run."""
    runner.service.answer = lambda _: refused(503)
    result = runner.all(
        numbered(1), provider="openai", model="m", temperature=0.5, max_tokens=9, top_p=0.1, stop_sequences=["x"],
        headers={"X-Team": "a"}, max_retries=0, timeout=3.0, deadline=5.0,
    )[0]  # fmt: skip
    assert len(result.attempts) == 1
    request = runner.service.requests[0]
    body = json.loads(request.content)
    assert (body["provider"], body["model"]) == ("openai", "m")
    assert body["options"] == {"temperature": 0.5, "maxTokens": 9, "topP": 0.1, "stopSequences": ["x"]}
    assert request.headers["x-team"] == "a"


def test_rows_of_a_csv_reader(runner: Runner) -> None:
    """`csv.DictReader` works; a line with too many fields is an error of its row."""
    results = runner.all(csv.DictReader(io.StringIO("n\n1\n2,3\n")))
    assert results[0].output == "did 1"
    assert isinstance(results[1].error, RowError)
    assert "row 1" in str(results[1].error)


def test_failures_are_collected(runner: Runner) -> None:
    """A failed row has its error on its result, and the other rows continue."""
    runner.service.answer = lambda n: refused(400) if n == "3" else None
    results = runner.all(numbered(20))
    assert [result.index for result in results if not result.ok] == [3]
    assert isinstance(results[3].error, BadRequestError)
    assert results[3].attempts[0].status_code == 400


def test_a_failed_execution_is_a_failure(runner: Runner) -> None:
    """A failed execution is an error of its row, and the error has the execution."""
    failed = {"id": "exe_1", "status": "failed", "error": "model overloaded"}
    runner.service.answer = lambda _: httpx.Response(201, json={"success": True, "data": failed})
    result = runner.all(numbered(1))[0]
    assert isinstance(result.error, ExecutionFailedError)
    assert result.error.execution is result.execution
    assert "model overloaded" in str(result.error)


def test_the_first_failure_is_raised(runner: Runner) -> None:
    """With `errors="raise"` the first failure ends the run; results in flight are returned before the error."""
    runner.service.answer = lambda n: refused(400) if n == "5" else None
    run = runner.many(numbered(1000), concurrency=4, errors="raise")
    given: list[Any] = []
    with pytest.raises(BadRequestError, match="this was row 5"):
        runner.walk(run, then=given.append)
    assert len(given) == len(runner.service.charged) < 50
    assert run.ending == "error"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationError),
        (402, InsufficientTokensError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitError),
    ],
)
def test_what_no_row_survives_ends_the_run(runner: Runner, status: int, error: type[Exception]) -> None:
    """An error that would fail all rows is raised after the results of charged rows."""
    answers = iter(range(1000))
    runner.service.answer = lambda _: refused(status) if next(answers) >= 30 else None
    run = runner.many(numbered(1000), concurrency=4)
    given: list[Any] = []
    with pytest.raises(error, match="30 of 1000 rows have ended"):
        runner.walk(run, then=given.append)
    assert len(given) == len(runner.service.charged) == 30
    assert len(runner.service.requests) < 60


def test_an_unavailable_service_ends_the_run(runner: Runner) -> None:
    """Many successive outages end the run; a few are failures of their rows."""
    runner.service.answer = lambda n: refused(500) if int(n) % 30 < 15 else None
    assert sum(not result.ok for result in runner.all(numbered(90), concurrency=1)) == 45
    runner.service.answer = lambda _: httpx.ConnectError("refused")
    given: list[Any] = []
    with pytest.raises(EnpromptaError, match="20 rows in succession"):
        runner.walk(runner.many(numbered(1000), concurrency=2), then=given.append)
    assert 20 <= len(given) <= 26
    runner.service.answer = lambda _: refused(500)
    with pytest.raises(InternalServerError):
        runner.all(numbered(1000), concurrency=2)


def test_a_budget_of_credits_is_never_exceeded(runner: Runner) -> None:
    """A run stops when its credits are used; failed rows without a charge do not count."""
    runner.service.answer = lambda n: refused(400) if int(n) % 3 == 0 else None
    run = runner.many(numbered(1000), concurrency=16, budget=Budget(credits=25))
    runner.walk(run)
    assert len(runner.service.charged) == 25
    assert run.ending == "budget"
    assert run.progress.credits == 25


def test_a_budget_in_usd_stops_before_it_is_exceeded(runner: Runner) -> None:
    """Rows of equal cost are executed while the budget allows another one."""
    run = runner.many(numbered(1000), concurrency=16, budget=Budget(usd=10.2))
    runner.walk(run)
    assert len(runner.service.charged) == 20
    assert (run.ending, run.progress.cost) == ("budget", 10.0)


def test_a_sufficient_budget_has_no_effect(runner: Runner) -> None:
    """A run that uses its whole budget completes."""
    run = runner.many(numbered(20), budget=Budget(credits=20, usd=10.0))
    assert len(runner.walk(run)) == 20
    assert run.ending == "completed"
    assert run.resume_hint == ""


def test_progress_is_reported(runner: Runner) -> None:
    """The callback receives rows, tokens and cost; its last record is the total."""
    reports: list[Progress] = []
    runner.service.answer = lambda n: refused(400) if n == "3" else None
    run = runner.many(numbered(40), on_progress=reports.append)
    runner.walk(run)
    last = reports[-1]
    assert (last.done, last.failed, last.total, last.in_flight) == (39, 1, 40, 0)
    assert (last.tokens, last.cost, last.credits, last.eta) == (78, 19.5, 39, 0.0)
    assert len(reports) < 40


def test_no_rows_are_no_problem(runner: Runner) -> None:
    """An empty input completes without results."""
    run = runner.many([])
    assert runner.walk(run) == []
    assert run.ending == "completed"


def test_an_error_of_the_input_is_raised(runner: Runner) -> None:
    """An exception of the input is raised unchanged, after the results of rows in flight."""

    def rows() -> Iterator[dict[str, str]]:
        yield from numbered(10)
        raise OSError("the disk is gone")

    given: list[Any] = []
    with pytest.raises(OSError, match="the disk is gone"):
        runner.walk(runner.many(rows()), then=given.append)
    assert len(given) == len(runner.service.charged)


def test_an_error_of_the_callback_is_raised(runner: Runner) -> None:
    """An exception of the progress callback is raised."""

    def fails(_: Progress) -> None:
        raise LookupError("no such bar")

    with pytest.raises(LookupError, match="no such bar"):
        runner.walk(runner.many(numbered(3), on_progress=fails))


class Halt(BaseException):
    """An exception that no `except Exception` catches."""


@pytest.mark.parametrize("place", ["rows", "variables", "on_progress"])
@pytest.mark.parametrize("error", [Halt("stop"), SystemExit(3), asyncio.CancelledError("of a future")], ids=repr)
def test_any_exception_of_the_callers_code_is_raised(runner: Runner, place: str, error: BaseException) -> None:
    """A loop never ends as if all rows were done, and the rows before the exception are not lost."""

    def fails(given: Any) -> Any:
        if place == "on_progress" or given["n"] == "2":
            raise error
        return given

    rows: Any = map(fails, numbered(6)) if place == "rows" else numbered(6)
    options: dict[str, Any] = {} if place == "rows" else {place: fails}
    raised: list[BaseException] = []

    if runner.portal is None:
        with pytest.raises(type(error)) as caught:
            runner.walk(runner.many(rows, concurrency=2, **options))
        assert caught.value is error
        return

    async def walked() -> None:
        try:
            async with runner.many(rows, concurrency=2, **options) as run:
                async for _ in run:
                    pass
        except BaseException as found:  # noqa: BLE001 (also one that would end the event loop)
            raised.append(found)

    runner.portal.call(walked)
    assert raised == [error]


@pytest.mark.parametrize("error", [StopIteration(1), StopAsyncIteration(1)], ids=repr)
def test_a_callback_cannot_end_the_loop(runner: Runner, error: Exception) -> None:
    """An exception that would end the loop without an error is raised as another."""

    def fails(_: object) -> None:
        raise error

    with pytest.raises(RuntimeError, match=f"raised {type(error).__name__}") as caught:
        runner.walk(runner.many(numbered(6), on_progress=fails))
    assert caught.value.__cause__ is error


def test_a_run_is_iterated_once(runner: Runner) -> None:
    """Iterating a finished run again is an error that says what to do."""
    run = runner.many(numbered(3))
    runner.walk(run)
    assert "completed" in repr(run)
    if runner.portal is None:
        with pytest.raises(ConfigurationError, match="iterated only once"):
            runner.walk(run)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency must be a whole number from 1"),
        ({"concurrency": 2.5}, "concurrency must be"),
        ({"errors": "ignore"}, "errors must be 'collect' or 'raise'"),
        ({"run_id": ""}, "run_id must be text"),
        ({"budget": 5}, "budget must be Budget"),
        ({"checkpoint": ""}, "checkpoint must be the path of a file, not ''"),
        ({"checkpoint": 5}, "checkpoint must be the path of a file, not 5"),
        ({"on_progress": "print"}, "on_progress must be a function of a Progress, not str"),
        ({"total": "100"}, "total must be a whole number of 0 or more, not '100'"),
        ({"total": -1}, "total must be a whole number"),
        ({"variables": "n"}, "variables must be a function"),
        ({"variables": 7}, "variables must be a function"),
        ({"temperature": float("nan")}, "temperature is NaN"),
        ({"temperature": 2.5}, "temperature must be a number from 0 to 2, not 2.5"),
    ],
)
def test_what_cannot_work_is_refused(runner: Runner, options: dict[str, Any], text: str) -> None:
    """An invalid option is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match=text):
        runner.many(numbered(1), **options)
    with pytest.raises(TypeError, match=r"prompts.execute_many\(\) got 'concurency'; did you mean 'concurrency'\?"):
        runner.many(numbered(1), concurency=3)


def test_what_is_no_rows_is_refused(runner: Runner) -> None:
    """Text, a single row and a data frame are refused as rows."""

    class Frame:
        columns = ("n",)

        def to_dict(self) -> None: ...

    for rows in ("text", {"n": "1"}, Frame(), 7):
        with pytest.raises(ConfigurationError, match="rows"):
            runner.many(rows)


def test_rows_that_come_asynchronously(runner: Runner) -> None:
    """The async client accepts async iterables; the blocking one refuses them."""

    async def rows() -> AsyncIterator[dict[str, str]]:
        for row in numbered(30):
            yield row

    if runner.portal is None:
        with pytest.raises(ConfigurationError, match="AsyncEnprompta"):
            runner.many(rows())
    else:
        assert [result.output for result in runner.all(rows())] == [f"did {i}" for i in range(30)]


@pytest.mark.parametrize(
    ("row", "options", "text"),
    [
        (
            {"m": "1"},
            {"variables": lambda row: {"n": row["n"]}},
            "row 1: the function variables= failed: KeyError: 'n'",
        ),
        ({"m": "1"}, {"variables": lambda row: row["m"]}, "row 1 has variables of type str"),
        ([1], {}, "row 1 has variables of type list"),
        ({1: "1"}, {}, "row 1 has a variable whose name is not text: 1"),
        ({None: ["1"]}, {}, "row 1 has more fields than there are columns"),
        (
            {"n": object()},
            {},
            "row 1 cannot be sent: variables.n must be text, a number or a boolean, not an object: pass its text",
        ),
    ],
)
def test_a_row_that_cannot_be_sent(runner: Runner, row: Any, options: dict[str, Any], text: str) -> None:
    """A row without valid variables fails, and its error names it."""
    results = runner.all([{"n": "0", "m": "0"}, row], **options)
    assert not results[1].ok
    assert isinstance(results[1].error, RowError)
    assert text in str(results[1].error)
    assert results[0].ok or "variables" in options


def test_names_may_be_of_a_type_derived_from_str(runner: Runner) -> None:
    """A name such as an enumeration's member is text."""

    class Name(str):
        """A text."""

        __slots__ = ()

    (result,) = runner.all([{Name("n"): "7"}])
    assert (result.ok, result.variables, result.output) == (True, {"n": "7"}, "did 7")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"id": 1, "m": "1"}, "row 2 has no column 'n'; it has id, m"),
        ({str(i): 1 for i in range(12)}, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"),
        (["1"], "row 2 is a list, which has no column 'n'"),
        ({}, "row 2 has no column 'n'; it has none"),
    ],
)
def test_a_missing_column_is_found_before_anything_is_sent(runner: Runner, row: Any, text: str) -> None:
    """If rows are a list and columns are named, a missing column is refused before sending."""
    with pytest.raises(RowError) as caught:
        runner.many([*numbered(2), row], variables=["n"])
    assert text in str(caught.value)
    assert runner.service.requests == []


def test_resuming_without_a_checkpoint(runner: Runner) -> None:
    """A stopped run reports the run id with which its rows are not charged again."""
    run = runner.many(numbered(100), run_id="mine")
    runner.walk(run, most=5)
    assert "run_id='mine'" in run.resume_hint
    assert run.ending == "closed"
    charged = dict(runner.service.charged)
    runner.all(numbered(100), run_id="mine")
    assert charged.items() <= runner.service.charged.items()
    assert len(runner.service.charged) == 100
