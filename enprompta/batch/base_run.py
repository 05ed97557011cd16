"""The common part of blocking and async runs: the components of a run and its state."""

from __future__ import annotations

import secrets
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from enprompta._common.clock import monotonic
from enprompta._core.arguments import own_code
from enprompta._core.prompt_versions import check_version, expected_version
from enprompta._core.tracebacks import shorten
from enprompta._core.unset import UNSET
from enprompta.batch import options as opts
from enprompta.batch.budget import SpendTracker
from enprompta.batch.call_tracker import CallTracker
from enprompta.batch.checkpoint import Checkpoint, NoCheckpoint
from enprompta.batch.errors import CheckpointError, RowError
from enprompta.batch.progress import Meter, Reporter
from enprompta.batch.results import BatchResult, Progress
from enprompta.batch.row_calls import CallTemplate
from enprompta.batch.row_files import Rows
from enprompta.batch.row_outputs import RowOutputs
from enprompta.batch.scheduler import RowScheduler, SchedulingRules
from enprompta.errors import ConfigurationError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enprompta._core.call import Call
    from enprompta._core.runner import Answered, StepRunner
    from enprompta._core.steps import Steps
    from enprompta.batch.call_tracker import TrackedCall
    from enprompta.batch.checkpoint import Store
    from enprompta.batch.progress_bar import Bar
    from enprompta.batch.row_calls import RowTask, Variables
    from enprompta.batch.scheduler import Ending
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")
ClientT = TypeVar("ClientT", bound="StepRunner")
clock: Callable[[], float] = monotonic

_REORDER = 8  # results that may wait for an earlier one, per row in flight


