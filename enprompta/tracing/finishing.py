"""Prepare an ended span for sending: prompt link, session, contents, redaction; runs in the export thread."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.trace import Status, StatusCode

from enprompta._common import log
from enprompta._common import semantic_conventions as names
from enprompta.tracing.contents import completed, without_contents
from enprompta.tracing.prompt_links import MEMORY
from enprompta.tracing.scopes import scope_of
from enprompta.tracing.spans_read import attributes_of, changed, mapped

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from enprompta.tracing.redaction import Redaction

MAX_TRACES = 10_000
"""Traces with a model call that are remembered until their first span ends."""
_MODEL_MARKS = (names.LLM_MODEL_NAME, names.GEN_AI_REQUEST_MODEL, names.GEN_AI_RESPONSE_MODEL)
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

    def finish(self, span: ReadableSpan) -> ReadableSpan | None:
        """Return the span to send; None if that failed, so that nothing unprepared is ever sent."""
        try:
            return self._finished(span)
        except Exception as error:  # noqa: BLE001 (contents are the caller's, and may be anything)
            log.event(logging.WARNING, "span_dropped", error=type(error).__name__)
            return None

    def _finished(self, span: ReadableSpan) -> ReadableSpan:
        attributes = attributes_of(span)
        scope = scope_of(span)
        if scope is not None:
            attributes = {**scope.session, **attributes}
        if scope is not None and scope.prompt and _is_model_call(attributes):
            attributes.update(scope.prompt)
        else:
            attributes.update(self._link(span, attributes))
        if not self._is_captured:
            span = mapped(span, without_contents)
            attributes = without_contents(attributes)
            if span.status.description:
                span = changed(span, status=Status(span.status.status_code))
        if self._needs_contents(span, attributes):
            is_error = span.status.status_code is StatusCode.ERROR
            attributes.update(completed(attributes, is_error=is_error, is_captured=self._is_captured))
        ready = changed(span, attributes=attributes)
        return ready if self._redact is None else self._redacted(ready, self._redact)

    def _needs_contents(self, span: ReadableSpan, attributes: dict[str, Any]) -> bool:
        """True for a model call, and for the first span of a trace without one: the service reads these two."""
        trace_id = cast("SpanContext", span.context).trace_id
        if _is_model_call(attributes):
            self._model_traces[trace_id] = None
            if len(self._model_traces) > MAX_TRACES:
                self._model_traces.pop(next(iter(self._model_traces)))
            return True
        return span.parent is None and trace_id not in self._model_traces

    def _link(self, span: ReadableSpan, attributes: dict[str, Any]) -> dict[str, str]:
        """Return the attributes of the prompt whose text the span carries, or that it executed."""
        prompt_id = attributes.get(names.PROMPT_ID)
        if isinstance(prompt_id, str):
            link = MEMORY.by_id(prompt_id, self._account)
        else:
            link = MEMORY.find(span, self._account)
        return {} if link is None else link.attributes()

    def _redacted(self, span: ReadableSpan, redact: Redaction) -> ReadableSpan:
        safe = redact.redact_span(span)
        self.redacted += _texts(span) != _texts(safe)
        return safe


def _texts(span: ReadableSpan) -> tuple[object, ...]:
    """Return the parts of a span that redaction may change, except its resource and scope, which other spans share."""
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    links = [dict(link.attributes or {}) for link in span.links]
    return span.name, dict(span.attributes or {}), span.status.description, events, links


def _is_model_call(attributes: dict[str, Any]) -> bool:
    kind = attributes.get(names.OPENINFERENCE_SPAN_KIND)
    return kind in _MODEL_KINDS or (kind is None and any(mark in attributes for mark in _MODEL_MARKS))
