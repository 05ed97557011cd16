"""The decisions of a run: which row is next, how its outcome is handled, and when to stop.

Nothing here does I/O, except through the checkpoint. A driver, with threads or with tasks, calls:

    room          number of further rows to take from the input
    take          hands over that row, or its error; a result from the checkpoint is then ready for `pop`
    start         returns the next row to send, if one may start now; the driver makes its call
    finish        hands over the outcome of that call
    pop           returns the next result for the caller, if there is one
    is_done       True if nothing is in flight and no result is left

`end` stops a run early: no further row is started, rows in flight complete and are saved. The drivers use a scheduler
from one thread at a time, so it has no lock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from enprompta.batch.call_tracker import CallCancelled
from enprompta.batch.charges import credits_of
from enprompta.batch.errors import ExecutionFailedError
from enprompta.batch.results import BatchResult, executions_of
from enprompta.errors import (
    APIConnectionError,
    AuthenticationError,
    EnpromptaError,
    InsufficientTokensError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

if TYPE_CHECKING:
    from enprompta._core.runner import Answered
    from enprompta.batch.budget import SpendTracker
    from enprompta.batch.checkpoint import Store
    from enprompta.batch.progress import Meter
    from enprompta.batch.row_calls import RowTask
    from enprompta.batch.row_outputs import RowOutputs
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")
Ending = Literal["completed", "budget", "error", "closed"]

# Every other row would fail too: an invalid key, a missing permission, no credit left, an unknown prompt, and a rate
# limit that resets later than the client is willing to wait.
FATAL_ERRORS = (AuthenticationError, InsufficientTokensError, PermissionDeniedError, NotFoundError, RateLimitError)
# The service is unavailable or failing. One such row may be bad luck; many in succession are an outage.
OUTAGE_ERRORS = (APIConnectionError, InternalServerError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingRules:
    """Settings of a run."""

    slots: int
    """Maximum number of rows in flight."""
    queue: int
    """Maximum number of rows that were taken from the input and not started."""
    window: int
    """Maximum number of rows that were taken from the input and whose result the caller has not received."""
    first: int = 0
    """The index of the first row."""
    ordered: bool = False
    """True to return results in the order of the rows."""
    raises: bool = False
    """True if the first failed row ends the run."""
    skips: bool = False
    """True to leave out results from the checkpoint."""
    retries: bool = True
    """True to execute rows again that failed according to the checkpoint."""
    max_consecutive_outages: int = 20
    """The run ends after this many successive rows that failed because of an outage."""


class RowScheduler(Generic[RowT]):
    """Schedules the rows of one run.

    Args:
        rules: The settings.
        spend: Tracks spending, and says if another row is affordable.
        store: The checkpoint.
        meter: Counts results.
        outputs: Reads the outputs of rows into a type.
    """

    def __init__(
        self, rules: SchedulingRules, spend: SpendTracker, store: Store, meter: Meter, outputs: RowOutputs
    ) -> None:
        self._outputs = outputs
        self._rules = rules
        self._spend = spend
        self._store = store
        self._meter = meter
        self._queue: deque[RowTask[RowT]] = deque()
        self._ready: dict[int, BatchResult[RowT]] = {}
        self._next = rules.first  # the row whose result is due, if results are ordered
        self._gaps: set[int] = set()  # rows from there on that have no result
        self.exhausted: bool = False
        """True if the input has no more rows."""
        self._consecutive_outages = 0
        self.taken: int = 0
        """Number of rows taken from the input."""
        self.in_flight: int = 0
        """Number of rows that were started and have not ended."""
        self.ending: Ending | None = None
        """Why the run stops; None while rows are started."""
        self.error: BaseException | None = None
        """The error to raise once everything else is done."""

    @property
    def room(self) -> int:
        """Number of further rows to take from the input."""
        if self.exhausted or self.ending is not None:
            return 0
        queued, rules = len(self._queue), self._rules
        taken = queued + self.in_flight + len(self._ready) + len(self._gaps)
        return max(0, min(rules.queue - queued, rules.window - taken))

    @property
    def should_refill(self) -> bool:
        """True if it is time to take more rows: the queue is at most half full."""
        return 2 * len(self._queue) <= self._rules.queue and self.room > 0

    @property
    def has_queue(self) -> bool:
        """True if a row is waiting to be started."""
        return bool(self._queue)

    @property
    def has_result(self) -> bool:
        """True if `pop` would return a result."""
        return self._due() is not None

    @property
    def is_done(self) -> bool:
        """True if nothing is in flight and no result is left."""
        return self.in_flight == 0 and not self._ready and self.ending is not None

    def take(self, task: RowTask[RowT] | BatchResult[RowT]) -> None:
        """Take a row from the input: the task to send, or the result of a row that cannot be sent.

        Raises:
            CheckpointError: The checkpoint belongs to other rows.
        """
        self.taken += 1
        if isinstance(task, BatchResult):
            self._give(task, 0)
            return
        saved = self._store.find(task)
        if saved is None or (saved.error is not None and self._rules.retries):
            if saved is not None:
                task = replace(task, attempt=saved.attempt, failed_repairs=saved.failed_repairs, credits=saved.credits)
                self._spend.charge(-saved.credits, None, executed=False)  # it will be counted again
            self._queue.append(task)
            return
        result = BatchResult(task.index, task.row, task.variables, saved.execution, saved.error, restored=True)
        result = self._outputs.checked(result, saved.earlier)
        if self._rules.skips:
            self._meter.count(result, saved.credits)
            self._gaps.add(task.index)
            self._close_gaps()
        else:
            self._give(result, saved.credits)

    def end_of_input(self) -> None:
        """Note that the input has no more rows.

        Raises:
            CheckpointError: The checkpoint has more rows.
        """
        self.exhausted = True
        self._store.check_number(self._rules.first + self.taken)
        self._settle()

    def start(self) -> RowTask[RowT] | None:
        """Return the next row to send; None if no row may start now."""
        if self.ending is not None or not self._queue or self.in_flight >= self._rules.slots:
            return None
        if not self._spend.affords(self.in_flight):
            if self.in_flight == 0:  # no row in flight can turn out cheaper than assumed
                self.end("budget")
            return None
        self.in_flight += 1
        return self._queue.popleft()

    def finish(self, task: RowTask[RowT], outcome: Answered[Execution] | BaseException, now: float) -> None:
        """Handle the outcome of a row.

        Raises:
            CheckpointError: The result cannot be saved. It is counted nevertheless.
        """
        self.in_flight -= 1
        try:
            self._conclude(task, outcome, now)
        finally:
            self._settle()

    def pop(self) -> BatchResult[RowT] | None:
        """Return the next result; None if there is none yet."""
        index = self._due()
        if index is None:
            return None
        if self._rules.ordered:
            self._next = index + 1
            self._close_gaps()
        return self._ready.pop(index)

    def end(self, why: Ending, error: BaseException | None = None) -> None:
        """Stop starting rows. The first reason counts."""
        if self.ending is None or (self.error is None and error is not None):
            self.ending, self.error = why, error
        self._queue.clear()

    def abandon(self) -> None:
        """Count no row as in flight: all workers have ended."""
        self.in_flight = 0

    def _conclude(self, task: RowTask[RowT], outcome: Answered[Execution] | BaseException, now: float) -> None:
        contents: tuple[bytes, ...] = ()
        if not isinstance(outcome, BaseException):
            execution, attempts, contents = outcome.result, outcome.attempts, outcome.contents
            error = _failure(task, execution)
        elif isinstance(outcome, CallCancelled):
            return
        elif isinstance(outcome, FATAL_ERRORS) or not isinstance(outcome, EnpromptaError):
            self.end("error", outcome)
            return
        else:
            execution, error, attempts = None, outcome, getattr(outcome, "attempts", ())
        executions = executions_of(execution)
        charged = credits_of(error)
        if outcome is error:  # no answer of this key says that it was not charged before
            charged = max(charged, task.credits)
        charged += len(executions[1:])
        cost = 0.0
        for one in executions:
            cost += one.cost or 0.0
        self._spend.charge(charged, cost, executed=error is None)
        result = BatchResult(task.index, task.row, task.variables, execution, error, attempts)
        try:
            self._store.write(result, task, contents, charged, cost)
            self._store.flush(now)
        finally:
            self._give(self._outputs.checked(result), charged)
            self._watch_health(error)

    def _give(self, result: BatchResult[RowT], credits: int) -> None:
        self._meter.count(result, credits)
        if result.error is not None and self._rules.raises and not result.restored:
            result.error.add_context(f"this was row {result.index}")
            self.end("error", result.error)
        else:
            self._ready[result.index] = result

    def _watch_health(self, error: EnpromptaError | None) -> None:
        if not isinstance(error, OUTAGE_ERRORS):
            self._consecutive_outages = 0
            return
        self._consecutive_outages += 1
        if self._consecutive_outages >= self._rules.max_consecutive_outages:
            error.add_context(f"{self._consecutive_outages} rows in succession failed like this, so the run stops")
            self.end("error", error)

    def _close_gaps(self) -> None:
        if not self._rules.ordered:
            self._gaps.clear()
        while self._next in self._gaps:
            self._gaps.remove(self._next)
            self._next += 1

    def _due(self) -> int | None:
        if not self._ready:
            return None
        if not self._rules.ordered:
            return next(iter(self._ready))
        if self._next in self._ready:
            return self._next
        # A stopped run has gaps where rows were cancelled. Results after a gap were paid for, so they are returned too.
        return min(self._ready) if self.ending is not None and self.in_flight == 0 else None

    def _settle(self) -> None:
        if self.exhausted and self.ending is None and not self._queue and self.in_flight == 0:
            self.ending = "completed"


def _failure(task: RowTask[Any], execution: Execution) -> ExecutionFailedError | None:
    if execution.status != "failed":
        return None
    reason = f": {execution.error}" if execution.error else ""
    return ExecutionFailedError(
        f"row {task.index} was executed as {execution.id} and its provider failed{reason}", execution=execution
    )
