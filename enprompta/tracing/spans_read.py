"""Copy ended spans with other values; the spans themselves belong to the SDK and may have other readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import Link, SpanContext, Status

_BASE_SIZE = 1000
"""Estimated bytes of a span without its attributes."""


def _text_size(attributes: Mapping[str, object] | None) -> int:
    """Add up the characters of the texts among attribute values."""
    return sum(len(value) if isinstance(value, (str, bytes)) else 16 for value in (attributes or {}).values())


def size_of(span: ReadableSpan) -> int:
    """Estimate the bytes a span takes in memory."""
    return _BASE_SIZE + _text_size(span.attributes) + sum(_text_size(event.attributes) + 200 for event in span.events)


def attributes_of(span: ReadableSpan) -> dict[str, object]:
    """Return a copy of a span's attributes; the SDK's own `copy` is faster than reading them one by one."""
    attributes: Any = span.attributes
    try:
        copied: dict[str, object] = attributes.copy()
    except AttributeError:  # a mapping of the caller's class, in a span that the SDK did not make
        copied = dict(attributes)
    return copied


def events_of(span: ReadableSpan) -> Sequence[Event]:
    """Return the events of a span; the SDK copies even an empty list, which takes longer than to see that it is one."""
    return () if _is_empty(span, "_events") else span.events


def links_of(span: ReadableSpan) -> Sequence[Link]:
    """Return the links of a span."""
    return () if _is_empty(span, "_links") else span.links


def _is_empty(span: ReadableSpan, name: str) -> bool:
    held: Sequence[object] | None = getattr(span, name, None)
    return held is not None and len(held) == 0


def context_of(span: ReadableSpan) -> SpanContext:
    """Return the ids of a span, which has some unless it was made by hand."""
    context: Any = span.context
    return context


def changed(
    span: ReadableSpan,
    attributes: Mapping[str, Any],
    *,
    events: Sequence[Event] | None = None,
    links: Sequence[Link] | None = None,
    status: Status | None = None,
) -> ReadableSpan:
    """Return a copy of a span with some parts replaced."""
    return ReadableSpan(
        span.name, span.context, span.parent, span.resource, attributes,
        span.events if events is None else events, span.links if links is None else links, span.kind,
        status=status or span.status, start_time=span.start_time, end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip
