"""One background thread that sends ended spans; ending a span only appends to a queue.

    put -> queue of spans -> open batch -> encoded batches, on disk if there is a spool -> the service

Callers never wait for the thread, except in `flush` and `shutdown`, and share no lock with it that a signal handler
could find locked. A queue that is full drops the newest span and counts it.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from threading import RLock, Thread
from time import sleep
from typing import TYPE_CHECKING, Protocol

from enprompta._common import log
from enprompta._common.clock import monotonic
from enprompta.errors import APIError, APIStatusError
from enprompta.tracing.batches import (
    HEADERS,
    TURN,
    Backoff,
    EncodedBatch,
    Encoder,
    FlushRequest,
    Outgoing,
    is_rejected,
    reason_of,
    rejected_spans,
)
from enprompta.tracing.otlp import MAX_BATCH_SPANS
from enprompta.tracing.spans_read import size_of
from enprompta.tracing.spool import DamagedFileError, Spool
from enprompta.tracing.stats import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from enprompta._core.steps import HttpReply
    from enprompta.tracing.spans_read import EndedSpan

INGEST_PATH = "/api/ingest/otlp/v1/traces"
TURN_SPANS = 120
"""Spans in a turn of the thread: so few that waiting spans do not start the program's garbage collector."""
LONGEST_TURN = 0.0007
"""Seconds for which the thread may keep the interpreter to itself; without pauses it would be 0.005."""
TURN_PAUSE = 0.00005
LONG_QUEUE = 4 * MAX_BATCH_SPANS
"""Waiting spans from which on the thread does not pause."""
REQUEST_SECONDS = 10.0
"""Deadline of one request to the service."""
FLUSH_ATTEMPTS = 3
LONGEST_SHUTDOWN = 30.0
"""Seconds after which a shutdown ends even while the service accepts spans."""
WARNING_SECONDS = 60.0
"""Seconds between two warnings that spans cannot be sent."""


