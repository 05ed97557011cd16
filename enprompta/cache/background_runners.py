"""Run refreshes in daemon threads (blocking client) or in tasks of the running event loop (async client).

Both call `ended` exactly once: when the refresh has finished, was cancelled or never started.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Condition, Thread, current_thread
from typing import TYPE_CHECKING, Any, Protocol

from enprompta._common import log
from enprompta._common.event_loop import current_loop
from enprompta._common.handler_errors import errors_to
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta._core.runner import AsyncRunner, Flow, SyncRunner

MAX_THREADS = 4
IDLE_SECONDS = 5.0  # an idle thread ends after this long
CLOSE_SECONDS = 1.0  # how long closing waits for refreshes; their connections are closed by then


class Background(Protocol):
    """The interface that the cache uses to run work in the background."""

    def spawn(self, client: Any, flow: Flow[None], ended: Callable[[], None]) -> None:  # noqa: ANN401 (either client)
        """Run a flow on a client without waiting for it."""
        ...

    def offload(self, future: Future[Any], job: Callable[[], Any]) -> None:
        """Run a job that may block for some milliseconds, such as writing a file; `future` receives the result."""
        ...

    def run_awaitable(self, awaitable: Awaitable[Any]) -> Future[Any]:
        """Await an object in the background; the future receives its result."""
        ...

    def after_fork(self) -> None:
        """Reset in a child process, where the parent's threads and tasks do not exist."""
        ...


