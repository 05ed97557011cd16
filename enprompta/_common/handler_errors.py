"""Distinguish exceptions raised by the caller's signal handlers from those raised by the transport.

Python runs a signal handler between two steps of the main thread, so its exception can surface in any frame of
this package or of the HTTP library. By type alone, a handler's `TimeoutError` looks like one of the network. The
traceback shows the difference: only an exception of a handler passed through the handler's frame.

Handlers written in C or Cython have no frame and are not recognized.
"""

from __future__ import annotations

import inspect
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Generator, Iterator
    from types import CodeType, FrameType


def handler_error(error: BaseException, *, outside: BaseException | None = None) -> BaseException | None:
    """Find the signal handler's exception that an exception is, or was caused by.

    Args:
        error: The caught exception. Its causes, contexts and group members are searched too.
        outside: The exception that was being handled when the operation began; it is not a cause of `error`. None if
            there was none.

    Returns:
        The handler's exception, possibly `error` itself; None if no signal handler was involved.
    """
    if threading.current_thread() is not threading.main_thread():  # signal handlers run only there
        return None
    codes = _codes()
    return next((one for one in _reasons(error, outside) if _passed_a_handler(one, codes)), None)


def is_from_handler(error: BaseException) -> bool:
    """True if a signal handler raised this exception itself."""
    return threading.current_thread() is threading.main_thread() and _passed_a_handler(error, _codes())


@contextmanager
def ignoring(*kinds: type[Exception]) -> Generator[None]:
    """Suppress exceptions of these types, unless a signal handler raised them."""
    try:
        yield
    except kinds as error:
        if is_from_handler(error):
            raise


class CallbackErrors:
    """The exception handler of an asyncio loop: keeps the last exception that a signal handler raised in a callback.

    asyncio logs such an exception. If the callback was about to pass received bytes on, they are lost, and the call
    fails much later, with an error of the transport.

    Args:
        inner: The exception handler that it precedes; None for the loop's default.
    """

    def __init__(self, inner: Callable[[AbstractEventLoop, dict[str, Any]], object] | None) -> None:
        self._inner = inner
        self.last: BaseException | None = None

    def __call__(self, loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        error: BaseException | None = context.get("exception")
        if "handle" in context and error is not None and is_from_handler(error):
            self.last = error
        if self._inner is None:
            loop.default_exception_handler(context)
        else:
            self._inner(loop, context)


def callback_errors(loop: AbstractEventLoop) -> CallbackErrors | None:
    """Return the `CallbackErrors` of a loop, which it installs; None in threads that run no signal handlers."""
    if threading.current_thread() is not threading.main_thread():
        return None
    found = loop.get_exception_handler()
    if not isinstance(found, CallbackErrors):
        found = CallbackErrors(found)
        loop.set_exception_handler(found)
    return found


def _reasons(error: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    """Iterate over an exception, its causes, its contexts and its group members."""
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
    """True if a frame's arguments are a signal number and the interrupted frame: a handler that is no longer set."""
    code = frame.f_code
    values: list[object] = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & inspect.CO_VARARGS:
        values += frame.f_locals.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount]) or ()
    back = frame.f_back
    return back is not None and any(
        issubclass(type(number), int) and interrupted is back  # objects of the caller may deceive `isinstance`
        for number, interrupted in pairwise(values)
    )


def _codes() -> set[CodeType]:
    """Return the code objects of all current signal handlers."""
    signal = sys.modules.get("signal")
    if signal is None:  # not imported, so the program has set no handler
        return set()
    return {code for number in signal.valid_signals() if (code := _code_of(signal.getsignal(number))) is not None}


def _code_of(handler: object) -> CodeType | None:
    """Return the code object of a handler; None if it is not written in Python."""
    while (inner := getattr(handler, "func", None)) is not None:  # functools.partial
        handler = inner
    handler = inspect.unwrap(handler) if inspect.isfunction(handler) else handler
    for one in (handler, vars(type(handler)).get("__call__")):
        if (code := getattr(one, "__code__", None)) is not None:
            return code
    return None


@contextmanager
def errors_to(handle: Callable[[Exception], object]) -> Generator[None]:
    """Pass an exception of the block to a function instead of raising it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (of any class)
        handle(error)