class Run(Generic[RowT, ClientT]):
    """The components of a run, without I/O; `BatchRun` and `AsyncBatchRun` drive them."""

    _threads: bool
    """True if calls are made in threads, False if in tasks."""

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
        self._template: CallTemplate[RowT] = CallTemplate(
            call,
            variables,
            options.get("run_id") or secrets.token_hex(16),
            skip_nulls=isinstance(rows, Rows),
        )
        self._first: int = options.get("first_index", 0)
        self._template.check(rows, self._first)
        self._outputs = RowOutputs(options.get("output"), options.get("repair", 0))
        expected = options.get("expect_version", UNSET)
        self._expected = None if expected is UNSET else expected_version(expected)
        self._tracker = CallTracker(sliced=self._threads)
        self._client = client.with_options(**opts.client_options(options))
        self._row_steps = self._outputs.steps_of(self._client, self._template)
        self._concurrency: int = options.get("concurrency", 16)
        self._started = False
        self._store: Store = NoCheckpoint()
        self._scheduler = self._make_scheduler()
        self._reporter = Reporter([])
        self._bar: Bar | None = None

    @property
    def run_id(self) -> str:
        """The id that the rows' idempotency keys are derived from; the checkpoint's, once the run has started."""
        return self._template.run_id

    @property
    def ending(self) -> Ending | None:
        """Why the run stopped: `completed`, `budget`, `error` or `closed`; None while rows are started."""
        return self._scheduler.ending

    @property
    def progress(self) -> Progress:
        """The progress of the run."""
        in_flight = min(self._scheduler.in_flight, self._concurrency)
        return self._meter.read(clock(), in_flight=in_flight, waiting=self._tracker.waiting())

    @property
    def resume_hint(self) -> str:
        """How to resume the run, in a sentence; empty if it is complete."""
        if self.ending == "completed":
            return ""
        now = self.progress
        of = "" if now.total is None else f" of {now.total}"
        ended = f"{now.done + now.failed}{of} rows have ended"
        checkpoint = self._options.get("checkpoint")
        if checkpoint is not None:
            return f"{ended}; run again with checkpoint={str(checkpoint)!r} to resume"
        return (
            f"{ended}; without a checkpoint the next run starts over. With run_id={self.run_id!r} and the same "
            "rows, rows executed lately are not charged again"
        )

    def __repr__(self) -> str:
        state = self.ending or ("running" if self._started else "not started")
        return f"<{type(self).__name__} {self.run_id} of {self._template.path}, {state}>"

    def _make_scheduler(self) -> RowScheduler[RowT]:
        get, concurrency, spent = self._options.get, self._concurrency, self._store.spent
        total: int | None = get("total")
        if total is None and isinstance(self._rows, Sized):
            with own_code("rows", self._rows):
                total = len(self._rows)
        # Each worker has one more row ready. Threads take it from a queue, so there those rows count as started.
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
        spend = SpendTracker(
            get("budget"),
            credits=spent.credits,
            usd=spent.usd,
            highest_cost=spent.highest_cost,
            executed=spent.executed,
            credits_per_row=self._outputs.credits_per_row,
        )
        return RowScheduler(rules, spend, self._store, self._meter, self._outputs)

    def _start_once(self) -> None:
        """Mark the run as started.

        Raises:
            ConfigurationError: The run was started before.
        """
        if self._started:
            raise ConfigurationError(
                "a run can be iterated only once: call execute_many() again, with the same checkpoint"
            )
        self._started = True

    def _open_parts(self) -> None:
        """Open the checkpoint and the progress bar; `_close_parts` closes them, even if this fails.

        Raises:
            CheckpointError: The checkpoint belongs to another run, or cannot be used.
            ConfigurationError: `progress` is True, and rich is not installed.
        """
        callbacks: list[Callable[[Progress], object]] = []
        if (on_progress := self._options.get("on_progress")) is not None:
            callbacks.append(on_progress)
        if self._options.get("progress"):
            from enprompta.batch.progress_bar import Bar  # noqa: PLC0415 (rich is an extra)

            self._bar = Bar()
            callbacks.append(self._bar.update)
        self._reporter = Reporter(callbacks)
        if (checkpoint := self._options.get("checkpoint")) is not None:
            self._store = Checkpoint(checkpoint, self._template, fixed=self._fixed)
        self._scheduler = self._make_scheduler()
        if isinstance(self._rows, Sized):
            self._store.check_number(self._first + len(self._rows))

    def _take(self, row: RowT) -> None:
        """Hand a row to the scheduler."""
        index = self._first + self._scheduler.taken
        try:
            task: RowTask[RowT] | BatchResult[RowT] = self._template.task(index, row)
        except RowError as error:
            task = BatchResult(index, row, error.variables, None, error)
        self._scheduler.take(task)

    def _steps(self, task: RowTask[RowT], tracked: TrackedCall) -> Steps[Answered[Execution]]:
        """Return the steps of a row's call, for the client to perform."""
        return self._tracker.watch(self._row_steps(task), tracked)

    def _version_steps(self) -> Steps[None]:
        """Return the steps that check the prompt's version, before the first row is sent."""
        expected, versions = self._expected, self._client.prompt_versions
        if expected is not None:
            yield from self._client.flow_steps(check_version(versions, self._template.prompt_id, expected, {}))

    def _finish(self, task: RowTask[RowT], outcome: Any) -> None:  # noqa: ANN401 (an answer or an error)
        """Hand the outcome of a row to the scheduler; if it cannot be saved, the run ends."""
        if isinstance(outcome, EnpromptaError):
            shorten(outcome)
        try:
            self._scheduler.finish(task, outcome, clock())
        except EnpromptaError as error:
            self._end("error", error)

    def _end(self, why: Ending, error: BaseException | None = None) -> None:
        """Stop starting rows."""
        self._scheduler.end(why, error)

    def _fail(self, error: BaseException) -> None:
        """End the run with an error, such as one of the caller's rows or callback, or of the checkpoint."""
        self._end("error", error)

    def _tick(self) -> None:
        """Do the periodic work: flush the checkpoint and report progress."""
        self._store.flush(now := clock())
        if self._reporter.due(now):
            self._reporter.report(self.progress, now)

    def _close_parts(self) -> None:
        """Close everything that `_open_parts` opened, even if one part fails; closing again does nothing."""
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
        """Return the error that ended the run, with the hint how to resume; None if there is none."""
        error = self._scheduler.error
        if isinstance(error, EnpromptaError) and not isinstance(error, CheckpointError) and self._scheduler.taken:
            error.add_context(self.resume_hint)
        return error
