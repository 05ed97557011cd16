"""The waiting edge: how a thread, an asyncio task and a trio task sleep until somebody wakes them.

A sleeper may be woken from any thread. A wake that comes before the sleep is kept and ends the next one at once, so
that nothing is missed between looking and sleeping.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from enprompta._common import clock
from enprompta._common.event_loop import alarm

if TYPE_CHECKING:
    from enprompta.errors import RateLimit

__all__ = ["AsyncSleeper", "DeadlineReached", "ThreadSleeper", "WaitTooLong", "async_sleeper"]


class WaitTooLong(Exception):  # noqa: N818 (a message from limiter to transport; users see a RateLimitError)
    """The next chance of a request lies further away than it is willing to wait."""

    wait: float
    """Seconds to that chance."""
    waited: float
    """Seconds spent in the line."""
    rate_limit: RateLimit | None
    """The budget as the server last told it; None when it never did."""

    def __init__(self, wait: float, waited: float, rate_limit: RateLimit | None) -> None:
        super().__init__(f"the request budget is used up for another {wait:.1f} s")
        self.wait = wait
        self.waited = waited
        self.rate_limit = rate_limit


class DeadlineReached(Exception):  # noqa: N818 (a message from limiter to transport; users see an APITimeoutError)
    """The call's deadline passed while it stood in the line."""

    waited: float
    """Seconds spent in the line."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"the deadline passed after {waited:.1f} s in the line")
        self.waited = waited


class ThreadSleeper:
    """Sleeps in a thread, or in a greenlet of gevent.

    A lock that is released to wake. An `Event` would not do: under gevent its `set` lets other greenlets run, while the
    account's lock is held, and the next one that wants that lock blocks all of them. `threading.Lock` is looked up when
    a sleeper is made, so that it is gevent's also where gevent patched the module late.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def sleep(self, seconds: float) -> None:
        """Sleep until woken, or for so many seconds."""
        self._lock.acquire(timeout=-1 if seconds == inf else min(max(seconds, 0.0), threading.TIMEOUT_MAX))

    def wake(self) -> bool:
        """Wake the thread; it can always wake."""
        with suppress(RuntimeError):  # it has been woken already
            self._lock.release()
        return True


class AsyncSleeper(Protocol):
    """Sleeps in a task."""

    async def sleep(self, seconds: float) -> None:
        """Sleep until woken, or for so many seconds."""
        ...

    def wake(self) -> bool:
        """Wake the task; False when its event loop is gone, and the task with it."""
        ...


def async_sleeper() -> AsyncSleeper:
    """Make a sleeper for the event loop that runs this."""
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
        import asyncio  # noqa: PLC0415 (only who runs asyncio pays for it)

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
        except RuntimeError:  # it is closed
            return False
        return True


class _TrioSleeper:
    __slots__ = ("_event", "_token", "_trio")

    def __init__(self) -> None:
        if "trio" not in sys.modules:
            raise RuntimeError("an asynchronous call needs a running task of asyncio or trio")
        trio: Any = sys.modules["trio"]  # not a dependency; who calls from a trio task has it
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
