"""The driver of async runs: calls in tasks, on asyncio and trio.

The run's tasks live in a task group inside a separate main task, which ends with the run or the event loop. The main
task is started outside the caller's task groups, because leaving an iterator with `break` would not close a group.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, cast

import anyio
import anyio.lowlevel

from enprompta._common.event_loop import current_loop, is_asyncio, sleep
from enprompta._core.tracebacks import shorten
from enprompta.batch.base_run import RowT, Run
from enprompta.batch.call_tracker import CallCancelled, TrackedCall
from enprompta.batch.results import ExecutionT
from enprompta.batch.worker_tasks import PlainTasks
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from typing_extensions import Self

    from enprompta._common.event_loop import Loop
    from enprompta._core.call import Call
    from enprompta._core.runner import AsyncStepRunner
    from enprompta.batch.call_tracker import Cancellable
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import Variables
    from enprompta.batch.scheduler import Ending
    from enprompta.models.executions import Execution

_TICK_SECONDS = 0.05  # seconds between two rounds of periodic work
_ROWS_PER_TURN = 64  # rows read in succession before other tasks run
_END: Any = object()
_CANCELLED = CallCancelled()


class _Signal:
    """Wakes the task that waits for it, if there is one."""

    def __init__(self) -> None:
        self.waiter: anyio.Event | None = None
        """Wakes the waiting task; None if no task waits."""
        self._kind: type[anyio.Event] | None = None  # of this event loop; finding it takes longer than the rest

    def set(self) -> None:
        if (waiter := self.waiter) is not None:
            self.waiter = None
            waiter.set()

    async def wait(self) -> None:
        if self._kind is None:
            self._kind = type(anyio.Event())
        self.waiter = waiter = self._kind()
        await waiter.wait()


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
        self._close_error: BaseException | None = None
        self.end_soon: Callable[[], None] = _nothing
        """Ends the run from any thread, without waiting."""

    def __aiter__(self) -> AsyncIterator[BatchResult[RowT, ExecutionT]]:
        """Return an iterator over the results; the run starts with the first `anext`."""
        return _Results(self, self._ready)

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
        while (result := self._ready()) is None:
            if self._scheduler.is_done:
                await self._until_ended()
                raise self._failure() or StopAsyncIteration
            await self._result_ready.wait()
        return result

    def _ready(self) -> BatchResult[RowT, ExecutionT] | None:
        """Return the next result if there is one already, without waiting."""
        if (result := self._scheduler.pop()) is not None:
            self._refill()
        return cast("BatchResult[RowT, ExecutionT] | None", result)

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
                    with self._errors_to_loop():
                        await self._client.drive(self._version_steps())
                    on_asyncio = is_asyncio(current_loop())
                    serve, tick = self._serve_in_task, self._tick_forever
                    if not on_asyncio:  # Ctrl-C is for the caller's task
                        protected = sys.modules["trio"].lowlevel.enable_ki_protection
                        serve, tick = protected(self._serve_in_scope), protected(tick)
                    group.start_soon(tick)
                    async with PlainTasks() if on_asyncio else anyio.create_task_group() as workers:
                        with anyio.CancelScope() as self._input_scope:
                            await self._feed(partial(workers.start_soon, serve))
                    group.cancel_scope.cancel()
        finally:
            self._end("closed")
            try:
                self._close_parts()
            except BaseException as error:  # noqa: BLE001 (`_until_ended` raises it)
                self._close_error = error
            finally:
                self._ended.set()

    @contextmanager
    def _errors_to_loop(self) -> Generator[None]:
        """End the run with an exception of the block, such as one of the caller's rows, for the loop to raise."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (of any class)
            self._fail(error)
        except BaseException as error:
            has_ended = self._scheduler.ending is not None  # then no loop raises it
            if not has_ended:
                self._fail(error)
            if has_ended or isinstance(error, (GeneratorExit, anyio.get_cancelled_exc_class())):
                raise

    async def _feed(self, start_worker: Callable[[], object]) -> None:
        """Take rows while slots are free, and wake a worker for each."""
        scheduler = self._scheduler
        with self._errors_to_loop():
            rows = cast("Iterable[RowT] | AsyncIterable[RowT]", self._rows)
            slow, quick = (aiter(rows), iter(())) if isinstance(rows, AsyncIterable) else (None, iter(rows))
            while scheduler.ending is None and not scheduler.exhausted:
                if not (room := scheduler.room):
                    await self._slot_free.wait()
                while room and scheduler.ending is None:
                    if (row := next(quick, _END) if slow is None else await anext(slow, _END)) is _END:
                        scheduler.end_of_input()
                        break
                    self._take(row)
                    self._wake_worker(start_worker)
                    room -= 1
                    if scheduler.taken % _ROWS_PER_TURN == 0:
                        await anyio.lowlevel.checkpoint()
        if scheduler.ending is not None:
            self._end(scheduler.ending)

    def _refill(self) -> None:
        """Wake the task that reads rows if it waits and it is time for more."""
        if self._slot_free.waiter is not None and self._scheduler.should_refill:
            self._slot_free.set()

    def _wake_worker(self, start_worker: Callable[[], object]) -> None:
        """Wake or start a worker for a row that was taken."""
        if self._result_ready.waiter is not None and self._scheduler.has_result:
            self._result_ready.set()
        if not (self._idle or self._workers < self._concurrency) or not self._scheduler.has_queue:
            return
        if self._idle:
            self._idle.pop().set()
        else:
            self._workers += 1
            start_worker()

    async def _serve_in_scope(self) -> None:
        with anyio.CancelScope() as scope:
            await self._serve(scope)

    async def _serve_in_task(self) -> None:
        await self._serve(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _serve(self, scope: Cancellable) -> None:
        """Execute rows until the run ends.

        Args:
            scope: Cancelled when the run ends while no request is in flight.
        """
        scheduler = self._scheduler
        with self._errors_to_loop():
            while True:
                task = scheduler.start()
                self._refill()
                if task is not None:
                    outcome: object = _CANCELLED
                    try:
                        outcome = await self._client.drive(self._steps(task, TrackedCall(scope)))
                    except (Exception, CallCancelled) as error:  # noqa: BLE001 (the scheduler handles it)
                        outcome = error
                    finally:  # also after cancellation
                        self._finish(task, outcome)
                        self._result_ready.set()
                if scheduler.ending is not None:
                    self._end(scheduler.ending)
                    return
                if task is None:
                    self._idle.append(woken := anyio.Event())
                    await woken.wait()
                elif self._idle and scheduler.has_queue:  # the budget may allow two more rows now
                    self._idle.pop().set()

    async def _tick_forever(self) -> None:
        """Do the periodic work until cancelled."""
        while True:
            await sleep(_TICK_SECONDS)
            with self._errors_to_loop():
                self._tick()


class _Results(AsyncIterator["BatchResult[RowT, ExecutionT]"]):
    """The iterator that `async for` holds; when it is released, such as by `break`, the run ends."""

    def __init__(
        self, run: AsyncBatchRun[RowT, ExecutionT], ready: Callable[[], BatchResult[RowT, ExecutionT] | None]
    ) -> None:
        self._run = run
        self._ready = ready  # returns a result without waiting, and without another coroutine

    async def __anext__(self) -> BatchResult[RowT, ExecutionT]:
        try:
            return self._ready() or await self._run.next()
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


def _nothing() -> None:
    """End a run that has not started."""


def _ender(loop: Loop, end: Callable[[Ending], None]) -> Callable[[], None]:
    """Return a function that ends a run from any thread, because the garbage collector may run in any."""
    soon = loop.call_soon_threadsafe if is_asyncio(loop) else loop.run_sync_soon

    def end_soon() -> None:
        with suppress(RuntimeError):  # the event loop has ended, and the run with it
            soon(end, "closed")

    return end_soon