class Threads:
    """A small pool of daemon threads, started on demand and ended when idle."""

    def __init__(self, *, idle: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle
        self.after_fork()

    def after_fork(self) -> None:
        """Reset to an empty pool."""
        self._wake = Condition()
        self._jobs: deque[tuple[Callable[[], object], Callable[[], None]]] = deque()
        self._waiting = 0
        self._threads: set[Thread] = set()
        self._is_closing = False

    def spawn(self, client: SyncRunner, flow: Flow[None], ended: Callable[[], None]) -> None:
        """Run the flow in a thread of the pool."""
        context = contextvars.copy_context()  # traces show a refresh as a child of the call that caused it
        self.submit(lambda: context.run(client.run_flow, flow), ended)

    def offload(self, future: Future[object], job: Callable[[], object]) -> None:
        """Run the job at once: the calling thread may block."""
        _run_into(future, job)

    def run_awaitable(self, awaitable: Awaitable[object]) -> Future[Any]:
        """Raise ConfigurationError: a blocking client has no event loop."""
        close: Any = getattr(awaitable, "close", None)
        if close is not None:
            close()  # avoid the "never awaited" warning
        raise ConfigurationError(
            "the fallback is async: use AsyncEnprompta, or pass a synchronous fallback to Enprompta"
        )

    def close(self) -> None:
        """Drop jobs that have not started, and wait up to `CLOSE_SECONDS` for those that have."""
        with self._wake:
            self._is_closing = True
            dropped, threads = list(self._jobs), list(self._threads)
            self._jobs.clear()
            self._wake.notify_all()
        for _, ended in dropped:
            ended()
        for thread in threads:
            if thread is not current_thread():
                thread.join(CLOSE_SECONDS / len(threads))
        with self._wake:
            self._is_closing = False  # a client on the caller's `http_client` can be used after it was closed

    def submit(self, run: Callable[[], object], ended: Callable[[], None]) -> None:
        """Run a job in an idle thread or a new one."""
        job = run, ended
        with self._wake:
            self._jobs.append(job)
            if self._waiting >= len(self._jobs):
                self._wake.notify()
                return
            if len(self._threads) >= MAX_THREADS:
                return
            thread = Thread(target=self._work, name="enprompta-refresh", daemon=True)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads are available, or the process is ending
            with self._wake:
                self._threads.discard(thread)
                with suppress(ValueError):  # another thread has taken the job
                    self._jobs.remove(job)
            _log_error(error)
            ended()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            run, ended = job
            try:
                with errors_to(_log_error):  # nothing waits for the result
                    run()
            finally:
                ended()
            del job, run, ended  # an idle thread must not keep a client alive

    def _next(self) -> tuple[Callable[[], object], Callable[[], None]] | None:
        with self._wake:
            if not self._jobs and not self._is_closing:
                self._waiting += 1
                self._wake.wait(self._idle_seconds)
                self._waiting -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads.discard(current_thread())
            return None


class Tasks:
    """Tasks on the running event loop: asyncio tasks, or trio system tasks.

    A refresh outlives the call that started it, so on trio it cannot belong to the caller's nursery. Trio cancels a
    system task when the main task ends, as `asyncio.run` does with remaining tasks.
    """

    def __init__(self) -> None:
        self._threads = Threads()
        self._running: set[_RunningTask] = set()

    def after_fork(self) -> None:
        """Reset to no tasks and no threads."""
        self._threads.after_fork()
        self._running = set()

    def spawn(self, client: AsyncRunner, flow: Flow[None], ended: Callable[[], None]) -> None:
        """Run the flow in a task."""
        _RunningTask(self._running, client.run_flow, flow, ended)

    def offload(self, future: Future[object], job: Callable[[], object]) -> None:
        """Run the job in a thread, so that it does not block the event loop."""
        self._threads.submit(partial(_run_into, future, job), partial(_resolve_empty, future))

    def run_awaitable(self, awaitable: Awaitable[object]) -> Future[Any]:
        """Await the object in a separate task."""
        future: Future[object] = Future()

        async def settle() -> None:
            with errors_to(future.set_exception):
                future.set_result(await awaitable)

        _RunningTask(self._running, lambda _: settle(), None, partial(_resolve_empty, future))
        return future

    async def aclose(self) -> None:
        """Cancel the tasks of this event loop; tasks of other loops end with their connections."""
        loop = current_loop()
        here = [one for one in self._running if one.loop is loop]
        for one in here:
            one.cancel()
        tasks = [one.task for one in here if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        self._threads.close()


class _RunningTask:
    """One coroutine in the background, on asyncio or trio."""

    def __init__(
        self, registry: set[_RunningTask], run: Callable[[Any], Any], argument: object, ended: Callable[[], None]
    ) -> None:
        self.loop = current_loop()
        self.task: asyncio.Task[None] | None = None
        self._registry = registry
        self._ended = ended
        registry.add(self)  # event loops keep only weak references to tasks
        if isinstance(self.loop, asyncio.AbstractEventLoop):
            coroutine = run(argument)
            self.task = self.loop.create_task(self._run(lambda: coroutine))
            # A task that is cancelled before its first step never reaches a `finally` inside the coroutine.
            self.task.add_done_callback(lambda _: self._end(coroutine))
        else:
            trio = sys.modules["trio"]
            self._scope = trio.CancelScope()
            context = contextvars.copy_context()
            trio.lowlevel.spawn_system_task(self._run_on_trio, lambda: run(argument), context=context)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
        else:
            self._scope.cancel()

    async def _run_on_trio(self, begin: Callable[[], object]) -> None:
        try:
            with self._scope:
                await self._run(begin)
        finally:
            self._end(None)

    async def _run(self, begin: Callable[[], Any]) -> None:
        with errors_to(_log_error):  # nothing waits for the result, and trio would end the program
            await begin()

    def _end(self, coroutine: Any) -> None:  # noqa: ANN401 (of any result)
        if coroutine is not None:
            coroutine.close()  # avoids the "never awaited" warning; no effect on a finished coroutine
        self._registry.discard(self)
        self._ended()


def _log_error(error: Exception) -> None:
    log.event(logging.ERROR, "live_refresh_broke", error=type(error).__name__, what=str(error))


def _run_into(future: Future[object], job: Callable[[], object]) -> None:
    with errors_to(future.set_exception):
        future.set_result(job())


def _resolve_empty(future: Future[object]) -> None:
    """Resolve a future with None when its job will not run, so that waiting callers continue."""
    with suppress(Exception):
        future.set_result(None)
