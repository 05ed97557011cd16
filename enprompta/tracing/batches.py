"""Encode ended spans as OTLP requests: `application/x-protobuf`, gzip, at most 512 spans each."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from enprompta.tracing.otlp import encode_request
from enprompta.tracing.spans_read import size_of, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

MAX_BATCH_SPANS = 512
MAX_BATCH_BYTES = 4_000_000
"""Estimated bytes of a batch before compression; a larger span is a batch by itself."""

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Accept": "application/x-protobuf"}


class EncodedBatch(NamedTuple):
    """One request's worth of spans."""

    body: bytes
    """Compressed with gzip."""
    span_count: int


def encode(
    spans: Iterable[ReadableSpan], finish: Callable[[ReadableSpan], ReadableSpan | None], failed: Callable[[], None]
) -> Iterator[EncodedBatch]:
    """Prepare and encode spans.

    Args:
        spans: The ended spans.
        finish: Returns a span as it is to be sent, or None to drop it.
        failed: Is called for each span that cannot be encoded.
    """
    chunk: list[ReadableSpan] = []
    size = 0
    for span in spans:
        finished = finish(span)
        if finished is None:
            failed()
            continue
        more = size_of(finished)
        if chunk and (len(chunk) == MAX_BATCH_SPANS or size + more > MAX_BATCH_BYTES):
            yield from _encoded(chunk, failed)
            chunk, size = [], 0
        chunk.append(finished)
        size += more
    if chunk:
        yield from _encoded(chunk, failed)


def _encoded(spans: Sequence[ReadableSpan], failed: Callable[[], None]) -> Iterator[EncodedBatch]:
    """Encode a batch; if that fails, span by span, so that one span does not take the others with it."""
    try:
        yield EncodedBatch(_compressed(spans), len(spans))
    except Exception:  # noqa: BLE001 (lone surrogates, numbers beyond 64 bits: whatever the encoder refuses)
        for span in spans:
            try:
                yield EncodedBatch(_compressed([without_surrogates(span)]), 1)
            except Exception:  # noqa: BLE001 (as above)
                failed()


def _compressed(spans: Sequence[ReadableSpan]) -> bytes:
    return gzip.compress(encode_request(spans), compresslevel=1, mtime=0)


def rejected_spans(content: bytes, content_type: str) -> tuple[int, str]:
    """Read how many spans of an accepted request the service rejected, and why (OTLP, "Partial Success")."""
    if "protobuf" not in content_type:
        return 0, ""
    try:
        partial = ExportTraceServiceResponse.FromString(content).partial_success
    except Exception:  # noqa: BLE001 (the service accepted the request; its comment cannot be read)
        return 0, ""
    return max(0, partial.rejected_spans), partial.error_message
