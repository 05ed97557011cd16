"""Trace your application: `tracing = Tracing(client)`, extra `enprompta[tracing]`.

    from enprompta import Enprompta
    from enprompta.tracing import Tracing

    tracing = Tracing(Enprompta(), service_name="shop")
    tracing.instrument("openai")

    @tracing.observe(kind="tool")
    def look_up(order: str) -> str: ...

Spans are plain OpenTelemetry spans of a separate provider, sent in the background. Model calls are linked to the prompt
version whose text they carry.
"""

from __future__ import annotations

try:
    from enprompta.tracing.redaction import Redaction
    from enprompta.tracing.spans import SpanKind, TracedSpan
    from enprompta.tracing.stats import TracingStats
    from enprompta.tracing.tracing import Tracing
except ModuleNotFoundError as _gone:
    if not (_gone.name or "").startswith("opentelemetry"):
        raise
    _message = 'enprompta.tracing needs the OpenTelemetry SDK: pip install "enprompta[tracing]"'
    raise ImportError(_message, name=_gone.name) from _gone

__all__ = ["Redaction", "SpanKind", "TracedSpan", "Tracing", "TracingStats"]
