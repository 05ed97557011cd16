"""The encoder writes what OpenTelemetry's own one does."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from enprompta.tracing.otlp import TraceRequest, write_span
from enprompta.tracing.spans_read import read_span

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
PLAIN = st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary())
VALUE: Any = st.recursive(
    PLAIN, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)), max_leaves=8
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUE, max_size=6)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([TraceState(), TraceState([("a", "b"), ("c", "d")])]),
)
SPANS = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.builds(Resource, st.dictionaries(TEXT.filter(bool), TEXT, max_size=3), TEXT),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXT, ATTRIBUTES, st.integers(0, 2**63)), max_size=3),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=3),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "no")]),
    start_time=st.integers(0, 2**63),
    end_time=st.integers(0, 2**63),
    instrumentation_scope=st.none() | st.builds(InstrumentationScope, TEXT, TEXT | st.none(), TEXT, st.just({"a": 1})),
)


def encode_request(spans: list[ReadableSpan]) -> bytes:
    """Write a request of spans."""
    request = TraceRequest()
    for span in spans:
        ended = read_span(span)
        request.add(ended, write_span(ended))
    return request.content()


def sorted_spans(request: Any) -> list[str]:
    """Every span with its resource and scope, however they are grouped."""
    return sorted(
        f"{span}|{scope.scope}|{scope.schema_url}|{resource.resource}|{resource.schema_url}"
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


@settings(max_examples=40)
@given(st.lists(SPANS, max_size=3))
def test_the_same_as_the_other_encoder(spans: list[ReadableSpan]) -> None:
    """Any spans read back as the message objects that OpenTelemetry's encoder builds."""
    read = ExportTraceServiceRequest.FromString(encode_request(spans))
    assert sorted_spans(read) == sorted_spans(encode_spans(spans))


class Level(IntEnum):
    """A number of the caller's class."""

    HIGH = 3


@pytest.mark.parametrize("length", [0, 31, 32, 33, 127, 128, 200, 201, 5000])
def test_names_and_values_of_every_length(length: int) -> None:
    """Short ones are cached and long ones are not; both are written alike, the second time too."""
    text = "é" * length
    attributes: Any = {f"name.{text}": text, "value": text, "level": Level.HIGH, "number": length}
    for _ in range(2):
        span = ReadableSpan(text, SpanContext(1, 2, is_remote=False), resource=Resource({}), attributes=attributes)
        read = ExportTraceServiceRequest.FromString(encode_request([span]))
        assert sorted_spans(read) == sorted_spans(encode_spans([span]))


def test_dropped_counts_are_written() -> None:
    """Whatever the SDK's limits dropped from a span is counted in the request."""
    kept: list[ReadableSpan] = []

    class Keep(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            kept.append(span)

    provider = TracerProvider(span_limits=SpanLimits(1, 1, 1, 1, 1, 1), shutdown_on_exit=False)
    provider.add_span_processor(Keep())
    link = Link(SpanContext(1, 2, is_remote=False), {"a": 1, "b": 2})
    with provider.get_tracer("t").start_as_current_span("s", attributes={"a": 1, "b": 2}, links=[link, link]) as span:
        span.add_event("x", {"a": 1, "b": 2})
        span.add_event("y")
        span.add_event("z", {"a": 1, "b": 2})
    read = ExportTraceServiceRequest.FromString(encode_request(kept))
    assert sorted_spans(read) == sorted_spans(encode_spans(kept))
    assert read.resource_spans[0].scope_spans[0].spans[0].dropped_events_count == 2


def test_lone_surrogates_are_replaced() -> None:
    """Texts that are not Unicode lose what is not, in names and values."""
    span = ReadableSpan(
        "a\ud800", SpanContext(1, 2, is_remote=False), resource=Resource({}), attributes={"\udfff": "\ud800b"}
    )
    read = ExportTraceServiceRequest.FromString(encode_request([span])).resource_spans[0].scope_spans[0].spans[0]
    assert (read.name, read.attributes[0].key, read.attributes[0].value.string_value) == ("a?", "?", "?b")


@pytest.mark.parametrize("value", [2**63, object()])
def test_what_cannot_be_written_is_an_error(value: Any) -> None:
    """A number beyond 64 bits and any other object are refused, not written wrongly."""
    span = ReadableSpan("s", SpanContext(1, 2, is_remote=False), resource=Resource({}), attributes={"a": value})
    with pytest.raises((ValueError, TypeError)):
        encode_request([span])


def test_none_is_an_empty_value() -> None:
    """None inside a list is written as OTLP writes an absent value."""
    span = ReadableSpan("s", SpanContext(1, 2, is_remote=False), resource=Resource({}), attributes={"a": ["x", None]})  # type: ignore[dict-item]
    read = ExportTraceServiceRequest.FromString(encode_request([span]))
    value = read.resource_spans[0].scope_spans[0].spans[0].attributes[0].value
    assert [one.WhichOneof("value") for one in value.array_value.values] == ["string_value", None]
