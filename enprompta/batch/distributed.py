"""Bulk execution on many machines, on a Dask cluster.

    from enprompta.batch import distributed

    results = distributed.execute_many(client, prompt_id, rows, run_id="cities")   # a dask.bag.Bag of BatchResult
    results.compute()

The engine is Dask rather than Ray. A row is a call that waits for its response, so an engine must do two things:
spread partitions over processes, and repeat lost ones. Dask does both for a lazy collection, through its graph. It is
pure Python, so it runs on every Python version that this package supports, and it is much smaller than Ray.

Each partition is an ordinary run, whose rows are numbered by their index in the whole input. A row's idempotency key is
derived from the run's id, that index and the request body, so it does not depend on the worker or the partition. A
partition may therefore be executed any number of times: a repeated row gets the first response, without another charge.
That covers the loss of a worker, so nothing here keeps count or writes to a file.

Workers share one rate limit in Redis. They cannot share a budget in money or credits without coordination before each
row, so there is none; `_ONE_MACHINE` lists the other options that need a single machine.
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
    from types import ModuleType

    from dask.bag.core import Bag
    from typing_extensions import Unpack

    from enprompta.batch.options import RunOptions
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import Variables

__all__ = ["execute_many"]

RowT = TypeVar("RowT")

_ONE_MACHINE = {
    "budget": "no worker knows what the others have spent. Pass only as many rows as you can afford, one credit each",
    "checkpoint": "a file is on one machine. Pass run_id; the same call with the same run_id resumes the run",
    "first_index": "rows are numbered from 0, across all partitions",
    "on_progress": "workers do not report progress. Dask does: `dask.distributed.progress(results.persist())`",
    "ordered": "the results are always in the order of the rows",
    "progress": "workers do not report progress. Dask does: `dask.distributed.progress(results.persist())`",
    "retry_failed": "it needs a checkpoint, and there is none",
    "skip_done": "it needs a checkpoint, and there is none",
    "total": "Dask counts partitions, and knows their number",
}
"""Options that need a single machine, each with the reason."""


def execute_many(
    client: WorkerClient,
    prompt_id: str,
    /,
    rows: Iterable[RowT] | Bag,
    *,
    variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
    output: object = None,
    partition_size: int = 200,
    **options: Unpack[RunOptions],
) -> Bag:
    """Execute a prompt once for each row on Dask workers, and charge each row at most once.

    Nothing is sent until the collection is computed, by the scheduler that Dask is configured with. Computing it again
    sends the same requests again; the API answers them with the first results, at no charge, while it knows their
    idempotency keys (24 hours in the emulator). So `persist()` a collection that you use twice, and consume the results
    as they arrive if a run may last longer; docs/bulk.md shows how.

    Args:
        client: The client whose settings the workers use. Its settings are sent to the workers, credentials included,
            so the cluster's connections must be trusted. Its limiter must be one that processes can share: a
            `RedisLimiter` that each worker can reach, or None.
        prompt_id: The prompt's id.
        rows: Any iterable, which is read completely at once and sent with the graph; or a Dask bag or data frame, whose
            partitions the workers read. Those must yield the same rows in the same order each time they are read: a
            changed row is another row, with a separate charge.
        variables: How to get the values of the prompt's variables from a row; see `execute_many` of the client. A
            function is sent to the workers.
        output: The type to read each output into; see `execute_many` of the client. The workers must be able to import
            it.
        partition_size: Rows of an iterable that are sent to a worker at once. If a worker is lost, this many rows are
            repeated for each of its threads.
        **options: `concurrency` (for each active partition), `errors`, `run_id`, the model options and the call
            options: see `RunOptions`. A partition that ends in an error ends the computation; that includes errors that
            would fail every row, such as an invalid key. With the same `run_id`, the next computation gets the results
            of the rows before at no charge.

    Returns:
        A bag of `BatchResult`, one for each row, in the order of the rows.

    Raises:
        ConfigurationError: An option needs a single machine, the client cannot be pickled, or Dask is not installed.
        RowError: `variables` names columns, `rows` is a list, and a row lacks a column; nothing was sent.
    """
    bags = _dask_bag()
    _check_options(options, partition_size)
    _check_client(client)
    bag, listed = _split_input(rows, bags)
    # Created to check the arguments, and to make a run id if none is given.
    run = client.prompts.execute_many(prompt_id, listed, variables=variables, output=output, **options)
    work = _PartitionTask(
        client, prompt_id, variables, {**options, "output": output, "run_id": run.run_id}, secrets.token_hex(8)
    )
    if bag is None:
        parts = bags.from_sequence(_cut(listed, partition_size, work.name), partition_size=1)
    else:
        held = bag.map_partitions(_as_partition, token="rows")  # noqa: S106 (a name, in Dask's terms)
        ends = held.map(len).accumulate(operator.add)
        parts = bags.map_partitions(_number, held, ends, token="numbered-rows")  # noqa: S106
    return parts.map_partitions(work, token="execute-many")  # noqa: S106


def _dask_bag() -> ModuleType:
    try:
        return import_module("dask.bag")
    except ImportError as error:
        raise ConfigurationError(
            'enprompta.batch.distributed needs the extra `dask`: pip install "enprompta[dask]"'
        ) from error


def _check_options(options: Mapping[str, object], partition_size: object) -> None:
    """Refuse options that need a single machine.

    Raises:
        ConfigurationError: The text says what to do instead.
    """
    for name, why in _ONE_MACHINE.items():
        if options.get(name) is not None:
            raise ConfigurationError(f"{name} is not available on many machines: {why}")
    if not isinstance(partition_size, int) or partition_size < 1:
        raise ConfigurationError(f"partition_size must be a whole number of 1 or more, not {partition_size!r}")


def _check_client(client: object) -> None:
    """Refuse a client that cannot be used by many processes.

    Raises:
        ConfigurationError: The text says which clients can.
    """
    if not isinstance(client, WorkerClient):
        kind = type(client).__name__
        raise ConfigurationError(f"workers execute rows in threads: pass an Enprompta with these settings, not {kind}")
    if isinstance(client.limiter, LocalLimiter):
        raise ConfigurationError(
            "each worker would use up the whole rate limit by itself: create the client with "
            "limiter=RedisLimiter(url), which workers share, or with limiter=None if requests are not limited"
        )
    try:
        import_module("cloudpickle").dumps(client)  # as Dask pickles
    except EnpromptaError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"the client cannot be pickled, so it cannot be sent to workers; check its hooks: {problem}"
        ) from error


def _split_input(rows: Any, bags: ModuleType) -> tuple[Any, list[Any]]:  # noqa: ANN401 (Dask has no types for these)
    """Return the bag if the workers read the rows; else None, and the rows."""
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

    Dask logs the arguments of failed tasks, and rows may contain personal data, so this object does not show them.
    """

    rows: list[RowT]
    first: int = 0
    """The index of the first row in the whole input."""
    name: str = ""
    """The name of the computation."""

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"rows {self.first} to {self.first + len(self) - 1}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __dask_tokenize__(self) -> tuple[str, int]:
        """Return a name for these rows, so that Dask need not hash them."""
        return self.name, self.first


def _as_partition(rows: Iterable[RowT]) -> list[_Partition[RowT]]:
    """Wrap the rows of a partition whose first index is not known yet."""
    return [_Partition(list(rows))]


def _number(held: Iterable[_Partition[RowT]], ends: Iterable[int]) -> list[_Partition[RowT]]:
    """Set the first index of partitions, given their ends."""
    return [_Partition(part.rows, end - len(part)) for part, end in zip(held, ends, strict=True)]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _PartitionTask(Generic[RowT]):
    """Executes a partition; it is sent to the workers, with the settings of the client."""

    client: WorkerClient
    prompt_id: str
    variables: Variables[RowT]
    options: Mapping[str, Any]
    name: str
    """The name of this computation, in Dask and in the client pool of a worker."""

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
            error.add_context(f"this was in the partition of {part}")
            raise

    def __repr__(self) -> str:
        return f"<execute_many {self.options['run_id']} of {self.prompt_id}>"

    def __dask_tokenize__(self) -> str:
        """Return a name, so that Dask does not hash credentials into one."""
        return self.name
