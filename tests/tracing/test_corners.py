"""Rare cases while spans are made and linked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from enprompta.emulator.ingest.conventions import parsed
from enprompta.errors import ConfigurationError
from enprompta.models import LivePrompt
from enprompta.tracing import Tracing, observe, scopes
from enprompta.tracing.spans_read import read_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta import Enprompta
    from tests.tracing.receiver import Receiver

LIVE = LivePrompt.model_validate(
    {"id": "pmt_1", "slug": "greet", "label": "production", "version": {"number": 7}, "content": "Greet {{name}}."}
)


def test_a_text_rendered_twice_is_linked(tracing: Tracing, receiver: Receiver) -> None:
    """A text between numbers, and other events, is still found in the input after a second rendering."""
    LIVE.render(name="Ada")
    text = LIVE.render(name="Ada")
    span = tracing.provider.get_tracer("t").start_span("s", attributes={"input.value": f'[1, null, {{"x": "{text}"}}]'})
    span.add_event("something.else", {"x": 1})
    span.end()
    assert tracing.flush()
    assert receiver.named("s").attributes["gen_ai.prompt.name"] == "greet"


def test_a_generator_that_is_closed_is_no_error(tracing: Tracing, receiver: Receiver) -> None:
    """A reader that stops early closes the block inside the generator; its span has no error."""

    def numbers() -> Iterator[int]:
        with tracing.span("numbers"):
            yield 1
            yield 2

    reader: Any = numbers()
    assert next(reader) == 1
    reader.close()
    assert tracing.flush()
    assert receiver.named("numbers").status == (0, "")


def test_open_spans_are_bounded(tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, the span that has been open longest loses the session of the block around it."""
    monkeypatch.setattr(scopes, "MAX_OPEN", 1)
    tracer = tracing.provider.get_tracer("t")
    with tracing.span("outer", session_id="chat-1"):
        first, second = tracer.start_span("first"), tracer.start_span("second")
        first.end()
        second.end()
    assert tracing.flush()
    assert "session.id" not in receiver.named("first").attributes
    assert receiver.named("second").attributes["session.id"] == "chat-1"


def test_spans_of_other_classes_are_read() -> None:
    """The attributes of a span that the SDK did not make may be any mapping."""

    class Pairs(dict[str, Any]):
        copy = property()  # type: ignore[assignment]  # raises AttributeError

    span = ReadableSpan("s")
    span._attributes = Pairs(x=1)
    assert read_span(span).attributes == {"x": 1}


def test_a_span_that_cannot_be_read_harms_no_program(tracing: Tracing) -> None:
    """An exception of the caller's class does not leave the end of a span; the span is dropped and counted."""

    class Broken(dict[str, Any]):
        def copy(self) -> Any:
            raise RuntimeError

    span = ReadableSpan("s", SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    span._attributes = Broken()
    tracing.processor().on_end(span)
    assert (tracing.stats.invalid, tracing.stats.waiting) == (1, 0)


@pytest.mark.parametrize("text", ["[oops", "{", "[" * 100_000])
def test_text_that_only_starts_like_json_stays_text(text: str) -> None:
    """The emulator keeps a text that is not JSON as it is."""
    assert parsed(text) == text


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, True, "1"])
def test_sizes_are_positive_numbers(client: Enprompta, value: Any) -> None:
    """A size or an interval that is no number above 0 is an error before anything starts."""
    with pytest.raises(ConfigurationError, match="interval must be a number above 0"):
        Tracing(client, interval=value)


def test_an_unknown_text_is_not_linked(tracing: Tracing, receiver: Receiver) -> None:
    """Neither JSON nor events without the text of a prompt make a link."""
    LIVE.render(name="Ada")
    span = tracing.provider.get_tracer("t").start_span("s", attributes={"input.value": '["Hello", {"x": ["Bo"]}]'})
    span.add_event("gen_ai.user.message", {"content": "Hello"})
    span.add_event("something.else", {"x": "Greet Ada."})
    span.end()
    assert tracing.flush()
    assert "gen_ai.prompt.name" not in receiver.named("s").attributes


def test_recorded_items_are_bounded(tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, items of a stream reach the reader and are not recorded."""
    monkeypatch.setattr(observe, "MAX_ITEMS", 2)

    @tracing.observe
    def items() -> Iterator[str]:
        yield from ("a", "b", "c")

    assert list(items()) == ["a", "b", "c"]
    assert tracing.flush()
    output = receiver.spans[-1].attributes["output.value"]
    assert "b" in output
    assert "c" not in output


def test_an_instrumentor_without_its_package_is_not_installed(
    client: Enprompta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the package, also if the package that contains its module is missing."""
    from enprompta.tracing import instrumentors

    monkeypatch.setitem(instrumentors.KNOWN, "openai", (("no_such_parent", "x", "X"),))
    with pytest.raises(ConfigurationError, match=r"not installed: pip install no_such_parent-instrumentation-x"):
        instrumentors.instrumentor_for("openai")
