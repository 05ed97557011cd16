"""Shorten the tracebacks of errors that leave public methods: the caller's line and one line of the package."""

from __future__ import annotations

import os
from types import TracebackType

from enprompta._common.handler_errors import handler_error

# Packages whose frames do not help to understand a failed call.
_HIDDEN = frozenset({
    "enprompta", "httpx", "httpx2", "httpcore", "httpcore2", "anyio", "aiohttp", "h11", "asyncio", "trio", "sniffio",
    "contextlib", "concurrent", "tenacity", "socket", "ssl",
})  # fmt: skip


def shorten(error: BaseException) -> None:
    """Remove frames of the package and its HTTP libraries from the traceback of an error and of its causes.

    Frames of the caller's code stay, such as those of a hook or a custom transport. `ENPROMPTA_LOG=debug` keeps all.
    Raise the error by its name then: a bare `raise` would restore the long traceback in Python 3.10.

    Raises:
        BaseException: The exception of a signal handler that the error hides.
    """
    raise_hidden(error)
    if os.environ.get("ENPROMPTA_LOG", "").strip().lower() == "debug":
        return
    waiting: list[BaseException | None] = [error]
    seen = set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback = one.__traceback__
        if traceback is not None:
            if not _is_hidden(traceback) and one is not error:
                continue  # the caller was handling this exception when it made the call
            one.__traceback__ = _without_hidden(traceback)
        waiting += [one.__cause__, one.__context__]


def raise_hidden(error: BaseException) -> None:
    """Raise the exception of a signal handler that an error hides, if there is one.

    Code such as `except ValueError` catches the exception of a handler with those that it expects.
    """
    outside = error.__context__
    while outside is not None and (outside.__traceback__ is None or _is_hidden(outside.__traceback__)):
        outside = outside.__context__  # until that of the caller, who was handling it during the call
    raised = handler_error(error, outside=outside)
    if raised is not None and raised is not error:
        raise raised from raised.__cause__  # not from the error


def _without_hidden(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if not _is_hidden(traceback):
            kept.append(traceback)
        traceback = traceback.tb_next
    rest: TracebackType | None = None
    for one in reversed(kept):
        rest = TracebackType(rest, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return rest


def _is_hidden(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _HIDDEN
