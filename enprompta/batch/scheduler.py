"""Which row goes next, what came of it, and when to stop: every decision of a run, no I/O but the checkpoint's.

A driver, one in threads and one in tasks, does what it is told and tells what came of it:

    wants_row     whether another row is to be taken from the input
    take          here is one, or its error; a result known from the checkpoint is then there to `pop`
    start         the next row to send, if one may be; the driver runs its call and then says
    finish        how it ended
    pop           a result to give to the caller, if there is one
    over          nothing is under way and nothing is left to give

`end` stops a run early: no row is started any more, those under way end and are kept. An engine is used by one thread
at a time, which the drivers see to, so there is no lock here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from enprompta.batch.call_tracker import CallCancelled
from enprompta.batch.errors import ExecutionFailedError
from enprompta.batch.results import BatchResult
from enprompta.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
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
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")
Ending = Literal["completed", "budget", "error", "closed"]

# No other row would fare better: a wrong key, a plan or key that may not, no credit left, no such prompt, and a request
# budget that is used up for longer than the client is willing to wait.
FATAL_ERRORS = (AuthenticationError, InsufficientTokensError, PermissionDeniedError, NotFoundError, RateLimitError)
# The service is away, or unwell. One such row may be bad luck, many in a row are not.
OUTAGE_ERRORS = (APIConnectionError, InternalServerError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingRules:
    """How a run goes about it."""

    slots: int
    """Rows under way at once."""
    queue: int
    """Rows taken from the input and not yet started, at most."""
    window: int
    """Rows taken from the input whose result has not been given to the caller, at most."""
    first: int = 0
    """The place of the first row."""
    ordered: bool = False
    """Whether results are given in the order of the rows."""
    raises: bool = False
    """Whether the first row that fails ends the run."""
    skips: bool = False
    """Whether results from the checkpoint are left out."""
    retries: bool = True
    """Whether rows that failed according to the checkpoint are executed again."""
    max_consecutive_outages: int = 20
    """After how many rows in succession that the service did not answer to end the run."""


class RowScheduler(Generic[RowT]):
    """One run.

    Args:
        rules: How to go about it.
        ledger: What may be spent.
        store: What has been done.
        meter: Counts what is done.
    """

    def __init__(self, rules: SchedulingRules, ledger: SpendTracker, store: Store, meter: Meter) -> None:
        self._rules = rules
        self._ledger = ledger
        self._store = store
        self._meter = meter
        self._queue: deque[RowTask[RowT]] = deque()
        self._ready: dict[int, BatchResult[RowT]] = {}
        self._next = rules.first  # the row whose result is due, when they are given in order
        self._gaps: set[int] = set()  # rows from there on that give no result
        self.exhausted: bool = False
        """Whether the input has no more rows."""
        self._consecutive_outages = 0
        self.taken: int = 0
        """Rows taken from the input."""
        self.in_flight: int = 0
        """Rows started that have not ended."""
        self.ending: Ending | None = None
        """Why no row is started any more; None while rows are."""
        self.error: BaseException | None = None
        """What to raise when everything else is over."""

    @property
    def wants_row(self) -> bool:
        """Whether another row is to be taken from the input."""
        outstanding = len(self._queue) + self.in_flight + len(self._ready) + len(self._gaps)
        open_ = self.ending is None and not self.exhausted
        return open_ and len(self._queue) < self._rules.queue and outstanding < self._rules.window

    @property
    def should_refill(self) -> bool:
        """Whether it is time to take more rows; half a queue of them at once is cheaper than one by one."""
        return 2 * len(self._queue) <= self._rules.queue and self.wants_row

    @property
    def has_queue(self) -> bool:
        """Whether there is a row that waits to be started."""
        return bool(self._queue)

    @property
    def has_result(self) -> bool:
        """Whether `pop` would give one."""
        return self._due() is not None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do or to give."""
        return self.in_flight == 0 and not self._ready and self.ending is not None

    def take(self, job: RowTask[RowT] | BatchResult[RowT]) -> None:
        """Take a row from the input: what to send, or why it cannot be.

        Raises:
            CheckpointError: The checkpoint is of other rows.
        """
        self.taken += 1
        if isinstance(job, BatchResult):
            self._give(job, 0)
            return
        saved = self._store.find(job)
        if saved is None or (saved.error is not None and self._rules.retries):
            if saved is not None:
                job = replace(job, attempt=saved.attempt)
                self._ledger.charge(-saved.credits, None, executed=False)  # it will be counted anew
            self._queue.append(job)
            return
        result = BatchResult(job.index, job.row, job.variables, saved.execution, saved.error, restored=True)
        if self._rules.skips:
            self._meter.count(result, saved.credits)
            self._gaps.add(job.index)
            self._close_gaps()
        else:
            self._give(result, saved.credits)

    def end_of_input(self) -> None:
        """There are no more rows.

        Raises:
            CheckpointError: The checkpoint knows of more.
        """
        self.exhausted = True
        self._store.check_number(self._rules.first + self.taken)
        self._settle()

    def start(self) -> RowTask[RowT] | None:
        """Give the next row to send; None when none may be sent now."""
        if self.ending is not None or not self._queue or self.in_flight >= self._rules.slots:
            return None
        if not self._ledger.affords(self.in_flight):
            if self.in_flight == 0:  # nothing under way could turn out cheaper than it was counted
                self.end("budget")
            return None
        self.in_flight += 1
        return self._queue.popleft()

    def finish(self, job: RowTask[RowT], outcome: Answered[Execution] | BaseException, now: float) -> None:
        """Tell how a row ended.

        Raises:
            CheckpointError: What came of it cannot be kept. It is counted all the same.
        """
        self.in_flight -= 1
        try:
            self._conclude(job, outcome, now)
        finally:
            self._settle()

    def pop(self) -> BatchResult[RowT] | None:
        """Give the next result; None when there is none yet."""
        index = self._due()
        if index is None:
            return None
        if self._rules.ordered:
            self._next = index + 1
            self._close_gaps()
        return self._ready.pop(index)

    def end(self, why: Ending, error: BaseException | None = None) -> None:
        """Start no row any more. The first reason counts."""
        if self.ending is None or (self.error is None and error is not None):
            self.ending, self.error = why, error
        self._queue.clear()

    def abandon(self) -> None:
        """Count nothing as under way any more: whoever worked on it has ended."""
        self.in_flight = 0

    def _conclude(self, job: RowTask[RowT], outcome: Answered[Execution] | BaseException, now: float) -> None:
        if isinstance(outcome, CallCancelled):
            return
        if isinstance(outcome, BaseException):
            if isinstance(outcome, FATAL_ERRORS) or not isinstance(outcome, EnpromptaError):
                self.end("error", outcome)
                return
            execution, error, attempts = None, outcome, getattr(outcome, "attempts", ())
        else:
            execution, attempts = outcome
            error = _failure(job, execution)
        charged = _credits(error)
        self._ledger.charge(charged, execution and execution.cost, executed=error is None)
        result = BatchResult(job.index, job.row, job.variables, execution, error, attempts)
        try:
            self._store.write(result, job, charged, now)
        finally:
            self._give(result, charged)
            self._watch_health(error)

    def _give(self, result: BatchResult[RowT], credits: int) -> None:
        self._meter.count(result, credits)
        if result.error is not None and self._rules.raises and not result.restored:
            result.error.add_context(f"this was row {result.index}")
            self.end("error", result.error)
        else:
            self._ready[result.index] = result

    def _watch_health(self, error: EnpromptaError | None) -> None:
        self._consecutive_outages = self._consecutive_outages + 1 if isinstance(error, OUTAGE_ERRORS) else 0
        if error is not None and self._consecutive_outages >= self._rules.max_consecutive_outages:
            error.add_context(f"so ended {self._consecutive_outages} rows in succession, and the run stops")
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
        # A run that was ended has gaps where rows were given up. What came after them was paid for, and is given too.
        return min(self._ready) if self.ending is not None and self.in_flight == 0 else None

    def _settle(self) -> None:
        if self.exhausted and self.ending is None and not self._queue and self.in_flight == 0:
            self.ending = "completed"


def _failure(job: RowTask[Any], execution: Execution) -> ExecutionFailedError | None:
    if execution.status != "failed":
        return None
    told = f": {execution.error}" if execution.error else ""
    return ExecutionFailedError(
        f"row {job.index} was executed as {execution.id} and its provider failed{told}", execution=execution
    )


def _credits(error: EnpromptaError | None) -> int:
    """Tell whether a row was charged; 1 too when nobody knows, as without an answer or with a 5xx."""
    if isinstance(error, APIStatusError):
        return int(isinstance(error, InternalServerError))
    if isinstance(error, APIConnectionError):
        return int(bool(error.attempts))  # none: it waited for the request budget until its deadline
    return int(not isinstance(error, (ExecutionFailedError, ConfigurationError)))
