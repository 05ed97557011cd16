"""What a run tells: one result a row, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.errors import Attempt, EnpromptaError
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[RowT]):
    """What came of one row."""

    index: int
    """The row's place in the input, from 0."""
    row: RowT
    """The row as it was given."""
    variables: Mapping[str, Any]
    """What the prompt was filled in with; empty when the row gave none, which `error` then explains."""
    execution: Execution | None = None
    """What the API answered; None when it did not."""
    error: EnpromptaError | None = None
    """Why the row failed; None when it did not."""
    attempts: tuple[Attempt, ...] = ()
    """Every try of the call; empty when nothing was sent, or when the result is from the checkpoint."""
    restored: bool = False
    """Whether the result is from the checkpoint, without a call."""

    @property
    def ok(self) -> bool:
        """Whether the row was executed."""
        return self.error is None

    @property
    def output(self) -> str | None:
        """What the model answered; None when the row failed."""
        return None if self.execution is None else self.execution.output


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    done: int
    """Rows that were executed, those restored from the checkpoint included."""
    failed: int
    """Rows that ended in an error."""
    restored: int
    """Rows whose result, good or bad, is from the checkpoint."""
    in_flight: int
    """Rows that have been started and not ended."""
    total: int | None
    """Rows in all; None while nobody knows."""
    rate: float
    """Rows a second over the last minute, those restored aside."""
    tokens: int
    """The models' tokens so far."""
    cost: float
    """USD so far."""
    credits: int
    """Tokens of the plan so far, one an execution."""
    elapsed: float
    """Seconds since the start, or since it was resumed."""
    eta: float | None
    """Seconds to the end at this rate; None while nobody knows."""
    waiting: float
    """Seconds for which nothing could be sent for want of request budget: "waiting for the rate limit"; else 0."""
