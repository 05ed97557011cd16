"""Redact every part of a finished span that can hold text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enprompta.tracing.redaction.documents import Forest

Finish = "Callable[[Any], Any]"


class SpanTree:
    """The texts of a span in a forest, and the way back.

    Args:
        forest: Where the texts are added.
        span: The span.
    """

    def __init__(self, forest: Forest, span: ReadableSpan) -> None:
        self._span = span
        add = forest.add
        scope = span.instrumentation_scope
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
        self._resource = _attributes(forest, span.resource.attributes, "resource")
        self._resource_schema = add(span.resource.schema_url, "schema", "")
        self._states = [_state(forest, one) for one in (span.context, span.parent)]
        self._scope = None
        if scope is not None:
            texts = [add(one, "scope", "") for one in (scope.name, scope.version, scope.schema_url)]
            self._scope = texts, _attributes(forest, scope.attributes, "scope")

    def rebuilt(self, value_of: Callable[[Any], Any]) -> ReadableSpan:
        """Return a copy of the span with the redacted texts."""
        span = self._span
        scope = None
        if self._scope is not None:
            texts, attributes = self._scope
            name, version, schema = (value_of(one) for one in texts)
            scope = InstrumentationScope(name, version, schema, value_of(attributes))
        context, parent = (
            _context(one, value_of(state)) for one, state in zip((span.context, span.parent), self._states, strict=True)
        )
        return ReadableSpan(
            name=value_of(self._name),
            context=context,
            parent=parent,
            resource=Resource(value_of(self._resource), value_of(self._resource_schema)),
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


def _attributes(forest: Forest, attributes: Mapping[str, Any] | None, path: str, order: tuple[int, ...] = ()) -> Any:  # noqa: ANN401
    return forest.mapping((attributes or {}).items(), path, order, 0)


def _state(forest: Forest, context: SpanContext | None) -> Any:  # noqa: ANN401
    state = {} if context is None else dict(context.trace_state)
    return forest.mapping(state.items(), "state", (), 0)


def _context(context: SpanContext | None, state: dict[str, str]) -> SpanContext | None:
    """Return a context with the redacted trace state; entries that are no longer valid are left out by `TraceState`."""
    if context is None:
        return None
    trace_state = context.trace_state if dict(context.trace_state) == state else TraceState(list(state.items()))
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, trace_state)
