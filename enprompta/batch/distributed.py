"""Bulk execution past one machine, on a cluster of Dask.

    from enprompta.batch import distributed

    results = distributed.execute_many(client, prompt_id, rows, run_id="cities")   # a dask.bag.Bag of BatchResult
    results.compute()

The engine is Dask, and not Ray. A row is a call that waits for its answer, so what an engine has to give is: spread
partitions over processes, and do again what was lost. Dask does both for a lazy collection, by its graph. It is pure
Python, so it is there for each Python that this package is for, and a small part of Ray in size.

Each partition is an ordinary run, whose rows are numbered by their place in the whole input. A row's idempotency key is
made of the run's id, that place and what is sent; which worker sends it, and in which partition, makes no difference.
So a partition may be executed any number of times: whoever repeats a row is told the first answer, and nothing is
charged again. That is all there is to losing a worker, and it is why nothing here keeps count or writes to a file.

Workers share one request budget in Redis. A budget in money or credits they could not share without asking somebody
before each row, so there is none; see `_ONE_MACHINE` for what else a run on many machines has not.
"""

from __future__ import annotations

import copy
import operator
import secrets
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from enprompta.batch import options as opts
from enprompta.batch.client_pool import WorkerClient, client_pool
from enprompta.errors import ConfigurationError, EnpromptaError
from enprompta.limiters import LocalLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from dask.bag.core import Bag
    from typing_extensions import Unpack

    from enprompta.batch.options import RunOptions
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import Variables

__all__ = ["execute_many"]

RowT = TypeVar("RowT")

_ONE_MACHINE = {
    "budget": "no worker knows what the others have spent. Give as many rows as you can afford, a credit each",
    "checkpoint": "a file is on one machine. Give run_id, and the same again goes on",
    "first_index": "rows are numbered from 0, whatever their partitions",
    "on_progress": "workers do not report to you. Dask does: `dask.distributed.progress(results.persist())`",
    "ordered": "the results are always in the order of the rows",
    "progress": "workers do not report to you. Dask does: `dask.distributed.progress(results.persist())`",
    "retry_failed": "it is about a checkpoint, and there is none",
    "skip_done": "it is about a checkpoint, and there is none",
    "total": "Dask counts partitions, and knows how many there are",
}
"""Options of a run on one machine, and why a run on many has them not."""


def execute_many(
    client: WorkerClient,
    prompt_id: str,
    /,
    rows: Iterable[RowT] | Bag,
    *,
    variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
    partition_size: int = 200,
    **options: Unpack[RunOptions],
) -> Bag:
    """Execute a prompt once for each row on the workers of Dask, each row charged once whatever happens.

    Nothing is sent before the collection is computed, by whichever scheduler Dask is set to. Computed again, it sends
    the same requests again, which the API answers with the first results, at no charge, as long as it knows their
    idempotency keys (24 hours at the emulator). So `persist()` what is to be used twice, and take the results as they
    come where a run may last longer; docs/bulk.md shows how.

    Args:
        client: Whose settings the workers' clients have. They travel to the workers, the credentials with them, so the
            connections of the cluster must be ones that you trust. Its limiter must be one that processes can share, a
            `RedisLimiter` that each worker can reach, or None.
        prompt_id: Which prompt.
        rows: Any iterable, which is taken whole at once and travels with the graph; or a bag or data frame of Dask,
            whose partitions the workers read. Those must give the same rows in the same order whenever they are read,
            for a row that has changed is another row, with a charge of its own.
        variables: How a row becomes the values of the prompt's variables; see `execute_many` of the client. A function
            travels to the workers.
        partition_size: Rows of an iterable that go to a worker at once. This is what a lost worker had under way, for
            each of its threads.
        **options: `concurrency`, for each partition under way; `errors`, `run_id`, the model options, and those of the
            calls: see `RunOptions`. A partition that ends in an error ends the computation, also one that had to stop
            because no row could do better, such as with a key that is refused: given the same `run_id`, the next
            computation is told what the rows before have come to, at no charge.

    Returns:
        A bag of `BatchResult`, one for each row, in the order of the rows.

    Raises:
        ConfigurationError: An option cannot work on many machines, the client cannot travel, or Dask is not installed.
        RowError: `variables` names columns, `rows` is a list, and one of them lacks a column; nothing was sent.
    """
    bags = _dask_bag()
    _check_options(options, partition_size)
    _check_client(client)
    bag, listed = _split_input(rows, bags)
    # Made for its checks alone, and for a run id where none is given.
    run = client.prompts.execute_many(prompt_id, listed, variables=variables, **options)
    work = _PartitionTask(client, prompt_id, variables, {**options, "run_id": run.run_id}, secrets.token_hex(8))
    if bag is None:
        parts = bags.from_sequence(_cut(listed, partition_size, work.name), partition_size=1)
    else:
        held = bag.map_partitions(_as_partition, token="rows")  # noqa: S106 (Dask's word for a name)
        ends = held.map(len).accumulate(operator.add)
        parts = bags.map_partitions(_number, held, ends, token="numbered-rows")  # noqa: S106
    return parts.map_partitions(work, token="execute-many")  # noqa: S106


