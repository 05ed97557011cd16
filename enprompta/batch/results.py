"""The output of a run: one result per row, and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from enprompta.models.executions import Execution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.errors import Attempt, EnpromptaError

RowT = TypeVar("RowT")
ExecutionT = TypeVar("ExecutionT", bound=Execution, default=Execution)


@dataclass  # not frozen, which would take three times as long to create
class BatchResult(Generic[RowT, ExecutionT]):
    """The result of one row."""

    index: int
    """The row's index in the input, from 0."""
    row: RowT
    """The row as you passed it."""
    variables: Mapping[str, Any]
    """The values of the prompt's variables; empty if the row had none, as `error` then explains."""
    execution: ExecutionT | None = None
    """The execution that the API returned; None if it returned none. With `output`, a `TypedExecution`."""
    error: EnpromptaError | None = None
    """The error of a failed row; None if the row succeeded."""
    attempts: tuple[Attempt, ...] = ()
    """Every attempt of the call; empty if nothing was sent, or if the result is from the checkpoint."""
    restored: bool = False
    """True if the result is from the checkpoint, without a call."""

    @property
    def ok(self) -> bool:
        """True if the row was executed successfully."""
        return self.error is None

    @property
    def output(self) -> str | None:
        """The output of the model; None if the row failed."""
        return None if self.execution is None else self.execution.output


def executions_of(execution: Execution | None) -> tuple[Execution, ...]:
    """Return the executions of a row: several if its output was repaired, none if it was not executed."""
    if execution is None:
        return ()
    if type(execution) is Execution:
        return (execution,)  # the usual case: asking a model for an attribute that it lacks takes microseconds
    return getattr(execution, "executions", (execution,))


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run."""

    done: int
    """Rows that succeeded, including those restored from the checkpoint."""
    failed: int
    """Rows that failed."""
    restored: int
    """Rows whose result is from the checkpoint, failed ones included."""
    in_flight: int
    """Rows that were started and have not ended."""
    total: int | None
    """Number of rows; None while unknown."""
    rate: float
    """Rows per second over the last minute, without restored ones."""
    tokens: int
    """Input and output tokens of the models so far."""
    cost: float
    """Cost so far in USD."""
    credits: int
    """Credits charged so far, one per execution."""
    elapsed: float
    """Seconds since the run started or was resumed."""
    eta: float | None
    """Estimated seconds until the run ends; None while unknown."""
    waiting: float
    """Seconds for which the rate limit has let no request through; 0 if no row waits for it."""
