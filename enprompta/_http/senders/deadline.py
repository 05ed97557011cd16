"""The deadline of the blocking network operations of this thread, which `deadline_streams` enforces."""

from __future__ import annotations

import threading
from typing import overload

from enprompta._common.clock import monotonic


class _Ends(threading.local):
    at: float | None = None


_ends = _Ends()  # one thread sends a request and reads its response


class thread_deadline:
    """Limit the socket operations of this thread to a deadline in monotonic seconds; None for no limit."""

    __slots__ = ("_deadline",)

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline

    def __enter__(self) -> None:
        _ends.at = self._deadline  # also None: a signal handler may have interrupted `__exit__` of the last call

    def __exit__(self, *_: object) -> None:
        _ends.at = None


def is_bound() -> bool:
    """True if this thread has a deadline."""
    return _ends.at is not None


@overload
def remaining_timeout(timeout: float, too_late: type[Exception]) -> float: ...
@overload
def remaining_timeout(timeout: float | None, too_late: type[Exception]) -> float | None: ...
def remaining_timeout(timeout: float | None, too_late: type[Exception]) -> float | None:
    """Return the timeout of an operation, or the remaining time if that is shorter.

    Raises:
        Exception: `too_late`, if the deadline has passed.
    """
    deadline = _ends.at
    if deadline is None:
        return timeout
    remaining = deadline - monotonic()
    if remaining <= 0:
        raise too_late("the deadline passed")
    return remaining if timeout is None else min(timeout, remaining)
