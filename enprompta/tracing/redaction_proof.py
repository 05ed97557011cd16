"""Show that redaction works: plant secrets in a span, and search what would be sent for them."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from enprompta.tracing.otlp import write_span
from enprompta.tracing.redaction import Redaction
from enprompta.tracing.spans_read import read_span

PLANTED = ("canary@example.com", "4111 1111 1111 1111", "ep_test_canary0123456789")


def secrets_that_pass() -> list[str]:
    """Return the planted secrets that redaction does not remove; empty if it works."""
    attributes = {f"planted.{number}": text for number, text in enumerate(PLANTED)}
    span = ReadableSpan(" ".join(PLANTED), SpanContext(1, 2, is_remote=False), attributes=attributes)
    sent = write_span(read_span(Redaction().redact_span(span)))
    return [text for text in PLANTED if text.encode() in sent]
