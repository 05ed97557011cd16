"""What a run is in both clients: its parts, put together, and what it tells of itself."""

from __future__ import annotations

import secrets
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from enprompta._common.clock import monotonic
from enprompta._core.tracebacks import shorten
from enprompta.batch import options as opts
from enprompta.batch.budget import SpendTracker
from enprompta.batch.call_tracker import CallTracker
from enprompta.batch.checkpoint import Checkpoint, NoCheckpoint
from enprompta.batch.errors import CheckpointError, RowError
from enprompta.batch.progress import Meter, Reporter
from enprompta.batch.results import BatchResult, Progress
from enprompta.batch.row_calls import CallTemplate
from enprompta.batch.row_files import Rows
from enprompta.batch.scheduler import RowScheduler, SchedulingRules
from enprompta.errors import ConfigurationError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enprompta._core.call import Call
    from enprompta._core.runner import Answered, StepRunner
    from enprompta._core.steps import Steps
    from enprompta.batch.call_tracker import TrackedCall
    from enprompta.batch.checkpoint import Store
    from enprompta.batch.row_calls import RowTask, Variables
    from enprompta.batch.scheduler import Ending
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")
ClientT = TypeVar("ClientT", bound="StepRunner")
clock: Callable[[], float] = monotonic

_REORDER = 8  # results that may wait for an earlier one, for each row under way


