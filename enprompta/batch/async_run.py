"""The driver of async runs: calls in tasks, on asyncio and trio.

The run's tasks live in a task group inside a separate main task, which ends with the run or the event loop. The main
task is started outside the caller's task groups, because leaving an iterator with `break` would not close a group.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, cast

import anyio
import anyio.lowlevel

from enprompta._common.event_loop import current_loop, is_asyncio, sleep
from enprompta._common.handler_errors import errors_to
from enprompta._core.tracebacks import shorten
from enprompta.batch.base_run import RowT, Run
from enprompta.batch.call_tracker import CallCancelled, TrackedCall
from enprompta.batch.results import ExecutionT
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from enprompta._common.event_loop import Loop
    from enprompta._core.call import Call
    from enprompta._core.runner import AsyncStepRunner
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import RowTask, Variables
    from enprompta.batch.scheduler import Ending
    from enprompta.models.executions import Execution

_TICK_SECONDS = 0.05  # seconds between two rounds of periodic work
_ROWS_PER_TURN = 64  # rows read in succession before other tasks run
_END: Any = object()


class _Signal:
    """Wakes one waiting task; a signal set before the wait is kept."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._kind: type[anyio.Event] | None = None  # of this event loop; finding it takes longer than the rest
        self._set = False

    def set(self) -> None:
        self._set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        if not self._set:
            if self._kind is None:
                self._kind = type(anyio.Event())
            self._event = self._kind()
            await self._event.wait()
            self._event = None
        self._set = False


