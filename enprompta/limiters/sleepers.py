"""Sleepers: how a thread, an asyncio task and a trio task wait until another thread or task wakes them.

A sleeper may be woken from any thread. A wake before the sleep is kept and ends the next sleep at once, so no wake is
lost between checking and sleeping.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

from enprompta._common import clock
from enprompta._common.event_loop import alarm
from enprompta._common.greenlets import new_lock

if TYPE_CHECKING:
    from enprompta.errors import RateLimit

__all__ = ["AsyncSleeper", "DeadlineReached", "ThreadSleeper", "WaitTooLong", "async_sleeper"]


class WaitTooLong(Exception):  # noqa: N818 (a message from limiter to transport; users see a RateLimitError)
    """The next chance of a request is further away than its `max_wait`."""

    wait: float
    """Seconds until that chance."""
    waited: float
    """Seconds spent in the queue."""
    rate_limit: RateLimit | None
    """The budget as the server last reported it; None if it never did."""

    def __init__(self, wait: float, waited: float, rate_limit: RateLimit | None) -> None:
        super().__init__(f"the request budget is exhausted for another {wait:.1f} s")
        self.wait = wait
        self.waited = waited
        self.rate_limit = rate_limit


class DeadlineReached(Exception):  # noqa: N818 (a message from limiter to transport; users see an APITimeoutError)
    """The call's deadline passed while it waited in the queue."""

    waited: float
    """Seconds spent in the queue."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"the deadline passed after {waited:.1f} s in the queue")
        self.waited = waited


class ThreadSleeper:
    """Sleeps in a thread, or in a greenlet of gevent.

    Releasing a lock wakes it. An `Event` does not work: under gevent its `set` lets other greenlets run while the
    account's lock is held, and the next greenlet that wants that lock blocks all of them.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = new_lock()
        self._lock.acquire()

    def sleep(self, seconds: float) -> None:
        """Sleep until woken, or until the time is over."""
        self._lock.acquire(timeout=-1 if seconds == inf else min(max(seconds, 0.0), threading.TIMEOUT_MAX))

    def wake(self) -> bool:
        """Wake the thread and return True."""
        with suppress(RuntimeError):  # already woken
            self._lock.release()
        return True


class AsyncSleeper(Protocol):
    """Sleeps in a task."""

    async def sleep(self, seconds: float) -> None:
        """Sleep until woken, or until the time is over."""
        ...

    def wake(self) -> bool:
        """Wake the task; return False if its event loop is closed."""
        ...


def async_sleeper() -> AsyncSleeper:
    """Return a sleeper for the running event loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            in_asyncio = asyncio.current_task() is not None
        except RuntimeError:
            in_asyncio = False
        if in_asyncio:
            return _AsyncioSleeper()
    return _TrioSleeper()


class _AsyncioSleeper:
    __slots__ = ("_event", "_loop", "_thread")

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 (only programs that use asyncio pay for it)

        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    async def sleep(self, seconds: float) -> None:
        if seconds < inf and clock.is_replaced():
            with alarm(seconds, self._event.set):
                await self._event.wait()
            self._event.clear()
            return
        timer = None if seconds == inf else self._loop.call_later(max(seconds, 0.0), self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._event.clear()

    def wake(self) -> bool:
        if get_ident() == self._thread and not self._loop.is_closed():
            self._event.set()
            return True
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed
            return False
        return True


class _TrioSleeper:
    __slots__ = ("_event", "_token", "_trio")

    def __init__(self) -> None:
        if "trio" not in sys.modules:
            raise RuntimeError("an async call needs a running asyncio or trio task")
        trio = sys.modules["trio"]  # not a dependency; loaded when called from a trio task
        self._trio = trio
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    async def sleep(self, seconds: float) -> None:
        if seconds < inf and clock.is_replaced():
            with alarm(seconds, self._set):
                await self._event.wait()
        else:
            with self._trio.move_on_after(max(seconds, 0.0)):  # trio takes inf
                await self._event.wait()
        self._event = self._trio.Event()

    def wake(self) -> bool:
        try:
            self._token.run_sync_soon(self._set)
        except self._trio.RunFinishedError:
            return False
        return True

    def _set(self) -> None:
        self._event.set()
