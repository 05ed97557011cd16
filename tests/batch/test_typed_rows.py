"""Bulk runs that read each output into a type, and that expect a version of the prompt."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import BaseModel

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta, OutputError, VersionMismatchError
from enprompta.batch import BatchResult, Budget, ExecutionFailedError
from enprompta.models import TypedExecution

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://api.test/api/v1"


class Answer(BaseModel):
    value: int


class Echo:
    """Answers executions with the variable `text`; the second line of a repair's text is the repaired answer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.calls.append(request.method)
        if request.method == "GET":
            data: dict[str, Any] = {"id": "p", "title": "t", "content": "{{text}}", "version": 2}
            return httpx.Response(200, json={"data": data})
        text: str = json.loads(request.content)["variables"]["text"]
        self.keys.append(request.headers["idempotency-key"])
        is_repair = "Your previous answer" in text
        output = '{"value": 7}' if is_repair and text.startswith("repairable") else text.partition("\n")[0]
        status = "failed" if text == "down" else "completed"
        if is_repair and text.startswith("repair fails"):
            status = "failed"
        data = {"id": f"e{len(self.keys)}", "status": status, "output": output, "tokens": 10, "cost": 0.5}
        return httpx.Response(201, content=json.dumps({"data": {**data, "odd": [float("nan")]}}))


@pytest.fixture
def service() -> Echo:
    """The service."""
    return Echo()


@pytest.fixture(params=["sync", "asyncio"])
def execute(request: pytest.FixtureRequest, service: Echo) -> Any:
    """Run `execute_many` to its end; give the results, and the run."""
    transport = httpx.MockTransport(service)

    def blocking(rows: Any, **options: Any) -> tuple[list[BatchResult[Any, Any]], Any]:
        with httpx.Client(transport=transport) as http:
            client = Enprompta(api_key="ep_x", base_url=URL, limiter=None, http_client=http)
            run: Any = client.prompts.execute_many("p", rows, **options)
            return list(run), run

    def awaited(rows: Any, **options: Any) -> tuple[list[BatchResult[Any, Any]], Any]:
        async def scenario() -> tuple[list[BatchResult[Any, Any]], Any]:
            async with httpx.AsyncClient(transport=transport) as http:
                client = AsyncEnprompta(api_key="ep_x", base_url=URL, limiter=None, http_client=http)
                run: Any = client.prompts.execute_many("p", rows, **options)
                return [one async for one in run], run

        return asyncio.run(scenario())

    return blocking if request.param == "sync" else awaited


ROWS = [{"text": '{"value": 1}'}, {"text": "nothing"}, {"text": "down"}]


def test_rows_have_values_or_errors(execute: Any) -> None:
    """An output that fits is parsed; one that does not is an error of its row, which was charged."""
    (good, bad, failed), run = execute(ROWS, output=Answer, ordered=True)
    assert good.ok
    assert good.execution.parsed == Answer(value=1)
    assert isinstance(bad.error, OutputError)
    assert str(bad.error).startswith("row 1: execution e")
    assert bad.error.text == bad.output == "nothing"
    with pytest.raises(OutputError):
        _ = bad.execution.parsed
    assert isinstance(failed.error, ExecutionFailedError)
    assert run.progress.credits == 2
    assert run.progress.failed == 2


def test_a_resumed_run_reads_outputs_again(execute: Any, service: Echo, tmp_path: Path) -> None:
    """With another type the rows are read again from the checkpoint, and none is executed again."""
    rows, file = ROWS[:2], tmp_path / "run.db"
    execute(rows, output=Answer, ordered=True, checkpoint=file)
    sent = len(service.keys)
    (first, second), _ = execute(rows, output=Answer, ordered=True, checkpoint=file)
    assert first.restored
    assert isinstance(first.execution, TypedExecution)
    assert isinstance(second.error, OutputError)
    (first, second), _ = execute(rows, output=dict[str, int], ordered=True, checkpoint=file)
    assert first.execution.parsed == {"value": 1}
    (first, second), _ = execute(rows, ordered=True, checkpoint=file)
    assert second.ok
    assert len(service.keys) == sent


