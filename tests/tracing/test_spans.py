"""Spans of a program's own code: blocks, decorated functions of every kind, streams, errors, sessions."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from pydantic import BaseModel

from enprompta.errors import ConfigurationError
from enprompta.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from typing_extensions import Self

    from enprompta import Enprompta
    from tests.tracing.receiver import Receiver


class Stream:
    """A stream as model clients return it: sync or async, with attributes, a context manager and `close`."""

    response = "the response"

    def __init__(self, items: list[str], error: Exception | None = None) -> None:
        self.items = [*items]
        self.error = error
        self.is_closed = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        if not self.items:
            raise self.error or StopIteration
        return self.items.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.is_closed = True


class AsyncStream(Stream):
    """The same, async."""

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> str:
        if not self.items:
            raise self.error or StopAsyncIteration
        return self.items.pop(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """Close it."""
        self.close()


def test_a_block_is_a_span(tracing: Tracing, receiver: Receiver) -> None:
    """It has its name, kind, input, output, session and attributes; blocks inside are its children."""
    with tracing.span("answer", kind="agent", session_id="s1", input="hi", attributes={"tenant": 3}) as outer:
        with tracing.span("search", kind="retrieval") as inner:
            inner.set_input({"query": "tea"})
            inner.set_output(["a", "b"])
        outer.set_output("hello")
    assert tracing.flush()
    answer, search = receiver.named("answer"), receiver.named("search")
    assert answer.parent_id == ""
    assert (search.parent_id, search.trace_id) == (answer.span_id, answer.trace_id)
    assert answer.attributes == {
        "openinference.span.kind": "AGENT",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "answer",
        "tenant": 3,
        "input.value": "hi",
        "input.mime_type": "text/plain",
        "output.value": "hello",
        "output.mime_type": "text/plain",
        "enprompta.session_id": "s1",
        "session.id": "s1",
        "gen_ai.conversation.id": "s1",
    }
    assert search.attributes["input.value"] == '{"query": "tea"}'
    assert search.attributes["output.mime_type"] == "application/json"
    assert search.attributes["session.id"] == "s1"
    assert answer.resource["service.name"] == "shop"


def test_a_span_is_an_opentelemetry_span(tracing: Tracing, receiver: Receiver) -> None:
    """Every method of OpenTelemetry's spans works on it."""
    with tracing.span("first") as first:
        pass
    with tracing.span("x") as span:
        assert isinstance(span, trace.Span)
        assert span.is_recording()
        assert trace.get_current_span() is span.otel
        span.set_attribute("a", 1)
        span.set_attributes({"b": 2})
        span.add_event("e", {"c": 3})
        span.add_link(first.get_span_context())
        span.update_name("y")
        span.set_status(Status(StatusCode.ERROR, "bad"))
        span.record_exception(ValueError("odd"))
        span.end()
        span.set_output("too late")
    assert tracing.flush()
    found = receiver.named("y")
    assert (found.attributes["a"], found.attributes["b"], found.links, found.status) == (1, 2, 1, (2, "bad"))
    assert [name for name, _ in found.events] == ["e", "exception"]


def test_an_error_is_recorded_and_raised_again(tracing: Tracing, receiver: Receiver) -> None:
    """The same exception leaves the block; its span has the type, the message and an output."""
    error = ValueError("no such order")
    with pytest.raises(ValueError, match="no such order") as caught, tracing.span("look up"):
        raise error
    assert caught.value is error
    assert tracing.flush()
    span = receiver.named("look up")
    assert span.status == (2, "ValueError: no such order")
    assert span.attributes["error.type"] == "ValueError"
    assert span.attributes["output.value"] == "(error)"
    assert span.events[0][1]["exception.message"] == "no such order"


