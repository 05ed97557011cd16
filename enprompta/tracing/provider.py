"""A tracer provider that is separate from every other one in the process.

Its spans are children of spans of the same provider only. Where a span of another provider is current, such as that of
a web framework, the nearest block of this provider around it is the parent; without one, the span begins a trace and
has a link to that span. A parent in another process is kept. The sampling of other providers does not apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from enprompta.tracing.scopes import own, owner_of
from enprompta.tracing.spans_read import read_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.util.types import Attributes

    from enprompta.tracing.exporter import Exporter
    from enprompta.tracing.scopes import Scopes


class ExportProcessor(SpanProcessor):
    """Queues the ended spans of a provider for sending.

    Args:
        exporter: The exporter.
        scopes: Sessions and prompts of blocks.
    """

    def __init__(self, exporter: Exporter, scopes: Scopes) -> None:
        self._exporter = exporter
        self._scopes = scopes

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember the session and the prompt of the block in which a span starts."""
        self._scopes.started(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span."""
        context: Any = span.context
        block = self._scopes.ended(context.span_id)
        if context.trace_flags.sampled:
            try:
                ended = read_span(span, block)
            except Exception as error:  # noqa: BLE001 (contents are the caller's)
                self._exporter.count_invalid(error)
            else:
                self._exporter.put(ended)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send everything that waits; False if that took longer or failed."""
        return self._exporter.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Do nothing: the tracer that made this processor decides when to stop."""


class IsolatedProvider(TracerProvider):
    """A provider whose spans have no parents of other providers.

    Args:
        resource: The resource of all spans.
        sampler: Decides which traces to record; None records all.
    """

    def __init__(self, resource: Resource, sampler: Sampler | None) -> None:
        super().__init__(sampler=sampler or ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._nearest = otel_context.create_key("enprompta-nearest-span")

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        """Return a tracer whose spans are separate from those of other providers."""
        tracer = super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        if type(tracer) is Tracer:  # a tracer that does nothing if the SDK is disabled
            tracer.__class__ = IsolatedTracer  # the SDK has no other way to choose the class
            vars(tracer)["isolated"] = self
        return tracer

    def entered(self, span: trace.Span, context: Context) -> Context:
        """Return a context in which a span is current, also below spans of other providers."""
        return otel_context.set_value(self._nearest, span, trace.set_span_in_context(span, context))

    def nearest(self, context: Context | None) -> trace.Span | None:
        """Return the innermost span that `entered` made current."""
        found = otel_context.get_value(self._nearest, context)
        return found if isinstance(found, trace.Span) else None


class IsolatedTracer(Tracer):
    """A tracer of an `IsolatedProvider`."""

    isolated: IsolatedProvider

    def start_span(  # noqa: PLR0917 (the SDK's signature)
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 (as above)
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 (as above)
    ) -> trace.Span:
        """Start a span below the nearest span of the same provider."""
        if context is None:
            context = otel_context.get_current()  # once, instead of at each step of the SDK
        current = trace.get_current_span(context)
        if current is not trace.INVALID_SPAN and owner_of(current) is not self.isolated:
            other = current.get_span_context()
            nearest = self.isolated.nearest(context)
            if nearest is not None:
                context = trace.set_span_in_context(nearest, context)
            elif other.is_valid and not other.is_remote:
                context = trace.set_span_in_context(trace.INVALID_SPAN, context)
                links = [*(links or ()), trace.Link(other)]
        span = super().start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )
        own(span, self.isolated)
        return span