def _dask_bag() -> Any:  # noqa: ANN401 (the module)
    try:
        return import_module("dask.bag")
    except ImportError as error:
        raise ConfigurationError(
            'enprompta.batch.distributed needs the extra `dask`: pip install "enprompta[dask]"'
        ) from error


def _check_options(options: Mapping[str, object], partition_size: object) -> None:
    """Refuse what cannot be kept to.

    Raises:
        ConfigurationError: The text says what to do instead.
    """
    for name, why in _ONE_MACHINE.items():
        if options.get(name) is not None:
            raise ConfigurationError(f"{name} cannot be kept to on many machines: {why}")
    if not isinstance(partition_size, int) or partition_size < 1:
        raise ConfigurationError(f"partition_size must be a whole number of 1 or more, not {partition_size!r}")


def _check_client(client: object) -> None:
    """Refuse a client that cannot be in many processes.

    Raises:
        ConfigurationError: The text says which kind can.
    """
    if not isinstance(client, WorkerClient):
        kind = type(client).__name__
        raise ConfigurationError(f"workers execute rows in threads: give an Enprompta with these settings, not {kind}")
    if isinstance(client.limiter, LocalLimiter):
        raise ConfigurationError(
            "each worker would spend the whole request budget by itself: make the client with "
            "limiter=RedisLimiter(url), which they share, or with limiter=None where requests are not counted"
        )
    try:
        import_module("cloudpickle").dumps(client)  # as Dask pickles
    except EnpromptaError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"the client cannot be pickled, so it cannot travel to workers; it may be its hooks: {problem}"
        ) from error


def _split_input(rows: Any, bags: Any) -> tuple[Any, list[Any]]:  # noqa: ANN401 (Dask has no types for these)
    """Give the bag, where workers read the rows; else None, and the rows."""
    if hasattr(rows, "to_bag"):
        rows = rows.to_bag(format="dict")
    if isinstance(rows, bags.Bag):
        return rows, []
    opts.check_rows(rows, is_async=False)
    return None, list(rows)


def _cut(rows: list[RowT], size: int, name: str) -> list[_Partition[RowT]]:
    """Cut rows into partitions."""
    return [_Partition(rows[first : first + size], first, name) for first in range(0, len(rows), size)]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Partition(Generic[RowT]):
    """The rows of a partition.

    Dask logs the arguments of what fails, so the rows, which may be about people, are in an object that shows none.
    """

    rows: list[RowT]
    first: int = 0
    """The place of the first one in the whole input."""
    name: str = ""
    """Of the work they are for."""

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"rows {self.first} to {self.first + len(self) - 1}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __dask_tokenize__(self) -> tuple[str, int]:
        """Tell Dask what these rows are called, so that it need not read them all to find a name."""
        return self.name, self.first


def _as_partition(rows: Iterable[RowT]) -> list[_Partition[RowT]]:
    """Take the rows of a partition, of which nobody knows yet where it begins."""
    return [_Partition(list(rows))]


def _number(held: Iterable[_Partition[RowT]], ends: Iterable[int]) -> list[_Partition[RowT]]:
    """Say where a partition begins, given where it ends."""
    return [_Partition(part.rows, end - len(part)) for part, end in zip(held, ends, strict=True)]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _PartitionTask(Generic[RowT]):
    """What is done with a partition; it travels to the workers, with the settings of the client."""

    client: WorkerClient
    prompt_id: str
    variables: Variables[RowT]
    options: Mapping[str, Any]
    name: str
    """Stands for this work, in the names of Dask and among the clients of a worker."""

    def __call__(self, parts: Iterable[_Partition[RowT]]) -> list[BatchResult[RowT]]:
        """Execute the rows of a partition."""
        results: list[BatchResult[RowT]] = []
        with client_pool.borrow(self.name, lambda: copy.copy(self.client)) as client:
            for part in parts:
                results += self._execute(client, part)
        return results

    def _execute(self, client: WorkerClient, part: _Partition[RowT]) -> list[BatchResult[RowT]]:
        options = {**self.options, "first_index": part.first}
        run = client.prompts.execute_many(self.prompt_id, part.rows, variables=self.variables, **options)
        try:
            return sorted(run, key=operator.attrgetter("index"))
        except EnpromptaError as error:
            error.add_context(f"this was in {part}, which are a partition")
            raise

    def __repr__(self) -> str:
        return f"<execute_many {self.options['run_id']} of {self.prompt_id}>"

    def __dask_tokenize__(self) -> str:
        """Tell Dask what this is called, so that no credential goes into a name."""
        return self.name
