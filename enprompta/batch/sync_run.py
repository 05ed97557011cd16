"""The driver of a run in the blocking client: calls in threads, everything else in the caller's thread."""

from __future__ import annotations

import atexit
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

from enprompta._core.tracebacks import shorten
from enprompta.batch.base_run import RowT, Run
from enprompta.batch.call_tracker import CallCancelled, TrackedCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from enprompta._core.call import Call
    from enprompta._core.runner import SyncStepRunner
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import RowTask, Variables
    from enprompta.models.executions import Execution

_LOOK_EVERY = 0.05  # seconds between two looks at what is to be done now and then, while waiting for results


class BatchRun(Run[RowT, "SyncStepRunner"]):
    """A run of the blocking client: iterate it for results, once.

    Rows are taken, `variables` and `on_progress` called, and results given, all in the thread that iterates; only the
    calls themselves are made in other threads. Leaving the loop, or the `with` block, ends the run: no row is started
    any more, those on the way to the API are waited for and kept in the checkpoint, those that still wait are given up.

    Raises:
        InsufficientTokensError: The plan's tokens are used up. This and the next ones end the run, after the results of
            the rows under way; each says how to go on.
        AuthenticationError: The key is not valid.
        PermissionDeniedError: The plan or the key may not do this.
        NotFoundError: There is no such prompt.
        RateLimitError: The request budget is used up for longer than the client's `max_wait`.
        APIError: The service did not answer many rows in succession.
        CheckpointError: The checkpoint is of another prompt or of other rows, is in use, or cannot be written.
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
        self._jobs: SimpleQueue[RowTask[RowT] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[tuple[RowTask[RowT], Any]] = SimpleQueue()
        self._workers: list[Thread] = []
        self._closed = False

    def __iter__(self) -> Iterator[BatchResult[RowT]]:
        """Start, and give results until there are no more."""
        self._begin_once()
        try:
            self._open_parts()
            atexit.register(self.close)  # before the interpreter freezes the threads that are waited for
            self._input = iter(cast("Iterable[RowT]", self._rows))
            yield from self._results()
        finally:
            try:
                self.close()
            finally:  # Ctrl-C may have come before its first line
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
        """End the run: wait for the rows on their way, write the checkpoint. Closing again does nothing.

        Ctrl-C may have come between any two lines, here too. So nothing here trusts a count, a row that was lost from
        sight is one that the API will answer again, and what was cut off is done when `close` is called again.
        """
        try:
            if self._closed or not self._begun:
                return
            self._end("closed")
            self._give_up()
            self._dismiss()
            for worker in self._workers:
                with suppress(RuntimeError):  # it was never started
                    worker.join()
            while not self._outcomes.empty():
                self._finish(*self._outcomes.get())
            self._engine.abandon()
            self._close_parts()
        except BaseException:  # who presses Ctrl-C while a run ends does not want to wait for it
            self._dismiss()
            self._close_parts()
            self._closed = True
            raise
        atexit.unregister(self.close)
        self._closed = True

    def _dismiss(self) -> None:
        """Tell the workers to end, without waiting for them."""
        for _ in self._workers:
            self._jobs.put(None)

    def _results(self) -> Iterator[BatchResult[RowT]]:
        engine = self._engine
        while not engine.is_done:
            if not self._closed:  # as it may have been inside of the loop
                self._advance()
            if (result := engine.pop()) is not None:
                yield result

    def _advance(self) -> None:
        """Do one round of the work."""
        try:
            self._feed()
            self._tick()
            self._collect()
        except Exception as error:  # noqa: BLE001 (from the caller's rows or callback, or the checkpoint)
            self._end("error", error)
        if self._engine.ending is not None:
            self._give_up()

    def _feed(self) -> None:
        """Take rows and start them: as many as there is room for, but one only when somebody waits for a result."""
        engine = self._engine
        while True:
            while (job := engine.start()) is not None:
                self._send(job)
            if not engine.wants_row:
                return
            try:
                row = next(self._input)
            except StopIteration:
                engine.end_of_input()
                return
            self._take(row)
            if engine.has_result:
                return

    def _send(self, job: RowTask[RowT]) -> None:
        if len(self._workers) < min(self._concurrency, self._engine.in_flight):
            worker = Thread(target=copy_context().run, args=(self._work,), name="enprompta-batch", daemon=True)
            self._workers.append(worker)
            worker.start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                outcome = self._client.drive(self._steps(job, TrackedCall()))
            except BaseException as error:  # noqa: BLE001 (the engine decides what it means)
                outcome = error
            self._outcomes.put((job, outcome))

    def _collect(self) -> None:
        """Take in what has ended; wait for something when there is nothing to give."""
        engine = self._engine
        if engine.in_flight and not engine.has_result:
            try:
                self._finish(*self._outcomes.get(timeout=_LOOK_EVERY))
            except Empty:
                return
        while not self._outcomes.empty():
            self._finish(*self._outcomes.get())

    def _give_up(self) -> None:
        """Give up what is not on its way, so that the run ends soon."""
        self._gate.close()
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is not None:
                self._finish(job, CallCancelled())
