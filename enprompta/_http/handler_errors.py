"""Tell exceptions that a signal handler of the caller raised from those that a transport raised.

Python runs a signal handler between two steps of the main thread, so its exception appears inside any frame, also one
of this package or of the HTTP library below. By type alone, a handler's `TimeoutError` looks like the network's. The
traceback tells them apart: only the handler's exception passed through the frame of a handler.

A handler written in C or Cython has no frame, and is not recognized.
"""

from __future__ import annotations

import inspect
import signal
import threading
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import CodeType, FrameType


def handler_error(error: BaseException, *, outside: BaseException | None = None) -> BaseException | None:
    """Find the exception of a signal handler that an exception is, or was made from.

    Args:
        error: The exception that was caught; its causes, contexts and the members of groups are searched too.
        outside: The exception that was being handled when the work began, perhaps one that a handler raised earlier:
            it is no reason of `error`. None for none.

    Returns:
        The handler's exception, which may be `error` itself; None when no signal handler raised it.
    """
    if threading.current_thread() is not threading.main_thread():  # handlers run in that one alone
        return None
    codes = _codes()
    return next((one for one in _reasons(error, outside) if _passed_a_handler(one, codes)), None)


def is_from_handler(error: BaseException) -> bool:
    """True if a signal handler raised this very exception."""
    return threading.current_thread() is threading.main_thread() and _passed_a_handler(error, _codes())


@contextmanager
def ignoring(*kinds: type[Exception]) -> Generator[None]:
    """Ignore exceptions of these kinds, as `contextlib.suppress` does, but not those of a signal handler."""
    try:
        yield
    except kinds as error:
        if is_from_handler(error):
            raise


def _reasons(error: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    """Walk an exception, its causes, its contexts and the members of groups."""
    rest = [error]
    seen = {id(outside)}
    while rest:
        one = rest.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            rest.extend(getattr(one, "exceptions", ()))
            rest.extend(other for other in (one.__context__, one.__cause__) if other is not None)


def _passed_a_handler(error: BaseException, codes: set[CodeType]) -> bool:
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code in codes or _is_called_as_handler(step.tb_frame):
            return True
        step = step.tb_next
    return False


def _is_called_as_handler(frame: FrameType) -> bool:
    """True if a frame got the number of a signal and the frame that it interrupted: a handler that is set no more."""
    code = frame.f_code
    values: list[Any] = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & inspect.CO_VARARGS:
        values += frame.f_locals.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount]) or ()
    back = frame.f_back
    return back is not None and any(
        isinstance(number, int) and interrupted is back for number, interrupted in pairwise(values)
    )


def _codes() -> set[CodeType]:
    """The code of the handlers that are set."""
    return {code for number in signal.valid_signals() if (code := _code_of(signal.getsignal(number))) is not None}


def _code_of(handler: object) -> CodeType | None:
    """The code that runs when a signal arrives; None for what is not written in Python."""
    while (inner := getattr(handler, "func", None)) is not None:  # functools.partial
        handler = inner
    handler = inspect.unwrap(handler) if inspect.isfunction(handler) else handler
    for one in (handler, vars(type(handler)).get("__call__")):
        if (code := getattr(one, "__code__", None)) is not None:
            return code
    return None