class Run(Generic[RowT, ClientT]):
    """The parts of a run that need no I/O of their own; `BatchRun` and `AsyncBatchRun` drive them."""

    _threads: bool
    """Whether rows are under way in threads."""

    def __init__(
        self,
        client: ClientT,
        call: Call[Execution],
        rows: object,
        variables: Variables[RowT],
        options: Mapping[str, Any],
    ) -> None:
        opts.check_rows(rows, is_async=not self._threads)
        self._options = options
        self._rows = rows
        self._fixed = options.get("run_id") is not None
        self._spec: CallTemplate[RowT] = CallTemplate(
            call,
            variables,
            options.get("run_id") or secrets.token_hex(16),
            skip_nulls=isinstance(rows, Rows),
        )
        self._first: int = options.get("first_index", 0)
        self._spec.check(rows, self._first)
        self._gate = CallTracker(sliced=self._threads)
        self._client = client.with_options(**opts.client_options(options))
        self._concurrency: int = options.get("concurrency", 16)
        self._begun = False
        self._store: Store = NoCheckpoint()
        self._engine = self._make_engine()
        self._reporter = Reporter([])
        self._bar: Any = None

    @property
    def run_id(self) -> str:
        """What the rows' idempotency keys are made from; the checkpoint's, once the run has begun."""
        return self._spec.run_id

    @property
    def ending(self) -> Ending | None:
        """Why no row is started any more: `completed`, `budget`, `error` or `closed`; None while rows are."""
        return self._engine.ending

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        in_flight = min(self._engine.in_flight, self._concurrency)
        return self._meter.read(clock(), in_flight=in_flight, waiting=self._gate.waiting())

    @property
    def resume_hint(self) -> str:
        """What to do to go on where the run has stopped, in a sentence; empty when it is complete."""
        if self.ending == "completed":
            return ""
        now = self.progress
        of = "" if now.total is None else f" of {now.total}"
        ended = f"{now.done + now.failed}{of} rows have ended"
        checkpoint = self._options.get("checkpoint")
        if checkpoint is not None:
            return f"{ended}; run the same again with checkpoint={str(checkpoint)!r} to go on there"
        return (
            f"{ended}; without a checkpoint the run begins anew. With run_id={self.run_id!r} and the same rows, those "
            "executed lately are not charged again"
        )

    def __repr__(self) -> str:
        state = self.ending or ("running" if self._begun else "not begun")
        return f"<{type(self).__name__} {self.run_id} of {self._spec.path}, {state}>"

    def _make_engine(self) -> RowScheduler[RowT]:
        get, concurrency, spent = self._options.get, self._concurrency, self._store.spent
        total: int | None = get("total")
        if total is None and isinstance(self._rows, Sized):
            total = len(self._rows)
        # One more row each is ready for who is done with one. A thread cannot ask the engine, so for threads those rows
        # count as started.
        rules = SchedulingRules(
            slots=2 * concurrency if self._threads else concurrency,
            queue=1 if self._threads else concurrency,
            window=2 * concurrency * (_REORDER if get("ordered") else 2),
            first=self._first,
            ordered=get("ordered", False),
            raises=get("errors") == "raise",
            skips=get("skip_done", False),
            retries=get("retry_failed", True),
            max_consecutive_outages=max(20, 2 * concurrency),
        )
        self._meter = Meter(total, clock())
        ledger = SpendTracker(
            get("budget"),
            credits=spent.credits,
            usd=spent.usd,
            dearest=spent.dearest,
            executed=spent.executed,
        )
        return RowScheduler(rules, ledger, self._store, self._meter)

    def _begin_once(self) -> None:
        """Note that the run begins.

        Raises:
            ConfigurationError: It has begun before.
        """
        if self._begun:
            raise ConfigurationError("a run can be iterated once: call execute_many() again, with the same checkpoint")
        self._begun = True

    def _open_parts(self) -> None:
        """Open what a run needs; `_close_parts` closes it, however far this has come.

        Raises:
            CheckpointError: The checkpoint is of another run, or cannot be used.
            ConfigurationError: A bar is asked for and rich is not there.
        """
        tell: list[Callable[[Progress], object]] = []
        if (on_progress := self._options.get("on_progress")) is not None:
            tell.append(on_progress)
        if self._options.get("progress"):
            from enprompta.batch.progress_bar import Bar  # noqa: PLC0415 (rich is an extra)

            self._bar = Bar()
            tell.append(self._bar.update)
        self._reporter = Reporter(tell)
        if (checkpoint := self._options.get("checkpoint")) is not None:
            self._store = Checkpoint(checkpoint, self._spec, fixed=self._fixed)
        self._engine = self._make_engine()
        if isinstance(self._rows, Sized):
            self._store.check_number(self._first + len(self._rows))

    def _take(self, row: RowT) -> None:
        """Hand a row to the engine."""
        index = self._first + self._engine.taken
        try:
            job: RowTask[RowT] | BatchResult[RowT] = self._spec.job(index, row)
        except RowError as error:
            job = BatchResult(index, row, {}, None, error)
        self._engine.take(job)

    def _steps(self, job: RowTask[RowT], flight: TrackedCall) -> Steps[Answered[Execution]]:
        """Give the steps of a row's call, which the client's transport carries out as it does those of any call."""
        return self._gate.watch(self._client.steps(self._spec.call(job)), flight)

    def _finish(self, job: RowTask[RowT], outcome: Any) -> None:  # noqa: ANN401 (an answer, or what came instead)
        """Hand a row's end to the engine; what cannot be kept ends the run."""
        if isinstance(outcome, EnpromptaError):
            shorten(outcome)
        try:
            self._engine.finish(job, outcome, clock())
        except EnpromptaError as error:
            self._end("error", error)

    def _end(self, why: Ending, error: BaseException | None = None) -> None:
        """Start no row any more."""
        self._engine.end(why, error)

    def _tick(self) -> None:
        """Do what is to be done now and then: keep what has ended, and tell of the progress."""
        self._store.flush(now := clock())
        if self._reporter.due(now):
            self._reporter.report(self.progress, now)

    def _close_parts(self) -> None:
        """Close what `_open_parts` has opened, each part whatever comes of the others; closing again does nothing."""
        try:
            self._store.close()
        finally:
            reporter, self._reporter = self._reporter, Reporter([])
            try:
                reporter.report(self.progress, clock())
            finally:
                if self._bar is not None:
                    self._bar.close()

    def _failure(self) -> BaseException | None:
        """Give the error that the run ended with, telling how to go on."""
        error = self._engine.error
        if isinstance(error, EnpromptaError) and not isinstance(error, CheckpointError) and self._engine.taken:
            error.add_context(self.resume_hint)
        return error
