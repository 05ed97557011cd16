"""Read ended spans once, into few objects: those of the SDK keep the garbage collector busy while they wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status

    from enprompta.tracing.scopes import Scope

_BASE_SIZE = 1000
"""Estimated bytes of a span without its attributes."""


class EndedSpan(NamedTuple):
    """A span that has ended, as it waits to be sent."""

    context: SpanContext
    parent: SpanContext | None
    name: str
    kind: SpanKind
    start_time: int
    end_time: int
    status: Status
    attributes: dict[str, Any]
    """A copy."""
    events: Sequence[Event]
    links: Sequence[Link]
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    resource: Resource
    instrumentation_scope: InstrumentationScope | None
    block: Scope | None
    """The session and the prompt of the block in which it started."""

    def readable(self) -> ReadableSpan:
        """Return a span of the SDK with the same contents."""
        return ReadableSpan(
            self.name, self.context, self.parent, self.resource, self.attributes, self.events, self.links, self.kind,
            status=self.status, start_time=self.start_time, end_time=self.end_time,
            instrumentation_scope=self.instrumentation_scope,
        )  # fmt: skip


def read_span(span: ReadableSpan, block: Scope | None = None) -> EndedSpan:
    """Read a span that has ended.

    Args:
        span: The span.
        block: The session and the prompt of the block in which it started.

    Raises:
        Exception: An attribute or event of the caller's class cannot be read.
    """
    context: Any = span.context  # is None only if the span was made by hand
    attributes, events, links = _part(span, "_attributes"), _part(span, "_events"), _part(span, "_links")
    return EndedSpan(
        context, span.parent, span.name, span.kind, span.start_time or 0, span.end_time or 0, span.status,
        _copied(attributes), events if len(events) else (), links if len(links) else (),
        getattr(attributes, "dropped", 0), getattr(events, "dropped", 0), getattr(links, "dropped", 0),
        span.resource, span.instrumentation_scope, block,
    )  # fmt: skip


def _part(span: ReadableSpan, name: str) -> Any:  # noqa: ANN401 (of the SDK, or of the caller's class)
    """Return an object of the SDK without the copy that its public property makes; that copy if there is none."""
    part = getattr(span, name, None)
    return getattr(span, name[1:]) if part is None else part


def _copied(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    try:
        copied: dict[str, Any] = attributes.copy()
    except AttributeError:  # a mapping of the caller's class, in a span that the SDK did not make
        copied = dict(attributes)
    return copied


def _text_size(attributes: Mapping[str, object] | None) -> int:
    """Add up the characters of the texts among attribute values."""
    return sum(len(value) if isinstance(value, (str, bytes)) else 16 for value in (attributes or {}).values())


def size_of(span: EndedSpan) -> int:
    """Estimate the bytes a span takes in memory."""
    return _BASE_SIZE + _text_size(span.attributes) + sum(_text_size(event.attributes) + 200 for event in span.events)
