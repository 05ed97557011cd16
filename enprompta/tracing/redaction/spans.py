"""Redact every part of a finished span that can hold text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceState

from enprompta.tracing.redaction.documents import Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enprompta.tracing.redaction.documents import Forest, Node

    ValueOf = Callable[[Node], Any]


class SpanTree:
    """The texts of a span in a forest, except those of its resource and scope, and the way back.

    Args:
        forest: Where the texts are added.
        span: The span.
    """

    def __init__(self, forest: Forest, span: ReadableSpan) -> None:
        self._span = span
        add = forest.add
        self._name = add(span.name, "name", "")
        self._status = add(span.status.description, "status", "")
        self._attributes = _attributes(forest, span.attributes, "span")
        self._events = [
            (event, add(event.name, "event", ""), _attributes(forest, event.attributes, "events.#", (at,)))
            for at, event in enumerate(span.events)
        ]
        self._links = [
            (link, _state(forest, link.context), _attributes(forest, link.attributes, "links.#", (at,)))
            for at, link in enumerate(span.links)
        ]
        self._states = [_state(forest, one) for one in (span.context, span.parent)]

    def rebuilt(self, value_of: ValueOf, resource: Resource, scope: InstrumentationScope | None) -> ReadableSpan:
        """Return a copy of the span with the redacted texts, and the redacted resource and scope."""
        span = self._span
        context, parent = (
            _context(one, value_of(state)) for one, state in zip((span.context, span.parent), self._states, strict=True)
        )
        return ReadableSpan(
            name=value_of(self._name),
            context=context,
            parent=parent,
            resource=resource,
            attributes=value_of(self._attributes),
            events=[
                Event(value_of(name), value_of(attributes), event.timestamp) for event, name, attributes in self._events
            ],
            links=[
                Link(_context(link.context, value_of(state)) or link.context, value_of(attributes))
                for link, state, attributes in self._links
            ],
            kind=span.kind,
            status=Status(span.status.status_code, value_of(self._status)),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=scope,
        )


class ResourceTree:
    """The texts of a resource in a forest, and the way back."""

    def __init__(self, forest: Forest, resource: Resource) -> None:
        self._attributes = _attributes(forest, resource.attributes, "resource")
        self._schema = forest.add(resource.schema_url, "schema", "")

    def rebuilt(self, value_of: ValueOf) -> Resource:
        """Return a copy of the resource with the redacted texts."""
        return Resource(value_of(self._attributes), value_of(self._schema))


class ScopeTree:
    """The texts of an instrumentation scope in a forest, and the way back."""

    def __init__(self, forest: Forest, scope: InstrumentationScope) -> None:
        self._texts = [forest.add(one, "scope", "") for one in (scope.name, scope.version, scope.schema_url)]
        self._attributes = _attributes(forest, scope.attributes, "scope")

    def rebuilt(self, value_of: ValueOf) -> InstrumentationScope:
        """Return a copy of the scope with the redacted texts."""
        name, version, schema = map(value_of, self._texts)
        return InstrumentationScope(name, version, schema, value_of(self._attributes))


def emptied(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of a span with its identity and times, and no contents."""
    return ReadableSpan(
        name="<dropped>",
        context=_context(span.context, {}),
        parent=_context(span.parent, {}),
        resource=Resource({}),
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _attributes(
    forest: Forest, attributes: Mapping[str, object] | None, path: str, order: tuple[int, ...] = ()
) -> Fields:
    return forest.mapping(attributes.items(), path, order, 0) if attributes else Fields([])


def _state(forest: Forest, context: SpanContext | None) -> Fields:
    return _attributes(forest, context.trace_state if context else None, "state")


def _context(context: SpanContext | None, state: dict[str, str]) -> SpanContext | None:
    """Return a context with the redacted trace state; entries that are no longer valid are left out by `TraceState`."""
    if context is None:
        return None
    trace_state = context.trace_state if dict(context.trace_state) == state else TraceState(list(state.items()))
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, trace_state)