def test_an_exception_without_text_is_recorded(tracing: Tracing, receiver: Receiver) -> None:
    """An exception whose `str` raises is recorded by its type, and is the one that is raised."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(MuteError), tracing.span("s"):
        raise MuteError
    assert tracing.flush()
    assert receiver.named("s").status == (2, "MuteError")


class TestObserve:
    def test_plain(self, tracing: Tracing, receiver: Receiver) -> None:
        """Arguments by name are the input and the result is the output; the function stays what it was."""

        class Shop:
            @tracing.observe(kind="tool")
            def price(self, order: int, *, currency: str = "EUR") -> dict[str, object]:
                """Look up a price."""
                return {"order": order, "currency": currency}

        assert Shop().price(7, currency="USD") == {"order": 7, "currency": "USD"}
        assert Shop.price.__doc__ == "Look up a price."
        assert list(inspect.signature(Shop.price).parameters) == ["self", "order", "currency"]
        with pytest.raises(TypeError):
            Shop().price()  # type: ignore[call-arg]
        assert tracing.flush()
        done, failed = receiver.spans
        assert done.name == "Shop.price"
        assert json.loads(done.attributes["input.value"]) == {"order": 7, "currency": "USD"}
        assert json.loads(done.attributes["output.value"]) == {"order": 7, "currency": "USD"}
        assert done.attributes["tool.name"] == done.attributes["gen_ai.tool.name"] == "Shop.price"
        assert failed.status[0] == 2

    def test_coroutine(self, tracing: Tracing, receiver: Receiver) -> None:
        """Tasks that run at once are children of the span that started them."""

        @tracing.observe
        async def child(number: int) -> int:
            await asyncio.sleep(0)
            if number == 2:
                raise KeyError(number)
            return number

        @tracing.observe(name="parent", session_id="s2")
        async def parent() -> list[Any]:
            return await asyncio.gather(*(child(number) for number in range(3)), return_exceptions=True)

        assert inspect.iscoroutinefunction(child)
        asyncio.run(parent())
        assert tracing.flush()
        top = receiver.named("parent")
        children = [span for span in receiver.spans if span.name == "child"]
        assert {span.parent_id for span in children} == {top.span_id}
        assert sorted(str(span.attributes.get("output.value")) for span in children) == ["0", "1", "None"]
        assert {span.attributes["session.id"] for span in receiver.spans} == {"s2"}

    def test_generator(self, tracing: Tracing, receiver: Receiver) -> None:
        """Values and exceptions sent to it arrive; the result is returned; the reader's own span stays current."""

        @tracing.observe
        def numbers() -> Generator[str, str, str]:
            with tracing.span("inside"):
                got = yield "a"
            try:
                yield got
            except KeyError:
                yield "caught"
            return "result"

        assert inspect.isgeneratorfunction(numbers)
        with tracing.span("reader") as reader:
            stream = numbers()
            assert next(stream) == "a"
            assert trace.get_current_span() is reader.otel
            assert stream.send("b") == "b"
            assert stream.throw(KeyError()) == "caught"
            with pytest.raises(StopIteration) as stop:
                next(stream)
            assert stop.value.value == "result"
        assert tracing.flush()
        span = receiver.named("TestObserve.test_generator.<locals>.numbers".rpartition(".")[2])
        assert span.attributes["output.value"] == "abcaught"
        assert span.parent_id == receiver.named("reader").span_id

    def test_generators_that_are_left(self, tracing: Tracing, receiver: Receiver) -> None:
        """A generator that fails or is closed early ends its span, with the items so far."""

        @tracing.observe(name="fails")
        def fails() -> Generator[int]:
            yield 1
            raise ValueError("broken")

        @tracing.observe(name="left")
        def left() -> Generator[int]:
            yield 1
            yield 2

        with pytest.raises(ValueError, match="broken"):
            list(fails())
        stream = left()
        next(stream)
        stream.close()
        assert tracing.flush()
        assert receiver.named("fails").status == (2, "ValueError: broken")
        assert receiver.named("fails").attributes["output.value"] == "[1]"
        assert receiver.named("left").status[0] == 0
        assert receiver.named("left").attributes["output.value"] == "[1]"

    def test_async_generator(self, tracing: Tracing, receiver: Receiver) -> None:
        """The same holds for async generators."""

        @tracing.observe(name="numbers")
        async def numbers(*, error: bool = False) -> AsyncGenerator[str, str]:
            got = yield "a"
            try:
                yield got
            except KeyError:
                yield "caught"
            if error:
                raise ValueError("broken")

        async def scenario() -> None:
            stream = numbers()
            assert await anext(stream) == "a"
            assert await stream.asend("b") == "b"
            assert await stream.athrow(KeyError()) == "caught"
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            with pytest.raises(ValueError, match="broken"):
                [one async for one in numbers(error=True)]
            early = numbers()
            await anext(early)
            await early.aclose()

        assert inspect.isasyncgenfunction(numbers)
        asyncio.run(scenario())
        assert tracing.flush()
        assert [span.attributes["output.value"] for span in receiver.spans] == ["abcaught", '["a", null]', "a"]
        assert [span.status[0] for span in receiver.spans] == [0, 2, 0]

    @pytest.mark.parametrize(
        "leave", [list, lambda stream: stream.close(), lambda stream: stream.__exit__(*[None] * 3)]
    )
    def test_stream(self, tracing: Tracing, receiver: Receiver, leave: Callable[[Any], Any]) -> None:
        """A returned stream is passed on as it is; its span ends when it has been read, closed or left."""

        @tracing.observe(name="ask")
        def ask() -> Stream:
            return Stream(["a", "b"])

        stream = ask()
        assert isinstance(stream, Stream)
        assert stream.response == "the response"
        with stream as entered:
            assert entered is stream
            assert next(iter(stream)) == "a"
            leave(stream)
        assert stream.is_closed
        assert tracing.flush()
        assert receiver.named("ask").attributes["output.value"] in {"a", "ab"}

    def test_streams_that_fail_or_are_forgotten(self, tracing: Tracing, receiver: Receiver) -> None:
        """A failure is recorded; a stream that is never read ends its span when it is collected."""

        @tracing.observe(name="ask")
        def ask(error: Exception | None) -> Any:
            return Stream([], error) if error else (one for one in "ab")

        with pytest.raises(OSError, match="reset"):
            next(ask(OSError("reset")))
        assert "".join(ask(None)) == "ab"
        ask(OSError("unread"))
        gc.collect()
        assert tracing.flush()
        assert [span.status[0] for span in receiver.spans] == [2, 0, 0]

    def test_async_stream(self, tracing: Tracing, receiver: Receiver) -> None:
        """Async streams too, and an async generator that a plain function returns."""

        @tracing.observe(name="ask")
        async def ask() -> AsyncStream:
            return AsyncStream(["a", "b"])

        async def generate() -> AsyncGenerator[str]:
            yield "c"

        @tracing.observe(name="give")
        def give() -> AsyncGenerator[str]:
            return generate()

        async def scenario() -> None:
            async with await ask() as stream:
                assert [one async for one in stream] == ["a", "b"]
            stream = await ask()
            await stream.aclose()
            assert [one async for one in give()] == ["c"]

        asyncio.run(scenario())
        assert tracing.flush()
        assert [span.attributes["output.value"] for span in receiver.spans] == ["ab", "(empty)", "c"]

    def test_iterators_that_are_results(self, tracing: Tracing) -> None:
        """Files and other iterators of the standard library are returned unchanged."""
        file = io.StringIO("x")
        assert tracing.observe(lambda: file)() is file
        both = zip("a", "b", strict=True)
        assert tracing.observe(lambda: both)() is both

    def test_any_value_is_written(self, tracing: Tracing, receiver: Receiver) -> None:
        """Models, dataclasses, sets, bytes, cycles and objects without a repr are recorded, and never raise."""

        class Shown(BaseModel):
            x: int

        class Broken(BaseModel):
            def model_dump(self, **_: Any) -> Any:
                raise ValueError

            def __repr__(self) -> str:
                raise ValueError

        @dataclasses.dataclass
        class Point:
            x: int

        cycle: list[Any] = []
        cycle.append(cycle)
        values = [Shown(x=1), Broken(), Point(2), {3}, b"four", object, cycle, {(1, 2): 3}, "x" * 1_000_001]
        for value in values:
            tracing.observe(lambda value: value)(value)
        tracing.observe(max)(1, 2)
        tracing.observe(type("C", (), {"__call__": lambda self: 1, "__signature__": 5})())()
        assert tracing.flush()
        outputs = [span.attributes["output.value"] for span in receiver.spans]
        assert outputs[:5] == ['{"x": 1}', '"<Broken>"', '{"x": 2}', "[3]", '"<4 bytes>"']
        assert outputs[7] == "{(1, 2): 3}"
        assert outputs[8].endswith("x… (1 more)")
        assert outputs[9] == "2"


