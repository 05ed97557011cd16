"""`@tracing.observe`: each call of a function is a span, with its arguments as input and its result as output."""

from __future__ import annotations

import functools
import inspect
from types import GeneratorType
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as otel_context

from enprompta.tracing.spans import SpanBlock, TracedSpan, fail
from enprompta.tracing.streams import StreamSpan, TracedStream, is_stream, traced_generator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    from opentelemetry.context import Context

    Start = Callable[[tuple[Any, ...], dict[str, Any]], tuple[TracedSpan, Context]]

_SELVES = frozenset({"self", "cls"})


def observed(function: Callable[..., Any], block: Callable[[], SpanBlock]) -> Callable[..., Any]:
    """Wrap a function of any kind; its signature, name and kind stay the same."""
    start = _starter(function, block)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, start)
    if inspect.isgeneratorfunction(function):
        return _generator(function, start)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, start)
    return _plain(function, start)


def _async_generator(function: Callable[..., AsyncGenerator[Any, Any]], start: Start) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        held = StreamSpan(*start(args, kwargs))
        stream = function(*args, **kwargs)
        step: Any = stream.asend
        sent: Any = None
        try:
            while True:
                with held:
                    item = await step(sent)
                held.add(item)
                try:
                    sent = cast("Any", (yield item))
                    step = stream.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 (for the generator)
                    sent, step = cast("Any", error), stream.athrow
        except StopAsyncIteration:
            return
        finally:
            await stream.aclose()
            held.end()

    return wrapper


def _generator(function: Callable[..., Generator[Any, Any, Any]], start: Start) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        held = StreamSpan(*start(args, kwargs))
        return (yield from traced_generator(function(*args, **kwargs), held))

    return wrapper


def _coroutine(function: Callable[..., Coroutine[Any, Any, Any]], start: Start) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        span, context = start(args, kwargs)
        token = otel_context.attach(context)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            fail(span, error)
            span.end()
            raise
        finally:
            otel_context.detach(token)
        return _ended(span, context, result)

    return wrapper


def _plain(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        span, context = start(args, kwargs)
        token = otel_context.attach(context)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            fail(span, error)
            span.end()
            raise
        finally:
            otel_context.detach(token)
        return _ended(span, context, result)

    return wrapper


def _starter(function: Callable[..., Any], block: Callable[[], SpanBlock]) -> Start:
    """Return a function that starts the span of a call and records its arguments."""
    read = _reader(function)

    def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[TracedSpan, Context]:
        span, context = block().start()
        span.set_input_of(read, args, kwargs)
        return span, context

    return start


def _ended(span: TracedSpan, context: Context, result: Any) -> Any:  # noqa: ANN401
    """Record a result and end the span; a stream ends it when it has been read."""
    if isinstance(result, GeneratorType):
        return traced_generator(cast("Generator[Any, Any, Any]", result), StreamSpan(span, context))
    if is_stream(result):
        return TracedStream(result, StreamSpan(span, context))
    span.set_output(result)
    span.end()
    return result


def _reader(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """Return a function that names the arguments of a call, without `self` and `cls`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return lambda args, kwargs: {"args": args, "kwargs": kwargs}
    first = next(iter(signature.parameters), None)
    own = first if first in _SELVES else None

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        try:
            bound = signature.bind(*args, **kwargs).arguments
        except TypeError:  # the call fails with the same error
            return {"args": args, "kwargs": kwargs}
        return {name: value for name, value in bound.items() if name != own}

    return read
