"""The moment after which no blocking read, write or connect of this thread goes on; `bound_streams` keeps to it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Generator


class _Ends(threading.local):
    at: float | None = None


_ends = _Ends()  # a request is sent and read by one thread, so the moment need not be passed down to the socket


@contextmanager
def reads_end_at(moment: float | None) -> Generator[None]:
    """Bound the socket operations of this thread; monotonic seconds, None for no bound."""
    _ends.at = moment
    try:
        yield
    finally:
        _ends.at = None


def is_bound() -> bool:
    """Tell whether there is a moment for this thread."""
    return _ends.at is not None


@overload
def left(timeout: float, too_late: type[Exception]) -> float: ...
@overload
def left(timeout: float | None, too_late: type[Exception]) -> float | None: ...
def left(timeout: float | None, too_late: type[Exception]) -> float | None:
    """The shorter of an operation's timeout and the time that is left.

    Raises:
        Exception: `too_late`, when no time is left.
    """
    moment = _ends.at
    if moment is None:
        return timeout
    remaining = moment - time.monotonic()
    if remaining <= 0:
        raise too_late("the deadline passed")
    return remaining if timeout is None else min(timeout, remaining)
