"""`@tracing.observe`: each call of a function is a span, with its arguments as input and its result as output.

The span of a call that returns a stream stays open until the stream has been read. A span is current only while its
code runs: between two items of a stream, the reader's own span is.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

from opentelemetry import context as otel_context

from enprompta.tracing.spans import TracedSpan, fail

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from enprompta.tracing.spans import SpanBlock

Start: TypeAlias = "Callable[[tuple[object, ...], dict[str, object]], CallSpan]"
Function: TypeAlias = "Callable[..., object]"
MAX_ITEMS = 10_000
"""Items of a stream that are recorded as its output."""
_SELVES = frozenset({"self", "cls"})


class CallSpan:
    """The span of a call, with the items of its stream so far."""

    def __init__(self, span: TracedSpan, context: Context) -> None:
        self._span = span
        self._context = context
        self._items: list[object] = []
        self._is_open = True

    def __enter__(self) -> None:
        """Make the span current."""
        self._token = otel_context.attach(self._context)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        """Make the caller's span current again; an exception ends this one, as failed unless the stream is over."""
        otel_context.detach(self._token)
        if error is not None:
            self.end(None if isinstance(error, (StopIteration, StopAsyncIteration)) else error)

    def add(self, item: object) -> None:
        """Record an item."""
        if len(self._items) < MAX_ITEMS:
            self._items.append(item)

    def finish(self, output: object) -> None:
        """Record the result and end the span."""
        self._span.set_output(output)
        self._span.end()

    def end(self, error: BaseException | None = None) -> None:
        """End the span of a stream, once."""
        if not self._is_open:
            return
        self._is_open = False
        texts = [one for one in self._items if isinstance(one, str)]
        if self._items:
            self._span.set_output("".join(texts) if len(texts) == len(self._items) else self._items)
        if error is not None:
            fail(self._span, error)
        self._span.end()


def traced_generator(stream: Generator[object, object, object], span: CallSpan) -> Generator[object, object, object]:
    """Run a generator with its span; values and exceptions sent to it arrive, and its result is returned."""
    sent: Any = None
    step: Callable[[Any], object] = stream.send
    try:
        while True:
            with span:
                item = step(sent)
            span.add(item)
            try:
                sent, step = (yield item), stream.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 (for the generator, as `yield from` passes it on)
                sent, step = error, stream.throw
    except StopIteration as stop:
        return stop.value
    finally:
        stream.close()
        span.end()


class TracedStream:
    """An object that iterates, such as the stream of a model's client, with its span; everything else is passed on."""

    def __init__(self, stream: Iterator[object] | AsyncIterator[object], span: CallSpan) -> None:
        self._stream: Any = stream
        self._span = span

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] (read only)
        """The class of the stream, so that `isinstance` sees no difference."""
        stream: object = self._stream
        return type(stream)

    def __getattr__(self, name: str) -> object:
        """Return an attribute of the stream."""
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[object]:
        """Return itself, or what the stream iterates over."""
        return self

    def __next__(self) -> object:
        """Return the next item."""
        with self._span:
            item = next(self._stream)
        self._span.add(item)
        return item

    def __aiter__(self) -> AsyncIterator[object]:
        """Return itself."""
        return self

    async def __anext__(self) -> object:
        """Return the next item."""
        with self._span:
            item = await anext(self._stream)
        self._span.add(item)
        return item

    def __enter__(self) -> Self:
        """Enter the stream."""
        self._stream.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leave the stream and end its span."""
        self._span.end(exc)
        return self._stream.__exit__(exc_type, exc, traceback)

    async def __aenter__(self) -> Self:
        """Enter the stream."""
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leave the stream and end its span."""
        self._span.end(exc)
        return await self._stream.__aexit__(exc_type, exc, traceback)

    def close(self) -> object:
        """Close the stream and end its span; awaitable if that of the stream is."""
        self._span.end()
        return self._stream.close()

    async def aclose(self) -> None:
        """Close the stream and end its span."""
        self._span.end()
        await self._stream.aclose()

    def __del__(self) -> None:
        self._span.end()


def is_stream(value: object) -> TypeGuard[Iterator[object] | AsyncIterator[object]]:
    """True for an object that is read item by item, such as the stream of a model's client.

    Iterators of the standard library, such as files and `zip`, are results like any other.
    """
    if type(value) is AsyncGeneratorType:
        return True
    module = type(value).__module__.partition(".")[0]
    return isinstance(value, (Iterator, AsyncIterator)) and module not in sys.stdlib_module_names


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
