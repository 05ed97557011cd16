"""The moment after which no blocking read, write or connect of this thread goes on; `bound_streams` keeps to it."""

from __future__ import annotations

import threading
from typing import overload

from enprompta._common.clock import monotonic


class _Ends(threading.local):
    at: float | None = None


_ends = _Ends()  # a request is sent and read by one thread, so the moment need not be passed down to the socket


class thread_deadline:  # noqa: N801 (used as the function that it was; a generator takes three times as long)
    """Bound the socket operations of this thread; monotonic seconds, None for no bound."""

    __slots__ = ("_moment",)

    def __init__(self, moment: float | None) -> None:
        self._moment = moment

    def __enter__(self) -> None:
        _ends.at = self._moment  # None too, should a signal handler have kept the last call from leaving its block

    def __exit__(self, *_: object) -> None:
        _ends.at = None


def is_bound() -> bool:
    """Tell whether there is a moment for this thread."""
    return _ends.at is not None


@overload
def remaining_timeout(timeout: float, too_late: type[Exception]) -> float: ...
@overload
def remaining_timeout(timeout: float | None, too_late: type[Exception]) -> float | None: ...
def remaining_timeout(timeout: float | None, too_late: type[Exception]) -> float | None:
    """The shorter of an operation's timeout and the time that is left.

    Raises:
        Exception: `too_late`, when no time is left.
    """
    moment = _ends.at
    if moment is None:
        return timeout
    remaining = moment - monotonic()
    if remaining <= 0:
        raise too_late("the deadline passed")
    return remaining if timeout is None else min(timeout, remaining)