def test_repairs_are_counted_and_kept(execute: Any, service: Echo, tmp_path: Path) -> None:
    """Credits, tokens and costs include every execution; the checkpoint has the executions before the last one."""
    rows, file = [{"text": "repairable"}, {"text": "hopeless"}], tmp_path / "run.db"
    results, run = execute(rows, output=Answer, repair=1, ordered=True, checkpoint=file)
    assert (run.progress.credits, run.progress.tokens, run.progress.cost) == (4, 40, 2.0)
    assert results[0].execution.parsed.value == 7
    assert len(set(service.keys)) == 4
    again, run = execute(rows, output=Answer, repair=1, ordered=True, checkpoint=file)
    assert (run.progress.credits, run.progress.cost) == (4, 2.0)
    for one, other in zip(results, again, strict=True):
        assert other.restored
        assert [each.id for each in one.execution.executions] == [each.id for each in other.execution.executions]
        assert other.execution.total_cost == 1.0
        assert repr([each.model_extra for each in other.execution.executions]) == repr([{"odd": [float("nan")]}] * 2)
    assert len(service.keys) == 4
    (restored, _), _ = execute(rows, ordered=True, checkpoint=file)
    assert restored.ok


def test_a_failed_repair_is_restored_with_what_it_repairs(execute: Any, service: Echo, tmp_path: Path) -> None:
    """A failed row of a typed run has a typed execution, also after it was resumed; the failure is not charged."""
    rows, options = [{"text": "repair fails"}], {"output": Answer, "repair": 1, "checkpoint": tmp_path / "run.db"}
    for _ in range(2):
        (result,), run = execute(rows, **options, retry_failed=False)
        assert isinstance(result.error, ExecutionFailedError)
        assert isinstance(result.execution, TypedExecution)
        assert result.error.execution is result.execution
        assert [one.id for one in result.execution.executions] == ["e1", "e2"]
        assert result.execution.credits == run.progress.credits == 1
        assert run.progress.cost == 1.0
    assert len(service.keys) == 2
    _, run = execute([*rows, *rows, *rows], output=Answer, repair=1, concurrency=1, budget=Budget(usd=2.5))
    assert run.progress.cost == 2.0


def test_a_failed_repair_is_tried_again(execute: Any, service: Echo, tmp_path: Path) -> None:
    """The next run repeats the first execution, which is not charged again, and repairs its output under a new key."""
    rows, options = [{"text": "repair fails"}], {"output": Answer, "repair": 1, "checkpoint": tmp_path / "run.db"}
    for _ in range(3):
        execute(rows, **options)
    first, repairs = service.keys[::2], service.keys[1::2]
    assert len({*first}) == 1
    assert len({*repairs}) == 3


def test_a_budget_counts_repairs_in_advance(execute: Any, service: Echo) -> None:
    """A row may cost two credits, so a budget of three lets a second row start only if the first needed one."""
    _, run = execute([{"text": "repairable"}] * 3, output=Answer, repair=1, budget=Budget(credits=3))
    assert run.ending == "budget"
    assert len(service.keys) == 2


def test_the_first_invalid_output_ends_a_run_that_raises(execute: Any) -> None:
    """With `errors="raise"` the run ends with the row's error."""
    with pytest.raises(OutputError, match="this was row 0"):
        execute([{"text": "nothing"}], output=Answer, errors="raise")


def test_the_version_is_checked_once(execute: Any, service: Echo) -> None:
    """One request before the first row; another version ends the run, and no row is sent."""
    results, _ = execute([{"text": str(number)} for number in range(20)], expect_version=2)
    assert len(results) == 20
    assert service.calls[0] == "GET"
    assert service.calls.count("GET") == 1
    with pytest.raises(VersionMismatchError, match="version 2 now, not 3"):
        execute([{"text": "a"}], expect_version=3)
    assert len(service.keys) == 20


def test_wrong_options_are_refused(execute: Any, service: Echo) -> None:
    """Before anything is sent."""
    for options in ({"repair": 1}, {"output": "Answer"}, {"expect_version": None}, {"output": Answer, "repair": -1}):
        with pytest.raises(ConfigurationError):
            execute(ROWS, **options)
    assert service.calls == []
