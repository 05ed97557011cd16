"""Encode ended spans as OTLP requests: `application/x-protobuf`, gzip."""

from __future__ import annotations

import gzip
from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from enprompta.tracing.otlp import TraceRequest, write_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from enprompta.tracing.spans_read import EndedSpan

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Accept": "application/x-protobuf"}


class EncodedBatch(NamedTuple):
    """One request's worth of spans."""

    body: bytes
    """Compressed with gzip."""
    span_count: int


class Encoder:
    """Encodes spans, a few at a time, into batches. Threads and signal handlers that call it do not share a batch.

    Args:
        finish: Returns a span as it is to be sent.
        failed: Is called with the error for each span that cannot be prepared or encoded.
    """

    def __init__(
        self,
        finish: Callable[[EndedSpan], EndedSpan],
        failed: Callable[[Exception], None],
    ) -> None:
        self._finish = finish
        self._failed = failed
        self._open: deque[TraceRequest] = deque()

    @property
    def since(self) -> float:
        """When the oldest span that waits has ended, in monotonic seconds; inf without one, -inf with a full batch."""
        return min((-inf if one.is_full(0) else one.since for one in list(self._open)), default=inf)

    def encode(self, spans: Iterable[EndedSpan], since: float) -> Iterator[EncodedBatch]:
        """Prepare and encode spans that have ended since a time; yield each batch that has no room for the next one."""
        try:
            request = self._open.pop()
        except IndexError:
            request = TraceRequest(since)
        try:
            for span in spans:
                try:
                    finished = self._finish(span)
                    written = write_span(finished)
                    if request.is_full(len(written)):
                        full, request = request, TraceRequest(since)
                        yield _compressed(full)
                    request.add(finished, written)
                except Exception as error:  # noqa: BLE001 (contents are the caller's; one span takes no other with it)
                    self._failed(error)
        finally:
            if request.span_count:
                self._open.append(request)

    def close(self) -> Iterator[EncodedBatch]:
        """Yield the batches that are not full."""
        with suppress(IndexError):  # none is left
            while True:
                yield _compressed(self._open.popleft())


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
