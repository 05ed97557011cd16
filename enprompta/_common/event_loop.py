"""Timers for asyncio and trio that keep real time even while a test has frozen the clock of the event loop.

Event loops use `time.monotonic` or `time.perf_counter` for their timers. While a tool such as freezegun has frozen
these, a thread measures the time and wakes the loop. Otherwise the loop's own timers are used.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Protocol, TypeAlias

from enprompta._common import clock

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Generator

    import anyio
    from typing_extensions import TypeIs

    class TrioToken(Protocol):
        """The event loop of a trio run."""

        def run_sync_soon(self, sync_fn: Callable[..., object], /, *args: object) -> None: ...


Loop: TypeAlias = "AbstractEventLoop | TrioToken"


def current_loop() -> Loop:
    """Return the running asyncio event loop, or the token of the current trio run."""
    import asyncio  # noqa: PLC0415 (already imported by callers on asyncio)

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # Outside asyncio, the coroutine runs on trio, which has been imported.
        return sys.modules["trio"].lowlevel.current_trio_token()


def is_asyncio(loop: Loop) -> TypeIs[AbstractEventLoop]:
    """True for an asyncio event loop, False for a trio token."""
    return hasattr(loop, "call_soon_threadsafe")


def waker(loop: Loop, action: Callable[[], object]) -> Callable[[], None]:
    """Return a thread-safe function that runs `action` on the loop; it does nothing once the loop has ended."""
    soon = loop.call_soon_threadsafe if is_asyncio(loop) else loop.run_sync_soon

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended; trio's error is a RuntimeError too
            soon(action)

    return wake


@contextmanager
def alarm(seconds: float, action: Callable[[], object]) -> Generator[None]:
    """Run `action` on the current loop after a number of real seconds, unless the block ends first."""
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
    """Cancel the block after a number of real seconds, as `anyio.move_on_after` does; None for no limit."""
    import anyio  # noqa: PLC0415 (httpx imports it with its first async request)

    if seconds is None or not clock.is_replaced():
        with anyio.move_on_after(seconds) as scope:
            yield scope
        return
    with anyio.CancelScope() as scope, alarm(seconds, scope.cancel):
        yield scope


async def sleep(seconds: float) -> None:
    """Sleep for a number of real seconds on the current loop."""
    import anyio  # noqa: PLC0415 (as in `move_on_after`)

    if not clock.is_replaced():
        await anyio.sleep(seconds)
        return
    event = anyio.Event()
    with alarm(seconds, event.set):
        await event.wait()
