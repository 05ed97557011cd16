"""`@tracing.observe`: each call of a function is a span, with its arguments as input and its result as output."""

from __future__ import annotations

import functools
import inspect
from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from enprompta.tracing.streams import CallSpan, TracedStream, is_stream, traced_generator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

    from enprompta.tracing.spans import SpanBlock

    Start: TypeAlias = Callable[[tuple[object, ...], dict[str, object]], CallSpan]
    Function: TypeAlias = Callable[..., object]

_SELVES = frozenset({"self", "cls"})


def observed(function: Function, block: Callable[[], SpanBlock]) -> Function:
    """Wrap a function of any kind; its signature, name and kind stay the same."""
    start = _starter(function, block)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, start)
    if inspect.isgeneratorfunction(function):
        return _generator(function, start)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, start)
    return _plain(function, start)


def _async_generator(function: Callable[..., AsyncGenerator[object, object]], start: Start) -> Function:
    @functools.wraps(function)
    async def wrapper(*args: object, **kwargs: object) -> AsyncGenerator[object, object]:
        span = start(args, kwargs)
        stream = function(*args, **kwargs)
        step: Callable[..., Awaitable[object]] = stream.asend
        sent: Any = None
        try:
            while True:
                with span:
                    item = await step(sent)
                span.add(item)
                try:
                    sent = yield item
                    step = stream.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 (for the generator)
                    sent, step = error, stream.athrow
        except StopAsyncIteration:
            return
        finally:
            await stream.aclose()
            span.end()

    return wrapper


def _generator(function: Callable[..., Generator[object, object, object]], start: Start) -> Function:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> Generator[object, object, object]:
        span = start(args, kwargs)
        return (yield from traced_generator(function(*args, **kwargs), span))

    return wrapper


def _coroutine(function: Callable[..., Coroutine[object, object, object]], start: Start) -> Function:
    @functools.wraps(function)
    async def wrapper(*args: object, **kwargs: object) -> object:
        span = start(args, kwargs)
        with span:
            result = await function(*args, **kwargs)
        return _ended(span, result)

    return wrapper


def _plain(function: Function, start: Start) -> Function:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> object:
        span = start(args, kwargs)
        with span:
            result = function(*args, **kwargs)
        return _ended(span, result)

    return wrapper


def _starter(function: Function, block: Callable[[], SpanBlock]) -> Start:
    """Return a function that starts the span of a call and records its arguments."""
    read = _reader(function)

    def start(args: tuple[object, ...], kwargs: dict[str, object]) -> CallSpan:
        made = block()
        span, context = made.start()
        if made.is_captured and span.is_recording():
            span.set_input(read(args, kwargs))
        return CallSpan(span, context)

    return start


def _ended(span: CallSpan, result: object) -> object:
    """Record a result and end the span; a stream ends it when it has been read."""
    if isinstance(result, GeneratorType):
        return traced_generator(cast("Generator[object, object, object]", result), span)
    if is_stream(result):
        return TracedStream(result, span)
    span.finish(result)
    return result


def _reader(function: Function) -> Callable[[tuple[object, ...], dict[str, object]], dict[str, object]]:
    """Return a function that names the arguments of a call, without `self` and `cls`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return lambda args, kwargs: {"args": args, "kwargs": kwargs}
    first = next(iter(signature.parameters), None)
    own = first if first in _SELVES else None

    def read(args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        try:
            bound = signature.bind(*args, **kwargs).arguments
        except TypeError:  # the call fails with the same error
            return {"args": args, "kwargs": kwargs}
        return {name: value for name, value in bound.items() if name != own}

    return read