class Poster(Protocol):
    """Sends bytes to the service; see `IngestClient`."""

    def post(self, path: str, content: bytes, headers: Mapping[str, str], *, seconds: float) -> HttpReply:
        """Send a request once."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Exporter:
    """Sends the spans of one tracer.

    Args:
        poster: Sends requests.
        finish: Prepares a span for sending; if it raises, the span is dropped.
        max_queue: Spans that may wait before they are encoded.
        max_bytes: Estimated bytes that waiting spans may take in memory.
        interval: Seconds after which waiting spans are sent, even if they do not fill a batch.
        spool: Keeps batches on disk; None keeps them in memory.
    """

    def __init__(
        self,
        poster: Poster,
        finish: Callable[[EndedSpan], EndedSpan],
        *,
        max_queue: int,
        max_bytes: int,
        interval: float,
        spool: Spool | None,
    ) -> None:
        self._poster = poster
        self._finish = finish
        self._max_queue = max_queue
        self._long = min(MAX_BATCH_SPANS, max_queue)
        self._max_bytes = max_bytes
        self._interval = interval
        self._spool = spool
        self.counters: Counters = Counters()
        self.is_shut_down: bool = False
        self._reset()
        if spool is not None:
            self._start()  # batches of earlier processes may wait

    def _reset(self) -> None:
        self._queue: deque[EndedSpan] = deque()
        self._lock = RLock()  # reentrant, because a signal handler may interrupt the thread that holds it
        self._queued_bytes = 0  # estimated only while the thread lags behind
        self._taken = 0  # spans taken from the queue so far
        self._encoder = Encoder(self._finish, self._count_unencodable)
        self._encoding = 0  # spans that are on their way from the queue to the outbox
        self._turn = self._last_turn = monotonic()  # when the thread woke, and the time before
        self._outbox: deque[Outgoing] = deque()
        self._outbox_bytes = 0
        self._wake: SimpleQueue[FlushRequest | None] = SimpleQueue()  # `put` is reentrant
        self._is_woken = False
        self._thread: Thread | None = None
        self._backoff = Backoff()
        self._warned_at = -inf
        self._progress_at = -inf

    def after_fork(self) -> None:
        """Start over in a child process; the parent sends what was waiting."""
        self._reset()
        self.counters = Counters()
        if self._spool is not None:
            self._spool.after_fork()

    @property
    def waiting(self) -> int:
        """Spans that wait to be sent."""
        return len(self._queue) + self._encoding + sum(batch.count for batch in list(self._outbox))

    def put(self, span: EndedSpan) -> None:
        """Queue an ended span, without waiting for anything."""
        queue = self._queue
        waiting = len(queue)
        if waiting >= self._long and not self._has_room(span, waiting):
            return
        queue.append(span)
        if waiting >= self._long - 1 and not self._is_woken:
            self._is_woken = True
            self._wake.put(None)
        if self._thread is None or self.is_shut_down:
            self._start()

    def _has_room(self, span: EndedSpan, waiting: int) -> bool:
        """Count a span that joins a long queue; False if it was dropped."""
        size = size_of(span)
        with self._lock:
            if waiting < self._max_queue and self._queued_bytes + self._outbox_bytes + size <= self._max_bytes:
                self._queued_bytes += size
                return True
            self.counters.queue_full += 1
            return False

    def _start(self) -> None:
        """Start the thread if there is none."""
        if self.is_shut_down:
            with self._lock:
                self.counters.unsent += len(self._queue)
                self._queue.clear()
            return
        with self._lock:
            if self._thread is not None:
                return
            self._thread = thread = Thread(target=self._run, name="enprompta-traces", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads are available, or the process is ending: `flush` sends in its caller
            self._thread = None

    def _run(self) -> None:
        seconds = self._interval
        while not self.is_shut_down:
            try:
                request = self._wake.get(timeout=seconds)
            except Empty:
                request = None
            self._is_woken = False
            before = self._taken
            try:
                self._work(request)
            except Exception as error:  # noqa: BLE001 (the thread must survive, whatever a custom transport raises)
                self._warn(f"{type(error).__name__}")
                self._backoff.failed(None)
            seconds = self._next_turn(self._taken - before, self._turn - self._last_turn)

    def _next_turn(self, taken: int, seconds: float) -> float:
        """Return the seconds until as many spans wait as a turn should have, or until the open batch is due."""
        longest = max(0.0, min(self._interval, self._encoder.since + self._interval - monotonic()))
        return min(longest, seconds * TURN_SPANS / taken) if taken else longest

    @property
    def _due_since(self) -> float:
        """Batches whose first span is older than this are sent, even if they are not full."""
        return self._turn - self._interval

    def _work(self, request: FlushRequest | None) -> None:
        """Send what is due; for a flush request, everything. What cannot be sent is encoded, and in the spool."""
        is_sent = False
        self._last_turn, self._turn = self._turn, monotonic()
        try:
            if request is not None:
                if self._spool is not None:  # on the disk first: the process may end as soon as the caller gives up
                    self._encode_all(request.ends, inf)
                is_sent = self._send_all(request, FLUSH_ATTEMPTS)
            elif self._backoff.is_due:
                is_sent = self._send_all(TURN, 1)
            if not is_sent:
                self._encode_all(inf, self._due_since if request is None else inf)
        finally:
            if request is not None:
                request.done.put(is_sent)

    def _take_over(self) -> None:
        """Queue the batches of processes that have ended."""
        if self._spool is not None:
            taken = [Outgoing(old.span_count, None, old, is_resent=True) for old in self._spool.take_over()]
            self._outbox.extendleft(reversed(taken))

    def _encode_all(self, ends: float, since: float) -> None:
        """Encode the spans in the queue, at most until a time; those that end meanwhile wait for the next turn.

        Batches that are not full stay open, unless their first span is at least as old as `since`.
        """
        due = len(self._queue)
        while due > 0 and monotonic() < ends:
            due -= self._encode() or due
        self._close_batches(since)

    def _encode(self) -> int:
        """Encode spans of the queue, as many as a batch holds at most; return their number."""
        before = self._taken
        for batch in self._encoder.encode(self._drained(), self._last_turn):
            self._add(batch)
        return self._taken - before

    def _close_batches(self, since: float) -> None:
        """Take batches that are full, or as old as `since`, on their way."""
        if self._encoder.since <= since:
            for batch in self._encoder.close():
                self._add(batch)

    def _drained(self) -> Iterator[EndedSpan]:
        """Take spans from the queue, one batch at most; pause now and then, so that the program's threads can run."""
        queue = self._queue
        began = monotonic()
        for _ in range(MAX_BATCH_SPANS):
            try:
                span = queue.popleft()
            except IndexError:
                break
            self._encoding += 1
            self._taken += 1
            yield span
            if monotonic() - began > LONGEST_TURN and len(queue) < LONG_QUEUE:
                sleep(TURN_PAUSE)
                began = monotonic()
        if self._queued_bytes:
            with self._lock:
                left = len(queue)
                # In proportion: the estimates of single spans are not kept.
                self._queued_bytes = self._queued_bytes * left // (left + MAX_BATCH_SPANS)

    def _count_unencodable(self, error: Exception) -> None:
        self._encoding -= 1
        self.count_invalid(error)

    def count_invalid(self, error: Exception) -> None:
        """Count a span that cannot be sent, whatever happens to the others."""
        self.counters.invalid += 1
        self._warn(f"a span could not be prepared: {type(error).__name__}")

    def _add(self, batch: EncodedBatch) -> None:
        """Keep an encoded batch, on disk if possible; drop it if there is no room."""
        self._encoding -= batch.span_count
        spooled = None if self._spool is None else self._spool.write(batch.body, batch.span_count)
        if spooled is None and self._outbox_bytes + len(batch.body) > self._max_bytes:
            with self._lock:
                self.counters.queue_full += batch.span_count
            return
        # A spooled body stays in memory only for the first attempt to send it.
        keep = spooled is None or not self._outbox
        self._outbox.append(Outgoing(batch.span_count, batch.body if keep else None, spooled))
        if spooled is None:
            self._outbox_bytes += len(batch.body)

    def _send_all(self, request: FlushRequest, attempts: int) -> bool:
        """Send what waits, in order; False if some is left. At the end of the process, spans that end meanwhile too."""
        self._take_over()
        due = len(self._queue)
        while True:
            if not self._outbox and (due > 0 or (request.grace and self._queue)):
                due -= self._encode() or due
                continue
            if not self._outbox:
                self._close_batches(self._due_since if request is TURN else inf)
            if not self._outbox:
                return True
            if monotonic() >= self._end_of(request) or (self.is_shut_down and request is TURN):
                return False
            if self._send_first(self._end_of(request)):
                self._progress_at = monotonic()
                continue
            attempts -= 1
            pause = self._backoff.short_pause
            if attempts <= 0 or monotonic() + pause >= self._end_of(request):
                return False
            sleep(pause)

    def _end_of(self, request: FlushRequest) -> float:
        """Return when to stop waiting; later while the service accepts spans, if they would be lost otherwise."""
        return (
            max(request.ends, min(self._progress_at + request.grace, request.latest)) if request.grace else request.ends
        )

    def _send_first(self, ends: float) -> bool:
        """Send the oldest batch; False if it has to wait."""
        batch = self._outbox[0]
        body = self._body_of(batch)
        if body is None:
            self._done(batch)
            return True
        try:
            reply = self._poster.post(
                INGEST_PATH, body, HEADERS, seconds=max(0.05, min(REQUEST_SECONDS, ends - monotonic()))
            )
        except APIError as error:
            return self._failed(batch, error)
        self._backoff.succeeded()
        self.counters.last_error = None
        response = reply.response
        rejected, why = rejected_spans(response.content, response.headers.get("content-type", ""))
        rejected = min(rejected, batch.count)
        self.counters.rejected += rejected
        self.counters.sent += batch.count - rejected
        self.counters.resent += batch.count - rejected if batch.is_resent else 0
        if rejected:
            self._warn(f"the service rejected {rejected} spans: {why[:200]}")
        self._done(batch)
        return True

    def _failed(self, batch: Outgoing, error: APIError) -> bool:
        """Handle a failed request; True if the batch is given up."""
        self.counters.failures += 1
        self.counters.last_error = reason = reason_of(error)
        self._warn(reason)
        if is_rejected(error):
            self.counters.rejected += batch.count
            self._done(batch)
            return True
        if batch.spooled is not None:
            batch.body = None
        self._backoff.failed(error.retry_after if isinstance(error, APIStatusError) else None)
        return False

    def _body_of(self, batch: Outgoing) -> bytes | None:
        """Return the body of a batch; None if its file is damaged or gone."""
        if batch.body is not None or self._spool is None or batch.spooled is None:
            return batch.body
        try:
            return self._spool.read(batch.spooled)
        except DamagedFileError as error:
            self.counters.invalid += batch.count
            self._warn(f"a file of the spool was set aside: {error}")
            return None

    def _done(self, batch: Outgoing) -> None:
        """Forget the oldest batch."""
        self._outbox.popleft()
        if batch.spooled is not None and self._spool is not None:
            self._spool.remove(batch.spooled)
        else:
            self._outbox_bytes -= len(batch.body or b"")

    def _warn(self, reason: str) -> None:
        """Log why spans cannot be sent, once a minute at most."""
        now = monotonic()
        if now < self._warned_at + WARNING_SECONDS:
            return
        self._warned_at = now
        dropped = self.counters.snapshot(waiting=0, redacted=0).dropped
        log.event(logging.WARNING, "traces_not_sent", reason=reason, waiting=self.waiting, dropped=dropped)

    def flush(self, seconds: float) -> bool:
        """Send everything that waits; False if that took longer or failed."""
        return self.begin_flush(seconds)()

    def begin_flush(self, seconds: float, *, is_last: bool = False) -> Callable[[], bool]:
        """Ask the thread to send everything; return a function that waits for the result.

        Args:
            seconds: Seconds to wait at most.
            is_last: Wait longer while the service accepts batches, because the spans would be lost.
        """
        now = monotonic()
        request = FlushRequest(now + seconds)
        if is_last:
            request.grace, request.latest = seconds, now + LONGEST_SHUTDOWN
        if self._queue:
            self._start()
        self._wake.put(request)
        return partial(self._finish_flush, request)

    def _finish_flush(self, request: FlushRequest) -> bool:
        if self._thread is None:
            self._work(request)
        while True:
            ends = self._end_of(request)
            try:
                return request.done.get(timeout=max(0.0, ends - monotonic()))
            except Empty:
                if self._end_of(request) <= ends:
                    return False

    def shutdown(self, seconds: float) -> bool:
        """Send everything that waits and stop; spans that cannot be sent in time are dropped, or stay in the spool."""
        if self.is_shut_down:
            return True
        ends = monotonic() + seconds
        first = seconds if self._spool is None else seconds * 0.75
        is_sent = self.begin_flush(first, is_last=True)()
        self.is_shut_down = True
        self._wake.put(None)
        if not is_sent and self._spool is not None:
            self._encode_all(ends, inf)
        if self._thread is not None:
            self._thread.join(max(0.0, ends - monotonic()))
        if not is_sent:
            left = self.waiting - sum(one.count for one in list(self._outbox) if one.spooled is not None)
            self.counters.unsent += left
            self._queue.clear()
            if left:
                self._warned_at = -inf  # the last word
                self._warn(f"shut down with {left} spans unsent; {self.counters.last_error or 'no time was left'}")
        self._poster.close()
        if self._spool is not None:
            self._spool.close()
        return is_sent
