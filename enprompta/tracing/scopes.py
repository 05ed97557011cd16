"""Sessions and prompts that apply to every span started inside a block, without a change to the spans themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

MAX_OPEN = 100_000
"""Open spans with a scope; beyond that the oldest lose it, so that spans that never end take no memory."""

_OWNER = "enprompta_owner"


class Scope(NamedTuple):
    """Session and prompt of the spans started in a block."""

    session: Mapping[str, str]
    """Attributes for every span."""
    prompt: Mapping[str, str]
    """Attributes for model calls."""


class Scopes:
    """The scopes of one tracer; each tracer has its own, so that accounts never mix."""

    def __init__(self) -> None:
        self._key = otel_context.create_key("enprompta-scope")
        self._open: dict[int, Scope] = {}
        self._is_used = False

    def entered(self, *, session: Mapping[str, str] | None = None, prompt: Mapping[str, str] | None = None) -> Context:
        """Return the current context with attributes for the spans started in it."""
        outer = otel_context.get_value(self._key)
        if not isinstance(outer, Scope):
            outer = Scope({}, {})
        scope = Scope(outer.session if session is None else session, outer.prompt if prompt is None else prompt)
        self._is_used = True
        return otel_context.set_value(self._key, scope)

    def started(self, span: Span, context: Context | None) -> None:
        """Remember the scope in which a span starts."""
        if not self._is_used:
            return
        found = otel_context.get_value(self._key, context)
        if isinstance(found, Scope):
            if len(self._open) >= MAX_OPEN:
                self._open.pop(next(iter(self._open)), None)
            self._open[span.get_span_context().span_id] = found

    def ended(self, span_id: int) -> Scope | None:
        """Return the scope in which a span that has ended was started; None if there was none."""
        return self._open.pop(span_id, None)


def own(span: object, owner: object) -> None:
    """Mark a span as one of a provider."""
    setattr(span, _OWNER, owner)


def owner_of(span: object) -> object:
    """Return the provider that started a span; None for a span of a provider outside this package."""
    return getattr(span, _OWNER, None)
