"""Prepare an ended span for sending: prompt link, session, contents, redaction; runs in the export thread."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, Status, StatusCode

from enprompta._common import semantic_conventions as names
from enprompta.tracing.contents import completed, without_contents
from enprompta.tracing.prompt_links import MEMORY
from enprompta.tracing.spans_read import EndedSpan, read_span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from enprompta.tracing.redaction import Redaction

MAX_TRACES = 10_000
"""Traces with a model call that are remembered until their first span ends."""
_MODEL_MARKS = frozenset({names.LLM_MODEL_NAME, names.GEN_AI_REQUEST_MODEL, names.GEN_AI_RESPONSE_MODEL})
_MODEL_KINDS = frozenset({"LLM", "EMBEDDING"})


class Finisher:
    """Turns the spans of one tracer into what is sent.

    Args:
        redact: The redaction; None sends contents as they are.
        is_captured: False removes all contents.
        account: The account, to link its prompts only.
    """

    def __init__(self, redact: Redaction | None, account: str, *, is_captured: bool) -> None:
        self._redact = redact
        self._account = account
        self._is_captured = is_captured
        self._model_traces: dict[int, None] = {}
        self.redacted: int = 0

    def after_fork(self) -> None:
        """Replace what the export thread of the parent may have locked."""
        self._redact = copy.copy(self._redact)
        self.redacted: int = 0

    def finish(self, span: EndedSpan) -> EndedSpan:
        """Return the span to send; its attributes may be changed in place.

        Raises:
            Exception: Anything, as contents are the caller's; the span must not be sent then.
        """
        is_model_call = _is_model_call(span.attributes)
        if span.block is not None:
            span = span._replace(attributes={**span.block.session, **span.attributes})
        if span.block is not None and span.block.prompt and is_model_call:
            span.attributes.update(span.block.prompt)
        else:
            span.attributes.update(self._link(span))
        if not self._is_captured:
            span = _without_contents(span)
        if self._needs_contents(span, is_model_call=is_model_call):
            is_error = span.status.status_code is StatusCode.ERROR
            span.attributes.update(completed(span.attributes, is_error=is_error, is_captured=self._is_captured))
        if self._redact is None:
            return span
        ready = span.readable()
        safe = self._redact.redact_span(ready)
        if safe is ready:
            return span
        self.redacted += _texts(ready) != _texts(safe)
        return read_span(safe)._replace(
            dropped_attributes=span.dropped_attributes,
            dropped_events=span.dropped_events,
            dropped_links=span.dropped_links,
        )

    def _needs_contents(self, span: EndedSpan, *, is_model_call: bool) -> bool:
        """True for a model call, and for the first span of a trace without one: the service reads these two."""
        if is_model_call:
            self._model_traces[span.context.trace_id] = None
            if len(self._model_traces) > MAX_TRACES:
                self._model_traces.pop(next(iter(self._model_traces)))
            return True
        return span.parent is None and span.context.trace_id not in self._model_traces

    def _link(self, span: EndedSpan) -> dict[str, str]:
        """Return the attributes of the prompt whose text the span carries, or that it executed."""
        prompt_id = span.attributes.get(names.PROMPT_ID)
        if isinstance(prompt_id, str):
            link = MEMORY.by_id(prompt_id, self._account)
        else:
            link = MEMORY.find(span, self._account)
        return {} if link is None else link.attributes()


def _without_contents(span: EndedSpan) -> EndedSpan:
    """Return a copy of a span without contents, in its events, links and status too."""
    events = [Event(one.name, without_contents(one.attributes or {}), one.timestamp) for one in span.events]
    links = [Link(one.context, without_contents(one.attributes or {})) for one in span.links]
    attributes, status = without_contents(span.attributes), Status(span.status.status_code)
    return span._replace(attributes=attributes, events=events, links=links, status=status)


def _texts(span: ReadableSpan) -> tuple[object, ...]:
    """Return the parts of a span that redaction may change, except its resource and scope, which other spans share."""
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    links = [dict(link.attributes or {}) for link in span.links]
    return span.name, dict(span.attributes or {}), span.status.description, events, links


def _is_model_call(attributes: dict[str, object]) -> bool:
    kind = attributes.get(names.OPENINFERENCE_SPAN_KIND)
    return kind in _MODEL_KINDS or (kind is None and not _MODEL_MARKS.isdisjoint(attributes))