@pytest.mark.parametrize(
    ("misuse", "reason"),
    [
        (lambda t: t.span("x", kind="banana"), "kind must be one of chain, llm, tool, retrieval, embedding, agent"),
        (lambda t: t.span("x", session_id=""), "session_id must be text"),
        (lambda t: t.observe(kind="x"), "kind must be"),
        (lambda t: t.observe(session_id=5), "session_id must be text"),
        (lambda t: t.observe()(5), "observe decorates functions"),
        (lambda t: t.observe(Tracing), "observe decorates functions"),
        (lambda t: t.prompt("text"), "takes a prompt from"),
        (lambda t: t.instrument("nonsense"), "the names are anthropic"),
        (lambda t: t.instrument(5), "the names are anthropic"),
        (lambda t: t.instrument("groq"), "pip install openinference-instrumentation-groq"),
        (lambda t: t.instrument("mistralai"), "pip install openinference-instrumentation-mistralai"),
    ],
)
def test_misuse(tracing: Tracing, misuse: Callable[[Any], Any], reason: str) -> None:
    """A wrong argument is an error at once, with what is allowed."""
    with pytest.raises(ConfigurationError, match=reason):
        misuse(tracing)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"capture": "some"}, "capture must be"),
        ({"redact": "emails"}, "redact must be"),
        ({"service_name": ""}, "service_name must be"),
        ({"max_queue": 0}, "max_queue must be"),
        ({"interval": True}, "interval must be"),
        ({"spool": "/dev/null/x"}, "spool folder"),
        ({"spool": 5}, "spool folder"),
    ],
)
def test_wrong_settings(client: Enprompta, options: Any, reason: str) -> None:
    """A wrong setting is an error when the tracer is created, which then leaves nothing behind."""
    with pytest.raises(ConfigurationError, match=reason):
        Tracing(client, **options)
    assert client._hooks == []


def test_a_client_is_needed() -> None:
    """Another object is refused, with what is expected."""
    with pytest.raises(ConfigurationError, match="takes an Enprompta or AsyncEnprompta, not str"):
        Tracing("client")  # type: ignore[arg-type]


def test_repr(tracing: Tracing, client: Enprompta) -> None:
    """The repr has the address and the state, and no secret."""
    assert repr(tracing) == f"<Tracing {client.base_url} active>"
    tracing.shutdown()
    assert "shut down" in repr(tracing)
    assert repr(object.__new__(Tracing)) == "<Tracing that could not be created>"


def test_async_blocks(client: Enprompta, receiver: Receiver) -> None:
    """`async with` works for a tracer, a span and a prompt."""
    from enprompta.models import Prompt

    prompt = Prompt(id="p", title="t", content="c", version=2)

    async def scenario() -> None:
        async with Tracing(client) as tracing, tracing.prompt(prompt), tracing.span("s", kind="llm"):
            pass

    asyncio.run(scenario())
    assert receiver.named("s").attributes["gen_ai.prompt.version"] == "2"
