"""Copy ended spans with other values; the spans themselves belong to the SDK and may have other readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource

_BASE_SIZE = 1000
"""Estimated bytes of a span without its attributes."""


def text_size(attributes: Mapping[str, Any] | None) -> int:
    """Add up the characters of the texts among attribute values."""
    if not attributes:
        return 0
    return sum(len(value) if isinstance(value, (str, bytes)) else 16 for value in attributes.values())


def size_of(span: ReadableSpan) -> int:
    """Estimate the bytes a span takes, in memory and on the wire."""
    size = _BASE_SIZE + text_size(span.attributes)
    return size + sum(text_size(event.attributes) + 200 for event in span.events)


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of a span's attributes; the SDK's own `copy` takes its lock once, not once per attribute."""
    attributes: Any = span.attributes
    try:
        return dict(attributes.copy())
    except AttributeError:  # a mapping of the caller's class, in a span that the SDK did not make
        return dict(attributes)


def changed(
    span: ReadableSpan,
    *,
    attributes: Mapping[str, Any] | None = None,
    name: str | None = None,
    events: tuple[Any, ...] | None = None,
    links: tuple[Link, ...] | None = None,
    status: Status | None = None,
    resource: Resource | None = None,
) -> ReadableSpan:
    """Return a copy of a span with some parts replaced."""
    return ReadableSpan(
        name=span.name if name is None else name,
        context=span.context,
        parent=span.parent,
        resource=span.resource if resource is None else resource,
        attributes=span.attributes if attributes is None else cast("dict[str, Any]", attributes),
        events=span.events if events is None else events,
        links=span.links if links is None else links,
        kind=span.kind,
        status=span.status if status is None else status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def mapped(
    span: ReadableSpan,
    attributes: Callable[[Mapping[str, Any]], dict[str, Any]],
    text: Callable[[str], str] = str,
) -> ReadableSpan:
    """Return a copy of a span with every set of attributes and every other text replaced."""
    status = span.status
    return changed(
        span,
        name=text(span.name),
        attributes=attributes(span.attributes or {}),
        events=tuple(
            Event(text(event.name), attributes(event.attributes or {}), event.timestamp) for event in span.events
        ),
        links=tuple(Link(link.context, attributes(link.attributes or {})) for link in span.links),
        status=Status(status.status_code, text(status.description)) if status.description else status,
    )


def without_surrogates(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of a span whose texts can be encoded as UTF-8."""

    def clean(value: Any) -> Any:  # noqa: ANN401 (an attribute value)
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()
        if isinstance(value, (list, tuple)):
            return tuple(clean(one) for one in cast("tuple[Any, ...]", value))
        return value

    return mapped(span, lambda attributes: {clean(name): clean(one) for name, one in attributes.items()}, clean)
