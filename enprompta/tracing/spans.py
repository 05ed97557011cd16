"""Spans of a program: `with tracing.span(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from enprompta._common import semantic_conventions as names
from enprompta.errors import ConfigurationError
from enprompta.tracing.contents import write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext, Status
    from opentelemetry.util.types import Attributes, AttributeValue

    from enprompta.tracing.provider import IsolatedProvider
    from enprompta.tracing.scopes import Scopes

SpanKind: TypeAlias = Literal["chain", "llm", "tool", "retrieval", "embedding", "agent"]

# The kind in OpenInference, and the operation in the GenAI conventions if they have one.
_KINDS: dict[str, tuple[str, str | None]] = {
    "chain": ("CHAIN", None),
    "llm": ("LLM", "chat"),
    "tool": ("TOOL", "execute_tool"),
    "retrieval": ("RETRIEVER", "retrieval"),
    "embedding": ("EMBEDDING", "embeddings"),
    "agent": ("AGENT", "invoke_agent"),
}


def kind_attributes(kind: str, name: str) -> dict[str, str]:
    """Return the attributes that say what a span is, in both conventions.

    Raises:
        ConfigurationError: The kind is unknown.
    """
    if kind not in _KINDS:
        raise ConfigurationError(f"kind must be one of {', '.join(_KINDS)}, not {kind!r}")
    openinference, operation = _KINDS[kind]
    attributes = {names.OPENINFERENCE_SPAN_KIND: openinference}
    if operation is not None:
        attributes[names.GEN_AI_OPERATION_NAME] = operation
    if kind == "tool":
        attributes |= {names.TOOL_NAME: name, names.GEN_AI_TOOL_NAME: name}
    if kind == "agent":
        attributes[names.GEN_AI_AGENT_NAME] = name
    return attributes


class TracedSpan(trace.Span):
    """An OpenTelemetry span with methods to record its input and output.

    Args:
        span: The span, which is also `self.otel`.
        is_captured: False ignores inputs and outputs.
    """

    def __init__(self, span: trace.Span, *, is_captured: bool) -> None:
        self.otel = span
        self._is_captured = is_captured

    def set_input(self, value: object) -> None:
        """Record the input: text as it is, any other value as JSON."""
        self._set(names.INPUT_VALUE, names.INPUT_MIME_TYPE, value)

    def set_output(self, value: object) -> None:
        """Record the output: text as it is, any other value as JSON."""
        self._set(names.OUTPUT_VALUE, names.OUTPUT_MIME_TYPE, value)

    def _set(self, name: str, mime_type: str, value: object) -> None:
        if self._is_captured and self.otel.is_recording():
            text, kind = write(value)
            self.otel.set_attributes({name: text, mime_type: kind})

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute."""
        self.otel.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        self.otel.set_attributes(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event."""
        self.otel.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link to another span."""
        self.otel.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Replace the name."""
        self.otel.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status."""
        self.otel.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 (the signature of OpenTelemetry)
    ) -> None:
        """Record an exception as an event."""
        self.otel.record_exception(exception, attributes, timestamp, escaped)

    def is_recording(self) -> bool:
        """True until the span ends."""
        return self.otel.is_recording()

    def get_span_context(self) -> SpanContext:
        """Return the ids of the span."""
        return self.otel.get_span_context()

    def end(self, end_time: int | None = None) -> None:
        """End the span; leaving its `with` block does it too."""
        if self.otel.is_recording():
            self.otel.end(end_time)


class SpanBlock:
    """A span that is current within a block: `with` or `async with`; a session id is that of all spans inside, too."""

    def __init__(
        self,
        tracer: trace.Tracer,
        provider: IsolatedProvider,
        scopes: Scopes,
        name: str,
        attributes: dict[str, AttributeValue],
        *,
        session_id: str | None,
        given: object,
        is_captured: bool,
    ) -> None:
        self._tracer = tracer
        self._provider = provider
        self._scopes = scopes
        self._name = name
        self._attributes = attributes
        self._session_id = session_id
        self._given = given
        self.is_captured = is_captured
        self._tokens: list[Token[Context]] = []
        self._spans: list[TracedSpan] = []

    def start(self) -> tuple[TracedSpan, Context]:
        """Start the span; return it with the context in which it is current."""
        context = otel_context.get_current()
        if self._session_id is not None:
            context = self._scopes.entered(session=session_attributes(self._session_id))
        span = self._tracer.start_span(self._name, context, attributes=self._attributes)
        context = self._provider.entered(span, context)
        traced = TracedSpan(span, is_captured=self.is_captured)
        if self._given is not None:
            traced.set_input(self._given)
        return traced, context

    def __enter__(self) -> TracedSpan:
        """Start the span and make it current."""
        span, context = self.start()
        self._spans.append(span)
        self._tokens.append(otel_context.attach(context))
        return span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Record an exception, which is raised again, and end the span."""
        otel_context.detach(self._tokens.pop())
        span = self._spans.pop()
        if exc is not None:
            fail(span, exc)
        span.end()

    async def __aenter__(self) -> TracedSpan:
        """Start the span and make it current."""
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Record an exception, which is raised again, and end the span."""
        self.__exit__(exc_type, exc, traceback)


def fail(span: TracedSpan, error: BaseException) -> None:
    """Record the exception that ends a span; the end of a generator is not an error."""
    if isinstance(error, GeneratorExit) or not span.is_recording():
        return
    span.set_attribute(names.ERROR_TYPE, type(error).__qualname__)
    try:
        span.record_exception(error, escaped=True)
        description = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 (the exception's own `__str__`)
        description = type(error).__name__
    span.set_status(StatusCode.ERROR, description)


def session_attributes(session_id: object) -> dict[str, str]:
    """Return the attributes of a session, in the names of this service and of both conventions.

    Raises:
        ConfigurationError: The id is not text, or empty.
    """
    if not isinstance(session_id, str) or not session_id:
        raise ConfigurationError(f"session_id must be text that is not empty, not {session_id!r}")
    return dict.fromkeys((names.SESSION, names.SESSION_ID, names.GEN_AI_CONVERSATION_ID), session_id)


class PromptBlock:
    """A block whose model calls are linked to a prompt: `with` or `async with`."""

    def __init__(self, scopes: Scopes, attributes: Mapping[str, str]) -> None:
        self._scopes = scopes
        self._attributes = attributes
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> None:
        """Begin the block."""
        self._tokens.append(otel_context.attach(self._scopes.entered(prompt=self._attributes)))

    def __exit__(self, *error: object) -> None:
        """End the block."""
        otel_context.detach(self._tokens.pop())

    async def __aenter__(self) -> None:
        """Begin the block."""
        self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        """End the block."""
        self.__exit__(*error)
