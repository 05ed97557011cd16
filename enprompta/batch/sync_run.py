"""The driver of blocking runs: calls in threads, everything else in the caller's thread."""

from __future__ import annotations

import atexit
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Generic, cast

from enprompta._common.handler_errors import errors_to
from enprompta._core.tracebacks import shorten
from enprompta.batch.base_run import RowT, Run
from enprompta.batch.call_tracker import CallCancelled, TrackedCall
from enprompta.batch.results import ExecutionT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from enprompta._core.call import Call
    from enprompta._core.runner import SyncStepRunner
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import RowTask, Variables
    from enprompta.models.executions import Execution

_TICK_SECONDS = 0.05  # seconds between two rounds of periodic work, while waiting for results


class BatchRun(Run[RowT, "SyncStepRunner"], Generic[RowT, ExecutionT]):
    """A run of the blocking client; iterate it once for its results.

    Rows are read, `variables` and `on_progress` are called, and results are returned in the thread that iterates. Only
    the calls are made in other threads. Leaving the loop or the `with` block ends the run: no further row is started,
    requests in flight are awaited and saved in the checkpoint, and rows that are still waiting are cancelled.

    Raises:
        InsufficientTokensError: The plan has no credits left. This error and the following ones end the run after the
            results of the rows in flight; each message says how to resume.
        AuthenticationError: The API key is invalid.
        PermissionDeniedError: The plan or the API key does not permit this.
        NotFoundError: The prompt does not exist.
        RateLimitError: The rate limit resets later than the client's `max_wait` allows.
        APIError: Many rows in succession failed because of an outage.
        CheckpointError: The checkpoint belongs to another prompt or other rows, is in use, or cannot be written.
    """

    _threads = True

    def __init__(
        self,
        client: SyncStepRunner,
        call: Call[Execution],
        rows: Iterable[RowT],
        variables: Variables[RowT] = None,
        **options: Any,  # noqa: ANN401 (`execute_many` has the types)
    ) -> None:
        super().__init__(client, call, rows, variables, options)
        self._input: Iterator[RowT] = iter(())
        self._tasks: SimpleQueue[RowTask[RowT] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[tuple[RowTask[RowT], Any]] = SimpleQueue()
        self._workers: list[Thread] = []
        self._closed = False

    def __iter__(self) -> Iterator[BatchResult[RowT, ExecutionT]]:
        """Start the run and yield its results."""
        self._start_once()
        try:
            self._open_parts()
            atexit.register(self.close)  # at exit, close before the interpreter freezes the worker threads
            self._client.drive(self._version_steps())
            self._input = iter(cast("Iterable[RowT]", self._rows))
            yield from cast("Iterator[BatchResult[RowT, ExecutionT]]", self._results())
        finally:
            try:
                self.close()
            finally:  # Ctrl-C may have interrupted it before its first line
                self.close()
        if (error := self._failure()) is not None:
            shorten(error)
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the run: wait for requests in flight and write the checkpoint. Closing again does nothing.

        Ctrl-C may interrupt any line, here too. So no count is trusted, a row whose result was lost is one that the API
        answers again, and a second call of `close` completes an interrupted one.
        """
        try:
            if self._closed or not self._started:
                return
            self._end("closed")
            self._cancel_waiting()
            self._stop_workers()
            for worker in self._workers:
                with suppress(RuntimeError):  # the thread was never started
                    worker.join()
            while not self._outcomes.empty():
                self._finish(*self._outcomes.get())
            self._scheduler.abandon()
            self._close_parts()
        except BaseException:  # Ctrl-C while a run ends means: do not wait for it
            self._stop_workers()
            self._close_parts()
            self._closed = True
            raise
        atexit.unregister(self.close)
        self._closed = True

    def _stop_workers(self) -> None:
        """Ask the workers to stop, without waiting for them."""
        for _ in self._workers:
            self._tasks.put(None)

    def _results(self) -> Iterator[BatchResult[RowT]]:
        scheduler = self._scheduler
        while not scheduler.is_done:
            if not self._closed:  # the caller may have closed it inside the loop
                self._advance()
            if (result := scheduler.pop()) is not None:
                yield result

    def _advance(self) -> None:
        """Do one round: read rows, do the periodic work, collect outcomes."""
        with errors_to(self._fail):
            self._feed()
            self._tick()
            self._collect()
        if self._scheduler.ending is not None:
            self._cancel_waiting()

    def _feed(self) -> None:
        """Take rows and start them while slots are free; return early once a result is ready."""
        scheduler = self._scheduler
        while True:
            while (task := scheduler.start()) is not None:
                self._send(task)
            if not scheduler.room:
                return
            try:
                row = next(self._input)
            except StopIteration:
                scheduler.end_of_input()
                return
            self._take(row)
            if scheduler.has_result:
                return

    def _send(self, task: RowTask[RowT]) -> None:
        if len(self._workers) < min(self._concurrency, self._scheduler.in_flight):
            worker = Thread(target=copy_context().run, args=(self._work,), name="enprompta-batch", daemon=True)
            self._workers.append(worker)
            worker.start()
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                outcome = self._client.drive(self._steps(task, TrackedCall()))
            except BaseException as error:  # noqa: BLE001 (the scheduler handles it)
                outcome = error
            self._outcomes.put((task, outcome))

    def _collect(self) -> None:
        """Collect the outcomes of calls; wait for one if no result is ready."""
        scheduler = self._scheduler
        if scheduler.in_flight and not scheduler.has_result:
            try:
                self._finish(*self._outcomes.get(timeout=_TICK_SECONDS))
            except Empty:
                return
        while not self._outcomes.empty():
            self._finish(*self._outcomes.get())

    def _cancel_waiting(self) -> None:
        """Cancel rows without a request in flight, so that the run ends soon."""
        self._tracker.close()
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return
            if task is not None:
                self._finish(task, CallCancelled())
