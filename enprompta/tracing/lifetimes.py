"""When a process ends, is forked or receives SIGTERM: send what waits, within a deadline.

normal exit                 an `atexit` handler
a process of multiprocessing   a finalizer, because such processes skip `atexit`
SIGTERM                     a handler that sends, restores the previous handler and passes the signal on to it
fork                        the child starts with an empty queue; the parent sends what was waiting
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing import util
from typing import TYPE_CHECKING, Protocol, TypeAlias
from weakref import WeakSet

from enprompta._common.clock import monotonic
from enprompta._common.forks import run_in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None

EXIT_SECONDS = 2.0
"""Seconds by which all tracers together may delay the end of the process."""


class Lived(Protocol):
    """A tracer, as far as its process is concerned."""

    def begin_flush(self, seconds: float, /, *, is_last: bool) -> Callable[[], bool]:
        """Start to send what waits; return a function that waits until that is done."""
        ...

    def shutdown(self, *, deadline: float) -> bool:
        """Send what waits and stop."""
        ...

    def after_fork(self) -> None:
        """Start over in a child process."""
        ...


_alive: WeakSet[Lived] = WeakSet()
_previous: list[Handler] = []
"""The handlers before each installation of `_on_sigterm`; None for one that Python did not install."""
_depth = 0


def watch(tracer: Lived) -> None:
    """Let a tracer know when its process ends or is forked."""
    _alive.add(tracer)
    util.register_after_fork(tracer, _finalize_worker)
    if multiprocessing.parent_process() is not None:
        _finalize_worker()
    _handle_sigterm()


def forget(tracer: Lived) -> None:
    """Leave a tracer alone; without any tracer, SIGTERM is handled as before."""
    _alive.discard(tracer)
    if not _alive:
        _restore_sigterm()


def _handle_sigterm() -> None:
    """Install the handler, unless it is installed; again if another library has replaced it or chained to it."""
    if signal.getsignal(signal.SIGTERM) is _on_sigterm or threading.current_thread() is not threading.main_thread():
        return
    with suppress(ValueError):  # a subinterpreter
        _previous.append(signal.signal(signal.SIGTERM, _on_sigterm))


def _restore_sigterm() -> None:
    """Restore the previous handler, unless another library has installed its own."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, _previous.pop() or signal.SIG_DFL)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    """Send what waits; then do what would have happened without this handler."""
    global _depth  # noqa: PLW0603 (a process has one handler of a signal)
    # Called again from inside: the previous handler has chained to an earlier installation of this one.
    previous: Handler = _previous[-1 - _depth] if _depth < len(_previous) else signal.SIG_DFL
    if previous is signal.SIG_IGN:
        return
    if not _depth:
        _flush_all(EXIT_SECONDS)
    if callable(previous):
        _depth += 1
        try:
            previous(number, frame)
        finally:
            _depth -= 1
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _flush_all(seconds: float) -> None:
    """Flush all tracers at the same time, so that they share the seconds."""
    for finish in [tracer.begin_flush(seconds, is_last=True) for tracer in list(_alive)]:
        finish()


def _shut_down_all() -> None:
    ends = monotonic() + EXIT_SECONDS
    _flush_all(EXIT_SECONDS)
    for tracer in list(_alive):
        tracer.shutdown(deadline=max(0.0, ends - monotonic()))


def _finalize_worker(_: object = None) -> None:
    """Flush at the end of a process of multiprocessing."""
    util.Finalize(None, _shut_down_all, exitpriority=100)


def _after_fork() -> None:
    for tracer in list(_alive):
        tracer.after_fork()


atexit.register(_shut_down_all)
run_in_child(_after_fork)
