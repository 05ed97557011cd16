"""Timers on asyncio and trio that keep real time, also while a test has frozen the clock of the event loop.

Event loops measure their timers on `time.monotonic` or `time.perf_counter`. While a tool such as freezegun has stopped
those, a thread measures the time instead and wakes the loop. Without such a tool the loop's own timers are used.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from enprompta._common import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import anyio


def current_loop() -> Any:  # noqa: ANN401 (an asyncio loop, or trio's token, which identifies its run)
    """Return the running event loop of asyncio, or the token of the running trio."""
    import asyncio  # noqa: PLC0415 (a caller on asyncio has loaded it)

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # A coroutine that runs outside asyncio runs on trio, which is then imported already.
        return sys.modules["trio"].lowlevel.current_trio_token()


def is_asyncio(loop: Any) -> bool:  # noqa: ANN401 (an asyncio loop, or trio's token)
    """True if `loop` is one of asyncio, False if it is a token of trio."""
    return hasattr(loop, "call_soon_threadsafe")


def waker(loop: Any, action: Callable[[], object]) -> Callable[[], None]:  # noqa: ANN401 (as in `is_asyncio`)
    """Return a function that runs `action` on the loop, from any thread, unless the loop has ended."""
    soon = loop.call_soon_threadsafe if is_asyncio(loop) else loop.run_sync_soon

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended, and its waiters with it; trio's error is one too
            soon(action)

    return wake


@contextmanager
def alarm(seconds: float, action: Callable[[], object]) -> Generator[None]:
    """Run `action` on the current loop after so many real seconds, unless the block ends first."""
    left = Event()
    wake = waker(current_loop(), action)

    def watch() -> None:
        if not left.wait(seconds):
            wake()

    Thread(target=watch, name="enprompta-alarm", daemon=True).start()
    try:
        yield
    finally:
        left.set()


@contextmanager
def move_on_after(seconds: float | None) -> Generator[anyio.CancelScope]:
    """Cancel the block after so many real seconds; None sets no bound. As `anyio.move_on_after` otherwise."""
    import anyio  # noqa: PLC0415 (httpx brings it and loads it with its first async request)

    if seconds is None or not clock.is_replaced():
        with anyio.move_on_after(seconds) as scope:
            yield scope
        return
    with anyio.CancelScope() as scope, alarm(seconds, scope.cancel):
        yield scope


async def sleep(seconds: float) -> None:
    """Sleep for so many real seconds on the current loop."""
    import anyio  # noqa: PLC0415 (as in `move_on_after`)

    if not clock.is_replaced():
        await anyio.sleep(seconds)
        return
    event = anyio.Event()
    with alarm(seconds, event.set):
        await event.wait()
