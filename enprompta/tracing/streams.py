"""Spans that stay open until a stream has been read: generators, async generators, and objects that iterate.

A span is current only while its code runs: between two items, the reader's own span is.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as otel_context

from enprompta.tracing.spans import TracedSpan, fail

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.context import Context

MAX_ITEMS = 10_000
"""Items of a stream that are recorded as its output."""


class StreamSpan:
    """The span of a stream, with the items so far.

    Args:
        span: The span.
        context: The context in which it is current.
    """

    def __init__(self, span: TracedSpan, context: Context) -> None:
        self._span = span
        self._context = context
        self._items: list[Any] = []
        self._is_open = True

    def __enter__(self) -> None:
        """Make the span current."""
        self._token = otel_context.attach(self._context)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        """Make the reader's span current again; an exception ends this one, as failed unless the stream is over."""
        otel_context.detach(self._token)
        if error is not None:
            self.end(None if isinstance(error, (StopIteration, StopAsyncIteration)) else error)

    def add(self, item: Any) -> None:  # noqa: ANN401 (whatever the stream yields)
        """Record an item."""
        if len(self._items) < MAX_ITEMS:
            self._items.append(item)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, once."""
        if not self._is_open:
            return
        self._is_open = False
        items = self._items
        if items and all(isinstance(one, str) for one in items):
            self._span.set_output("".join(items))
        elif items:
            self._span.set_output(items)
        if error is not None:
            fail(self._span, error)
        self._span.end()


def traced_generator(stream: Generator[Any, Any, Any], span: StreamSpan) -> Generator[Any, Any, Any]:
    """Run a generator with its span; values and exceptions sent to it arrive, and its result is returned."""
    sent: Any = None
    step: Any = stream.send
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
    """An object that iterates, such as the stream of a model's client, with its span; everything else is passed on.

    Args:
        stream: The object.
        span: Its span.
    """

    def __init__(self, stream: Any, span: StreamSpan) -> None:  # noqa: ANN401 (any class with an iterator)
        self._stream = stream
        self._span = span

    @property
    def __class__(self) -> Any:  # noqa: ANN401 (as above)  # pyright: ignore[reportIncompatibleMethodOverride] (read only)
        """The class of the stream, so that `isinstance` sees no difference."""
        stream: Any = self._stream
        return cast("Any", type(stream))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (as above)
        """Return an attribute of the stream."""
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[Any]:
        """Return itself, or what the stream iterates over."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401 (an item)
        """Return the next item."""
        with self._span:
            item = next(self._stream)
        self._span.add(item)
        return item

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 (an item)
        """Return the next item."""
        with self._span:
            item = await anext(self._stream)
        self._span.add(item)
        return item

    def __enter__(self) -> Any:  # noqa: ANN401 (itself)
        """Enter the stream."""
        if hasattr(self._stream, "__enter__"):
            self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:  # noqa: ANN401 (as the stream's)
        """Leave the stream and end its span."""
        self._span.end(cast("BaseException | None", error[1]))
        leave = getattr(self._stream, "__exit__", None)
        return None if leave is None else leave(*error)

    async def __aenter__(self) -> Any:  # noqa: ANN401 (itself)
        """Enter the stream."""
        if hasattr(self._stream, "__aenter__"):
            await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:  # noqa: ANN401 (as the stream's)
        """Leave the stream and end its span."""
        self._span.end(cast("BaseException | None", error[1]))
        leave = getattr(self._stream, "__aexit__", None)
        return None if leave is None else await leave(*error)

    def close(self) -> Any:  # noqa: ANN401 (as the stream's)
        """Close the stream and end its span; awaitable if that of the stream is."""
        self._span.end()
        return self._stream.close()

    async def aclose(self) -> None:
        """Close the stream and end its span."""
        self._span.end()
        await self._stream.aclose()

    def __del__(self) -> None:
        self._span.end()


def is_stream(value: object) -> bool:
    """True for an object that is read item by item, such as the stream of a model's client.

    Iterators of the standard library, such as files and `zip`, are results like any other.
    """
    if type(value) is AsyncGeneratorType:
        return True
    module = type(value).__module__.partition(".")[0]
    return isinstance(value, (Iterator, AsyncIterator)) and module not in sys.stdlib_module_names
