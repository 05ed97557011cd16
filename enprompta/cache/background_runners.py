"""Where refreshes run: daemon threads for the blocking client, tasks of the running event loop for the async one.

Either way a refresh is told of its end, however it ends: `ended` is called when it is done, cancelled or never began.
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
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta._core.runner import Flow

MOST_THREADS = 4
IDLE_SECONDS = 5.0  # after which a thread that has nothing to do ends
CLOSE_SECONDS = 1.0  # that closing waits for refreshes, whose connections are closed by then


class Background(Protocol):
    """What the cache needs of either kind."""

    def spawn(self, client: Any, flow: Flow[None], ended: Callable[[], None]) -> None:  # noqa: ANN401 (either client)
        """Have a client run a flow, without waiting for it."""
        ...

    def offload(self, gate: Future[Any], job: Callable[[], Any]) -> None:
        """Do what may block for some milliseconds, such as writing a file; the gate gets its outcome."""
        ...

    def adopt(self, awaitable: Awaitable[Any]) -> Future[Any]:
        """Have something awaited."""
        ...

    def after_fork(self) -> None:
        """Start anew in a child process, where no thread and no task of the parent is."""
        ...


class Threads:
    """A few daemon threads, started when there is something to do, ended when there has been nothing for a while."""

    def __init__(self, *, idle: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle
        self.after_fork()

    def after_fork(self) -> None:
        """Start with no thread."""
        self._wake = Condition()
        self._jobs: deque[tuple[Callable[[], object], Callable[[], None]]] = deque()
        self._waiting = 0
        self._threads: set[Thread] = set()
        self._is_closing = False

    def spawn(self, client: Any, flow: Flow[None], ended: Callable[[], None]) -> None:  # noqa: ANN401 (either client)
        """Have a thread run it."""
        context = contextvars.copy_context()  # so that traces see a refresh as part of what caused it
        self.submit(lambda: context.run(client.run_flow, flow), ended)

    def offload(self, gate: Future[Any], job: Callable[[], Any]) -> None:
        """Do it here and now: the thread that calls is there to wait."""
        _settle(gate, job)

    def adopt(self, awaitable: Awaitable[Any]) -> Future[Any]:
        """Refuse: there is no event loop here."""
        close: Any = getattr(awaitable, "close", None)
        if close is not None:
            close()  # else Python warns that it was never awaited
        raise ConfigurationError("the fallback is async, which AsyncEnprompta can await and Enprompta cannot")

    def close(self) -> None:
        """Drop what has not begun, and wait a moment for what has."""
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
            self._is_closing = False  # a client on an `http_client` of the caller's goes on after it was closed

    def submit(self, run: Callable[[], object], ended: Callable[[], None]) -> None:
        """Have something run, by a thread that is free or a new one."""
        job = run, ended
        with self._wake:
            self._jobs.append(job)
            if self._waiting >= len(self._jobs):
                self._wake.notify()
                return
            if len(self._threads) >= MOST_THREADS:
                return
            thread = Thread(target=self._work, name="enprompta-refresh", daemon=True)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # there is no room for one more thread, or the process is ending
            with self._wake:
                self._threads.discard(thread)
                with suppress(ValueError):  # another thread has taken it
                    self._jobs.remove(job)
            _report(error)
            ended()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            run, ended = job
            try:
                run()
            except Exception as error:  # noqa: BLE001 (nobody waits for it)
                _report(error)
            finally:
                ended()
            del job, run, ended  # a thread that waits keeps no client alive

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
    """Tasks of whatever event loop runs: asyncio's own, and system tasks of trio.

    A refresh outlives the call that began it, so on trio it belongs to no nursery of the caller's: it is a system task,
    which trio cancels when the main task ends, as `asyncio.run` does with tasks that are left.
    """

    def __init__(self) -> None:
        self._threads = Threads()
        self._running: set[_Running] = set()

    def after_fork(self) -> None:
        """Start with no task and no thread."""
        self._threads.after_fork()
        self._running = set()

    def spawn(self, client: Any, flow: Flow[None], ended: Callable[[], None]) -> None:  # noqa: ANN401 (either client)
        """Have a task run it."""
        _Running(self._running, client.run_flow, flow, ended)

    def offload(self, gate: Future[Any], job: Callable[[], Any]) -> None:
        """Do it in a thread, for the event loop must not wait."""
        self._threads.submit(partial(_settle, gate, job), partial(_give_up, gate))

    def adopt(self, awaitable: Awaitable[Any]) -> Future[Any]:
        """Await it in a task of its own."""
        gate: Future[Any] = Future()

        async def settle() -> None:
            try:
                result = await awaitable
            except Exception as error:  # noqa: BLE001 (it is the caller's, who is waiting for it)
                gate.set_exception(error)
            else:
                gate.set_result(result)

        _Running(self._running, lambda _: settle(), None, partial(_give_up, gate))
        return gate

    async def aclose(self) -> None:
        """Cancel what runs on this event loop; what runs on others ends with its connections."""
        loop = current_loop()
        here = [one for one in self._running if one.loop is loop]
        for one in here:
            one.cancel()
        tasks = [one.task for one in here if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        self._threads.close()


class _Running:
    """One coroutine on its way, on either kind of event loop."""

    def __init__(
        self, among: set[_Running], run: Callable[[Any], Any], argument: object, ended: Callable[[], None]
    ) -> None:
        self.loop = current_loop()
        self.task: asyncio.Task[None] | None = None
        self._among = among
        self._ended = ended
        among.add(self)  # event loops hold their tasks by weak references alone
        if isinstance(self.loop, asyncio.AbstractEventLoop):
            coroutine = run(argument)
            self.task = self.loop.create_task(self._run(lambda: coroutine))
            # A task that is cancelled before its first step never gets to a `finally` of its own.
            self.task.add_done_callback(lambda _: self._end(coroutine))
        else:
            trio: Any = sys.modules["trio"]
            self._scope = trio.CancelScope()
            context = contextvars.copy_context()
            trio.lowlevel.spawn_system_task(self._run_on_trio, lambda: run(argument), context=context)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
        else:
            self._scope.cancel()

    async def _run_on_trio(self, begin: Callable[[], Any]) -> None:
        try:
            with self._scope:
                await self._run(begin)
        finally:
            self._end(None)

    async def _run(self, begin: Callable[[], Any]) -> None:
        try:
            await begin()
        except Exception as error:  # noqa: BLE001 (nobody waits for it, and trio would end the program)
            _report(error)

    def _end(self, coroutine: Any) -> None:  # noqa: ANN401
        if coroutine is not None:
            coroutine.close()  # does nothing to one that has ended, and keeps one that never began from being warned of
        self._among.discard(self)
        self._ended()


def _report(error: Exception) -> None:
    log.event(logging.ERROR, "live_refresh_broke", error=type(error).__name__, what=str(error))


def _settle(gate: Future[Any], job: Callable[[], Any]) -> None:
    try:
        gate.set_result(job())
    except Exception as error:  # noqa: BLE001 (whoever waits for it gets it)
        gate.set_exception(error)


def _give_up(gate: Future[Any]) -> None:
    """Let those who wait go on, with nothing, where what they wait for will not come."""
    with suppress(Exception):
        gate.set_result(None)