class AsyncBatchRun(Run[RowT, "AsyncStepRunner"], Generic[RowT, ExecutionT]):
    """A run of the async client; iterate it once with `async for`. `BatchRun` documents how it ends and what it raises.

    Rows come from an iterable or an async iterable. Leaving the `async with` block ends the run and waits for requests
    in flight. Leaving the loop without such a block ends the run too, and those requests complete in the background.
    Cancelling the iterating task cancels them; they are not charged again when the run is resumed.
    """

    _threads = False

    def __init__(
        self,
        client: AsyncStepRunner,
        call: Call[Execution],
        rows: Iterable[RowT] | AsyncIterable[RowT],
        variables: Variables[RowT] = None,
        **options: Any,  # noqa: ANN401 (`execute_many` has the types)
    ) -> None:
        super().__init__(client, call, rows, variables, options)
        self._slot_free = _Signal()  # wakes the task that reads rows: a slot may be free
        self._result_ready = _Signal()  # wakes the caller: a result may be ready
        self._idle: list[anyio.Event] = []  # events that wake idle workers
        self._workers = 0
        self._run_scope: anyio.CancelScope | None = None  # of the whole run
        self._input_scope: anyio.CancelScope | None = None  # of reading rows
        self._ended: Any = None
        self._close_error: Exception | None = None
        self.end_soon: Callable[[], None] = _nothing
        """Ends the run from any thread, without waiting."""

    def __aiter__(self) -> AsyncIterator[BatchResult[RowT, ExecutionT]]:
        """Return an iterator over the results; the run starts with the first `anext`."""
        return _Results(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None or isinstance(exc, Exception):
            await self.aclose()
        else:
            await self.cancel()

    async def aclose(self) -> None:
        """End the run: wait for requests in flight and write the checkpoint. Closing again does nothing."""
        self._end("closed")
        await self._until_ended()

    async def cancel(self) -> None:
        """End the run immediately: cancel requests in flight too, and write the checkpoint."""
        self._end("closed")
        if self._run_scope is not None:
            self._run_scope.cancel()
        await self._until_ended()

    async def next(self) -> BatchResult[RowT, ExecutionT]:
        """Return the next result, for `async for`.

        Raises:
            StopAsyncIteration: No result is left.
        """
        if self._ended is None:
            self._start()
        scheduler = self._scheduler
        while (result := scheduler.pop()) is None:
            if scheduler.is_done:
                await self._until_ended()
                raise self._failure() or StopAsyncIteration
            await self._result_ready.wait()
        if scheduler.should_refill:
            self._slot_free.set()
        return cast("BatchResult[RowT, ExecutionT]", result)

    def _start(self) -> None:
        self._start_once()
        try:
            self._open_parts()
        except BaseException:
            self._close_parts()
            raise
        self._ended = anyio.Event()
        loop = current_loop()
        if is_asyncio(loop):
            self._main_task = loop.create_task(self._work(), name="enprompta-batch")
        else:
            sys.modules["trio"].lowlevel.spawn_system_task(self._work, name="enprompta-batch", context=copy_context())
        self.end_soon = _ender(loop, self._end)

    def _end(self, why: Ending, error: BaseException | None = None) -> None:
        super()._end(why, error)
        self._tracker.close()
        if self._input_scope is not None:
            self._input_scope.cancel()
        while self._idle:
            self._idle.pop().set()
        self._result_ready.set()

    async def _until_ended(self) -> None:
        if self._ended is not None:
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
        if (error := self._close_error) is not None:
            self._close_error = None
            raise error

    async def _work(self) -> None:
        """The run's main task. It never raises, because no caller would see the error."""
        try:
            with anyio.CancelScope() as self._run_scope:
                async with anyio.create_task_group() as group:
                    await self._check_version()
                    group.start_soon(self._tick_forever)
                    async with anyio.create_task_group() as workers:
                        with anyio.CancelScope() as self._input_scope:
                            await self._feed(workers.start_soon)
                    group.cancel_scope.cancel()
        finally:
            self._end("closed")
            with errors_to(self._keep_close_error):
                self._close_parts()
            self._ended.set()

    def _keep_close_error(self, error: Exception) -> None:
        self._close_error = error  # raised by `_until_ended`

    async def _check_version(self) -> None:
        try:
            await self._client.drive(self._version_steps())
        except EnpromptaError as error:
            self._end("error", error)

    async def _feed(self, start_soon: Callable[..., object]) -> None:
        """Take rows while slots are free, and wake a worker for each."""
        scheduler = self._scheduler
        with errors_to(self._fail):
            source = _Source(cast("Iterable[RowT] | AsyncIterable[RowT]", self._rows))
            while scheduler.ending is None and not scheduler.exhausted:
                if not scheduler.wants_row:
                    await self._slot_free.wait()
                elif (row := await source.take()) is _END:
                    scheduler.end_of_input()
                else:
                    self._take(row)
                    self._wake_worker(start_soon)
        self._stop_if_ended()

    def _wake_worker(self, start_soon: Callable[..., object]) -> None:
        """Wake or start a worker for a row that was taken."""
        if self._scheduler.has_result:
            self._result_ready.set()
        if not self._scheduler.has_queue:
            return
        if self._idle:
            self._idle.pop().set()
        elif self._workers < self._concurrency:
            self._workers += 1
            start_soon(self._serve)

    async def _serve(self) -> None:
        """Execute rows until the run ends."""
        scheduler = self._scheduler
        with anyio.CancelScope() as scope:  # cancelled when the run ends while no request is in flight
            while True:
                task = scheduler.start()
                if scheduler.should_refill:
                    self._slot_free.set()
                if task is not None:
                    await self._execute(task, TrackedCall(scope))
                if self._stop_if_ended():
                    return
                if task is None:
                    self._idle.append(woken := anyio.Event())
                    await woken.wait()
                elif scheduler.has_queue and self._idle:  # the budget may allow two more rows now
                    self._idle.pop().set()

    async def _execute(self, task: RowTask[RowT], tracked: TrackedCall) -> None:
        outcome: object = CallCancelled()
        try:
            outcome = await self._client.drive(self._steps(task, tracked))
        except (Exception, CallCancelled) as error:  # noqa: BLE001 (the scheduler handles it)
            outcome = error
        finally:  # also after cancellation
            self._finish(task, outcome)
            self._result_ready.set()

    def _stop_if_ended(self) -> bool:
        """Notify all tasks if the scheduler has ended the run; return True if it has."""
        if (why := self._scheduler.ending) is None:
            return False
        self._end(why)
        return True

    async def _tick_forever(self) -> None:
        """Do the periodic work until cancelled."""
        while True:
            await sleep(_TICK_SECONDS)
            with errors_to(self._fail):
                self._tick()


class _Results(AsyncIterator["BatchResult[RowT, ExecutionT]"]):
    """The iterator that `async for` holds; when it is released, such as by `break`, the run ends."""

    def __init__(self, run: AsyncBatchRun[RowT, ExecutionT]) -> None:
        self._run = run

    async def __anext__(self) -> BatchResult[RowT, ExecutionT]:
        try:
            return await self._run.next()
        except EnpromptaError as error:
            shorten(error)
            raise error
        except Exception:
            raise
        except BaseException:  # the waiting task was cancelled
            await self._run.cancel()
            raise

    def __del__(self) -> None:
        self._run.end_soon()


class _Source(Generic[RowT]):
    """Reads rows from an iterable or an async iterable."""

    def __init__(self, rows: Iterable[RowT] | AsyncIterable[RowT]) -> None:
        self._async = aiter(rows) if isinstance(rows, AsyncIterable) else None
        self._sync = iter(()) if isinstance(rows, AsyncIterable) else iter(rows)
        self._taken = 0

    async def take(self) -> RowT:
        """Return the next row; `_END` if no row is left."""
        if self._async is not None:
            return await anext(self._async, _END)
        self._taken += 1
        if self._taken % _ROWS_PER_TURN == 0:
            await anyio.lowlevel.checkpoint()
        return next(self._sync, _END)


def _nothing() -> None:
    """End a run that has not started."""


def _ender(loop: Loop, end: Callable[[Ending], None]) -> Callable[[], None]:
    """Return a function that ends a run from any thread, because the garbage collector may run in any."""
    soon = loop.call_soon_threadsafe if is_asyncio(loop) else loop.run_sync_soon

    def end_soon() -> None:
        with suppress(RuntimeError):  # the event loop has ended, and the run with it
            soon(end, "closed")

    return end_soon
