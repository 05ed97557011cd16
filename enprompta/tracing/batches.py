"""Encode ended spans as OTLP requests: `application/x-protobuf`, gzip; and what waits until they are sent."""

from __future__ import annotations

import gzip
import random
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from enprompta._common.clock import monotonic
from enprompta.errors import APIError, APIStatusError
from enprompta.tracing.otlp import TraceRequest, write_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from enprompta.tracing.spans_read import EndedSpan
    from enprompta.tracing.spool import SpooledBatch

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "Accept": "application/x-protobuf"}
FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
SHORT_SECONDS = 0.2
"""Pause between two attempts of a flush."""
MAX_RETRY_AFTER = 300.0
"""Longest pause, in seconds, that the service may ask for."""

_REJECTED = frozenset({400, 405, 411, 413, 414, 415, 422, 431})


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

    def __init__(self, finish: Callable[[EndedSpan], EndedSpan], failed: Callable[[Exception], None]) -> None:
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


@dataclass(slots=True, eq=False)
class Outgoing:
    """An encoded batch that has not been sent yet."""

    count: int
    body: bytes | None
    """None if it must be read from the spool."""
    spooled: SpooledBatch | None = None
    is_resent: bool = False


@dataclass(slots=True, eq=False)
class FlushRequest:
    """A caller that waits until everything has been sent."""

    ends: float
    """In monotonic seconds."""
    done: SimpleQueue[bool] = field(default_factory=SimpleQueue[bool])
    grace: float = 0.0
    """Seconds after the last accepted batch during which to continue; 0 for a fixed end."""
    latest: float = 0.0
    """End of all extensions, in monotonic seconds."""


TURN = FlushRequest(inf)
"""A turn of the thread by itself: sends what is due."""


def is_rejected(error: APIError) -> bool:
    """True if the same request would fail again, so that its spans are dropped.

    Spans refused for missing credentials, scopes or credits are kept: those can be given while the process runs.
    """
    return isinstance(error, APIStatusError) and error.status_code in _REJECTED


def reason_of(error: APIError) -> str:
    """Describe a failure in a line, with what to do about a refusal."""
    text = error.message.splitlines()[0][:300] if error.message else type(error).__name__
    if isinstance(error, APIStatusError) and error.status_code in {401, 403}:
        return f"{text} (the credentials need the scope traces:write)"
    return text


class Backoff:
    """Exponential pauses between failed requests, with full jitter on the upper half."""

    __slots__ = ("_due_at", "_failures")

    def __init__(self) -> None:
        self._failures = 0
        self._due_at = 0.0

    @property
    def is_due(self) -> bool:
        """True if the pause is over."""
        return monotonic() >= self._due_at

    @property
    def short_pause(self) -> float:
        """Seconds before another attempt of a caller that waits."""
        return SHORT_SECONDS * self._failures

    def failed(self, retry_after: float | None) -> None:
        """Begin a pause, at least as long as the service asks for."""
        self._failures += 1
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures - 1, 10))
        pause = longest * (0.5 + random.random() / 2)  # noqa: S311 (spreads load)
        self._due_at = monotonic() + max(pause, min(retry_after or 0.0, MAX_RETRY_AFTER))

    def succeeded(self) -> None:
        """End the series of failures."""
        self._failures = 0
        self._due_at = 0.0
