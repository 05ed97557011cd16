"""Encode ended spans as OTLP requests: `application/x-protobuf`, gzip."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from enprompta.tracing.otlp import TraceRequest, write_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

MAX_BATCH_BYTES = 4_000_000
"""Bytes of the spans of a batch before compression; a larger span is a batch by itself."""

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Accept": "application/x-protobuf"}


class EncodedBatch(NamedTuple):
    """One request's worth of spans."""

    body: bytes
    """Compressed with gzip."""
    span_count: int


def encode(
    spans: Iterable[ReadableSpan],
    finish: Callable[[ReadableSpan], tuple[ReadableSpan, Mapping[str, object]]],
    failed: Callable[[Exception], None],
) -> Iterator[EncodedBatch]:
    """Prepare and encode spans.

    Args:
        spans: The ended spans.
        finish: Returns a span as it is to be sent, and its attributes.
        failed: Is called with the error for each span that cannot be prepared or encoded.
    """
    request = TraceRequest()
    for span in spans:
        try:
            finished, attributes = finish(span)
            written = write_span(finished, attributes)
            if request.span_count and request.size + len(written) > MAX_BATCH_BYTES:
                yield _compressed(request)
                request = TraceRequest()
            request.add(finished, written)
        except Exception as error:  # noqa: BLE001 (contents are the caller's; one span takes no other with it)
            failed(error)
    if request.span_count:
        yield _compressed(request)


def _compressed(request: TraceRequest) -> EncodedBatch:
    return EncodedBatch(gzip.compress(request.content(), compresslevel=1, mtime=0), request.span_count)


def rejected_spans(content: bytes, content_type: str) -> tuple[int, str]:
    """Read how many spans of an accepted request the service rejected, and why (OTLP, "Partial Success")."""
    if "protobuf" not in content_type:
        return 0, ""
    try:
        partial = ExportTraceServiceResponse.FromString(content).partial_success
    except Exception:  # noqa: BLE001 (the service accepted the request; its comment cannot be read)
        return 0, ""
    return max(0, partial.rejected_spans), partial.error_message
