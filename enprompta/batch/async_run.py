"""The driver of a run in the async client: calls in tasks, on asyncio and on trio.

The run's tasks live in a task group inside one task of their own, which outlives neither the run nor the event loop. It
is started outside of any group of the caller's, for an iterator that is left by `break` closes no group.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, cast

from enprompta._common.event_loop import current_loop, sleep
from enprompta._core.tracebacks import shorten
from enprompta.batch.base_run import RowT, Run
from enprompta.batch.call_tracker import CallCancelled, TrackedCall
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from enprompta._core.call import Call
    from enprompta._core.runner import AsyncStepRunner
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import RowTask, Variables
    from enprompta.batch.scheduler import Ending
    from enprompta.models.executions import Execution

_LOOK_EVERY = 0.05  # seconds between two looks at what is to be done now and then
_TURN = 64  # rows taken in succession before other tasks get a turn
_END: Any = object()


class _Signal:
    """Wakes the one task that waits; a signal that comes before the wait is kept."""

    def __init__(self) -> None:
        self._event: Any = None
        self._set = False

    def set(self) -> None:
        self._set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        import anyio  # noqa: PLC0415 (httpx brings it and loads it with its first async request)

        if not self._set:
            self._event = anyio.Event()
            await self._event.wait()
            self._event = None
        self._set = False


class AsyncBatchRun(Run[RowT, "AsyncStepRunner"]):
    """A run of the async client: iterate it with `async for`, once; see `BatchRun` for how it ends and what it raises.

    Rows come from an iterable or an async iterable. Leaving the `async with` block ends the run and waits for the rows
    on their way; leaving the loop without such a block ends it too, and they end in the background. A task that is
    cancelled cancels them; what they were charged is not charged again when the run goes on.
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
        self._slot_free = _Signal()  # for who takes rows: there may be room for one
        self._result_ready = _Signal()  # for who takes results: there may be one
        self._idle: list[Any] = []  # what wakes workers that have nothing to do
        self._workers = 0
        self._all: Any = None  # the scope of everything that the run does
        self._taking: Any = None  # the scope of taking rows
        self._ended: Any = None
        self._unkept: Exception | None = None
        self.end_soon: Callable[[], None] = _nothing
        """Ends the run from anywhere, without waiting."""

    def __aiter__(self) -> AsyncIterator[BatchResult[RowT]]:
        """Give results until there are no more; the run starts when the first one is asked for."""
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
        """End the run: wait for the rows on their way, write the checkpoint. Closing again does nothing."""
        self._end("closed")
        await self._until_ended()

    async def cancel(self) -> None:
        """End the run at once: rows on their way are cancelled too; the checkpoint is written."""
        self._end("closed")
        if self._all is not None:
            self._all.cancel()
        await self._until_ended()

    async def next(self) -> BatchResult[RowT]:
        """Give the next result; what `async for` asks for.

        Raises:
            StopAsyncIteration: There are no more.
        """
        if self._ended is None:
            self._start()
        engine = self._engine
        while (result := engine.pop()) is None:
            if engine.is_done:
                await self._until_ended()
                raise self._failure() or StopAsyncIteration
            await self._result_ready.wait()
        if engine.should_refill:
            self._slot_free.set()
        return result

    def _start(self) -> None:
        import anyio  # noqa: PLC0415

        self._begin_once()
        try:
            self._open_parts()
        except BaseException:
            self._close_parts()
            raise
        self._ended = anyio.Event()
        loop = current_loop()
        if isinstance(loop, asyncio.AbstractEventLoop):
            self._task = loop.create_task(self._work(), name="enprompta-batch")
        else:
            sys.modules["trio"].lowlevel.spawn_system_task(self._work, name="enprompta-batch", context=copy_context())
        self.end_soon = _ender(loop, self._end)

    def _end(self, why: Ending, error: BaseException | None = None) -> None:
        super()._end(why, error)
        self._gate.close()
        if self._taking is not None:
            self._taking.cancel()
        while self._idle:
            self._idle.pop().set()
        self._result_ready.set()

    async def _until_ended(self) -> None:
        import anyio  # noqa: PLC0415

        if self._ended is not None:
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
        if (error := self._unkept) is not None:
            self._unkept = None
            raise error

    async def _work(self) -> None:
        """Be the run's own task. It never fails, for nobody would be there to see it."""
        import anyio  # noqa: PLC0415

        try:
            with anyio.CancelScope() as self._all:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._tick_forever)
                    async with anyio.create_task_group() as workers:
                        with anyio.CancelScope() as self._taking:
                            await self._feed(workers.start_soon)
                    group.cancel_scope.cancel()
        finally:
            self._end("closed")
            try:
                self._close_parts()
            except Exception as error:  # noqa: BLE001 (told to who waits for the end)
                self._unkept = error
            self._ended.set()

    async def _feed(self, start_soon: Callable[..., object]) -> None:
        """Take rows as long as there is room, and see to it that somebody works on them."""
        engine = self._engine
        try:
            source = _Source(cast("Iterable[RowT] | AsyncIterable[RowT]", self._rows))
            while engine.ending is None and not engine.exhausted:
                if not engine.wants_row:
                    await self._slot_free.wait()
                elif (row := await source.take()) is _END:
                    engine.end_of_input()
                else:
                    self._take(row)
                    self._wake_worker(start_soon)
        except Exception as error:  # noqa: BLE001 (from the caller's rows, or the checkpoint)
            self._end("error", error)
        self._stop_if_ended()

    def _wake_worker(self, start_soon: Callable[..., object]) -> None:
        """Have somebody look at a row that was taken."""
        if self._engine.has_result:
            self._result_ready.set()
        if not self._engine.has_queue:
            return
        if self._idle:
            self._idle.pop().set()
        elif self._workers < self._concurrency:
            self._workers += 1
            start_soon(self._serve)

    async def _serve(self) -> None:
        """Execute row after row."""
        import anyio  # noqa: PLC0415

        engine = self._engine
        with anyio.CancelScope() as scope:  # cancelled when the run ends while nothing is on the way
            while True:
                job = engine.start()
                if engine.should_refill:
                    self._slot_free.set()
                if job is not None:
                    await self._execute(job, TrackedCall(scope))
                if self._stop_if_ended():
                    return
                if job is None:
                    self._idle.append(woken := anyio.Event())
                    await woken.wait()
                elif engine.has_queue and self._idle:  # the budget may have room for two now
                    self._idle.pop().set()

    async def _execute(self, job: RowTask[RowT], flight: TrackedCall) -> None:
        outcome: object = CallCancelled()
        try:
            outcome = await self._client.drive(self._steps(job, flight))
        except (Exception, CallCancelled) as error:  # noqa: BLE001 (the engine decides what it means)
            outcome = error
        finally:  # also when it is cancelled
            self._finish(job, outcome)
            self._result_ready.set()

    def _stop_if_ended(self) -> bool:
        """See to it that everybody knows when the engine has come to an end by itself."""
        if (why := self._engine.ending) is None:
            return False
        self._end(why)
        return True

    async def _tick_forever(self) -> None:
        """Do what is to be done now and then."""
        while True:
            await sleep(_LOOK_EVERY)
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001 (from the caller's callback, or the checkpoint)
                self._end("error", error)


class _Results(AsyncIterator["BatchResult[RowT]"]):
    """What `async for` holds on to while it loops; when it lets go, by `break` too, the run ends."""

    def __init__(self, run: AsyncBatchRun[RowT]) -> None:
        self._run = run

    async def __anext__(self) -> BatchResult[RowT]:
        try:
            return await self._run.next()
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)
        except Exception:
            raise
        except BaseException:  # whoever waited was cancelled
            await self._run.cancel()
            raise

    def __del__(self) -> None:
        self._run.end_soon()


class _Source(Generic[RowT]):
    """Rows of either kind, one by one."""

    def __init__(self, rows: Iterable[RowT] | AsyncIterable[RowT]) -> None:
        self._async = aiter(rows) if isinstance(rows, AsyncIterable) else None
        self._sync = iter(()) if isinstance(rows, AsyncIterable) else iter(rows)
        self._taken = 0

    async def take(self) -> RowT:
        """Give the next row; `_END` when there are no more."""
        if self._async is not None:
            return await anext(self._async, _END)
        self._taken += 1
        if self._taken % _TURN == 0:
            from anyio.lowlevel import checkpoint  # noqa: PLC0415

            await checkpoint()
        return next(self._sync, _END)


def _nothing() -> None:
    """End a run that has not begun."""


def _ender(loop: Any, end: Callable[[Ending], None]) -> Callable[[], None]:  # noqa: ANN401 (a loop of either kind)
    """Make a function that ends a run from anywhere: the garbage collector may run in any thread."""
    soon = loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon

    def end_soon() -> None:
        with suppress(RuntimeError):  # the event loop has ended, and the run with it
            soon(end, "closed")

    return end_soon
