"""Static types of bulk execution. Never run: checked by pyright, mypy and pyrefly, all strict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.bag.core import Bag
from typing_extensions import assert_type

from enprompta import AsyncEnprompta, Attempt, Enprompta, EnpromptaError
from enprompta.batch import AsyncBatchRun, BatchResult, BatchRun, Budget, Progress, distributed, read_rows
from enprompta.models import Execution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

client = Enprompta()
aclient = AsyncEnprompta()


def blocking(rows: list[dict[str, str]], numbers: Iterator[int]) -> None:
    """A result has the type of its row."""
    run = client.prompts.execute_many("p", rows, concurrency=8, budget=Budget(usd=1), checkpoint="run.db")
    assert_type(run, BatchRun[dict[str, str]])
    assert_type(run.progress, Progress)
    with run:
        for result in run:
            assert_type(result, BatchResult[dict[str, str]])
            assert_type(result.row, dict[str, str])
            assert_type(result.execution, Execution | None)
            assert_type(result.error, EnpromptaError | None)
            assert_type(result.attempts, tuple[Attempt, ...])
            assert_type(result.output, str | None)
    for numbered in client.prompts.execute_many("p", numbers, variables=lambda n: {"n": n + 1}):
        assert_type(numbered.row, int)
    for read in client.prompts.execute_many("p", read_rows("a.csv"), variables=["n"]):
        assert_type(read.row, dict[str, Any])


async def awaited(rows: list[dict[str, str]], later: AsyncIterator[int]) -> None:
    """The same in the async client."""
    run = aclient.prompts.execute_many("p", rows, ordered=True, errors="raise")
    assert_type(run, AsyncBatchRun[dict[str, str]])
    async with run:
        async for result in run:
            assert_type(result, BatchResult[dict[str, str]])
    async for numbered in aclient.prompts.execute_many("p", later, variables=lambda n: {"n": n}):
        assert_type(numbered.row, int)


def on_many_machines(rows: list[dict[str, str]], bag: Bag) -> None:
    """Dask returns its own collection, for rows of any kind."""
    assert_type(distributed.execute_many(client, "p", rows, run_id="r", concurrency=8), Bag)
    assert_type(distributed.execute_many(client, "p", bag, variables=["n"], partition_size=5), Bag)
    distributed.execute_many(client, "p", rows, budget=Budget(credits=5))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    distributed.execute_many(aclient, "p", rows)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def mistakes(rows: list[dict[str, str]]) -> None:
    """Each of these lines is an error in all three checkers."""
    client.prompts.execute_many("p", rows, concurency=8)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.prompts.execute_many("p", rows, errors="skip")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    client.prompts.execute_many("p", rows, budget=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    client.prompts.execute_many("p")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.prompts.execute_many("p", 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
