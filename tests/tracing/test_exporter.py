"""The export thread: what it sends, keeps, drops and counts, whatever the service answers."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from enprompta import AsyncEnprompta, Enprompta
from enprompta.tracing import Tracing, exporter
from enprompta.tracing.batches import Backoff, rejected_spans
from tests.tracing.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.trace import Tracer


def record(tracing: Tracing, count: int, **attributes: Any) -> None:
    """End some spans."""
    tracer: Tracer = tracing.provider.get_tracer("test")
    for _ in range(count):
        tracer.start_span("s", attributes=attributes).end()


def test_batches(client: Enprompta, receiver: Receiver) -> None:
    """Requests are compressed protobuf of at most 512 spans, with the client's key, in the order of the spans."""
    with Tracing(client, interval=60) as tracing:
        tracer = tracing.provider.get_tracer("test")
        for number in range(1500):
            tracer.start_span("s", attributes={"n": number}).end()
        assert tracing.flush()
        assert tracing.stats.sent == 1500
    assert [span.attributes["n"] for span in receiver.spans] == list(range(1500))
    assert max(count for _, count in receiver.requests) <= 512
    headers = receiver.requests[0][0]
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "gzip"
    assert headers["authorization"] == "Bearer ep_test_123456"


def test_large_spans_are_sent_in_separate_batches(tracing: Tracing, receiver: Receiver) -> None:
    """A batch ends when it holds four megabytes."""
    record(tracing, 3, text="x" * 3_000_000)
    assert tracing.flush()
    assert [count for _, count in receiver.requests] == [1, 1, 1]


def test_spans_are_sent_without_a_flush(client: Enprompta, receiver: Receiver) -> None:
    """A span that does not fill a batch is sent after the interval."""
    with Tracing(client, interval=0.05) as tracing:
        record(tracing, 1)
        until(lambda: tracing.stats.sent == 1)


def test_the_thread_wakes_before_the_queue_is_long(tracing: Tracing) -> None:
    """The more spans a turn had, the sooner is the next one; without spans, and at the latest, after the interval."""
    turn = tracing._exporter._next_turn
    assert (turn(0, 1.0), turn(1, 2.0), turn(10, 1.0), turn(1000, 1.0), turn(60, 0.1)) == (60, 60, 12, 0.12, 0.2)


def until(done: Any, seconds: float = 10.0) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "the condition did not come true"
        time.sleep(0.01)


def test_exports_are_outside_the_rate_limit_and_the_hooks(receiver: Receiver) -> None:
    """An exhausted budget delays no export, and hooks of the client do not see it."""
    seen: list[Any] = []

    class Hook:
        def on_request(self, record: Any) -> None:
            seen.append(record)

    with Enprompta(api_key="ep_test_123456", base_url=receiver.base_url, hooks=[Hook()]) as client:
        client._account = cast("Any", None)  # a call through it would fail
        with Tracing(client) as tracing:
            record(tracing, 1)
            assert tracing.flush()
    assert seen == []
    assert len(receiver.spans) == 1


def test_it_outlives_its_client(receiver: Receiver) -> None:
    """Spans that end after the client was closed are still sent."""
    with Enprompta(api_key="ep_test_123456", base_url=receiver.base_url) as client:
        tracing = Tracing(client)
    record(tracing, 1)
    assert tracing.shutdown()
    assert len(receiver.spans) == 1


def test_oauth2(receiver: Receiver) -> None:
    """Access tokens are fetched, and renewed when they are rejected."""
    statuses = iter([401, None])
    receiver.play = lambda _: next(statuses)
    credentials: Any = {"client_id": "id", "client_secret": "secret-secret", "base_url": receiver.base_url}
    with Enprompta(**credentials) as client, Tracing(client) as tracing:
        record(tracing, 1)
        assert tracing.flush()
    assert receiver.requests[0][0]["authorization"] == "Bearer token-1"


def test_an_async_client(receiver: Receiver) -> None:
    """The thread sends with the settings of an async client, without an event loop."""
    client = AsyncEnprompta(api_key="ep_test_123456", base_url=receiver.base_url, default_headers={"X-Team": "a"})
    with Tracing(client) as tracing:
        record(tracing, 1)
        assert tracing.flush()
    assert receiver.requests[0][0]["x-team"] == "a"


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_an_unavailable_service(receiver: Receiver, client: Enprompta, status: int, caplog: Any) -> None:
    """Spans wait while the service refuses; they arrive once it accepts. One warning names the reason."""
    receiver.play = lambda _: status
    with caplog.at_level(logging.WARNING, "enprompta"), Tracing(client, interval=60) as tracing:
        record(tracing, 3)
        assert not tracing.flush(deadline=0.5)
        assert not tracing.flush(deadline=0.1)
        stats = tracing.stats
        assert (stats.sent, stats.dropped, stats.waiting) == (0, 0, 3)
        assert stats.failures >= 2
        assert str(status) in (stats.last_error or "")
        assert ("traces:write" in (stats.last_error or "")) is (status in {401, 403})
        warnings = [one for one in caplog.records if cast("Any", one).event == "traces_not_sent"]
        assert len(warnings) == 1
        receiver.play = lambda _: None
        assert tracing.flush()
        assert (tracing.stats.sent, tracing.stats.waiting, tracing.stats.last_error) == (3, 0, None)


def test_a_flush_tries_again(receiver: Receiver, client: Enprompta) -> None:
    """One failed request does not fail a flush that has time for another."""
    statuses = iter([500, None])
    receiver.play = lambda _: next(statuses)
    with Tracing(client, interval=60) as tracing:
        record(tracing, 1)
        assert tracing.flush(deadline=5)


def test_invalid_spans_are_given_up(receiver: Receiver, client: Enprompta) -> None:
    """A batch that the service calls invalid would be refused again: it is dropped and counted."""
    receiver.play = lambda _: 400
    with Tracing(client, interval=60) as tracing:
        record(tracing, 3)
        assert tracing.flush()
        assert (tracing.stats.rejected, tracing.stats.dropped, tracing.stats.waiting) == (3, 3, 0)


def test_partial_success(receiver: Receiver, tracing: Tracing) -> None:
    """Spans that the service rejects in an accepted request are counted as dropped."""
    receiver.rejected = 2
    record(tracing, 5)
    assert tracing.flush()
    assert (tracing.stats.sent, tracing.stats.rejected) == (3, 2)
    assert rejected_spans(b"{}", "application/json") == (0, "")
    assert rejected_spans(b"\xff\xff", "application/x-protobuf") == (0, "")


def test_spans_that_cannot_be_encoded(receiver: Receiver, tracing: Tracing) -> None:
    """One bad span takes no other with it: surrogates are replaced, and what is left is dropped and counted."""
    record(tracing, 1, ok="x")
    record(tracing, 1, bad="\ud800", many=("\ud800", "b"), number=1)
    record(tracing, 1, bad=2**70)
    assert tracing.flush()
    assert [span.attributes.get("bad") for span in receiver.spans] == [None, "?"]
    assert (tracing.stats.sent, tracing.stats.invalid) == (2, 1)


@pytest.mark.parametrize("bound", [{"max_queue": 600}, {"max_bytes": 100_000}])
def test_a_full_queue_drops_the_newest(client: Enprompta, receiver: Receiver, bound: Any) -> None:
    """Beyond its bound the queue takes no span, counts it, and keeps what it has."""
    release = threading.Event()
    receiver.play = lambda _: cast("Any", release.wait(10) and None)
    with Tracing(client, interval=60, **bound) as tracing:
        record(tracing, 512)
        until(lambda: tracing.stats.waiting and not tracing._exporter._queue)
        tracer = tracing.provider.get_tracer("test")
        for number in range(2000):
            tracer.start_span("s", attributes={"n": number}).end()
        dropped = tracing.stats.queue_full
        assert 0 < dropped < 2000 - 512
        release.set()
        assert tracing.flush()
        assert (tracing.stats.sent, tracing.stats.dropped) == (2512 - dropped, dropped)
    numbers = [span.attributes["n"] for span in receiver.spans if "n" in span.attributes]
    assert numbers == list(range(len(numbers)))


def test_encoded_batches_are_bounded(client: Enprompta, receiver: Receiver) -> None:
    """While the service is unavailable, batches take no more memory than allowed."""
    receiver.play = lambda _: 503
    with Tracing(client, interval=60, max_bytes=20_000) as tracing:
        for _ in range(20):
            record(tracing, 400)
            tracing.flush(deadline=0.01)
            until(lambda: not tracing._exporter._queue and not tracing._exporter._encoding)
        assert tracing._exporter._outbox_bytes <= 20_000
        assert tracing.stats.queue_full + tracing.stats.waiting == 8000


def test_after_shutdown(tracing: Tracing, receiver: Receiver) -> None:
    """Spans that end after shutdown are dropped and counted; a second shutdown does nothing."""
    record(tracing, 1)
    assert tracing.shutdown()
    assert tracing.shutdown()
    assert tracing._exporter.shutdown(1)
    record(tracing, 2)
    assert (tracing.stats.sent, tracing.stats.unsent, tracing.stats.waiting) == (1, 2, 0)


def test_shutdown_without_a_service(client: Enprompta, receiver: Receiver, caplog: Any) -> None:
    """An unavailable service delays shutdown by no more than its deadline; what was not sent is counted and logged."""
    receiver.play = lambda _: cast("Any", time.sleep(3))
    tracing = Tracing(client, interval=60)
    record(tracing, 5)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "enprompta"):
        assert not tracing.shutdown(deadline=0.3)
    assert time.monotonic() - started < 1.0
    assert (tracing.stats.unsent, tracing.stats.dropped) == (5, 5)
    assert "5 spans unsent" in caplog.text


def test_shutdown_waits_while_the_service_accepts_spans(client: Enprompta, receiver: Receiver) -> None:
    """Spans are not lost while a service accepts one batch after another, each within the deadline."""
    receiver.play = lambda _: cast("Any", time.sleep(0.6))
    tracing = Tracing(client, interval=60)
    record(tracing, 5 * 512)
    assert tracing.shutdown(deadline=0.9)
    assert (tracing.stats.sent, tracing.stats.unsent) == (5 * 512, 0)


def test_shutdown_has_an_end(client: Enprompta, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that accepts spans slowly does not delay the end of the program forever; what is left is counted."""
    monkeypatch.setattr(exporter, "LONGEST_SHUTDOWN", 0.5)
    receiver.play = lambda _: cast("Any", time.sleep(0.2))
    tracing = Tracing(client, interval=60)
    record(tracing, 5 * 512)
    began = time.monotonic()
    assert not tracing.shutdown(deadline=0.3)
    assert time.monotonic() - began < 1.5
    assert 2 * 512 <= tracing.stats.unsent == 5 * 512 - tracing.stats.sent


def test_a_resource_that_cannot_be_encoded(client: Enprompta, receiver: Receiver) -> None:
    """Its spans are dropped and counted, each of them."""
    broken: Any = {"number": 2**70}
    with Tracing(client, interval=60, resource=broken) as tracing:
        record(tracing, 3)
        assert tracing.flush()
        assert (tracing.stats.invalid, tracing.stats.dropped, tracing.stats.waiting) == (3, 3, 0)


def test_the_thread_survives_anything(tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not of this package ends neither the thread nor a flush."""
    post = tracing._exporter._poster.post
    monkeypatch.setattr(tracing._exporter._poster, "post", lambda *_, **__: 1 / 0)
    record(tracing, 1)
    assert not tracing.flush(deadline=5)
    record(tracing, 600)  # wakes the thread without a flush
    until(lambda: not tracing._exporter._queue or tracing._exporter._thread is not None)
    monkeypatch.setattr(tracing._exporter._poster, "post", post)
    assert tracing.flush()
    assert len(receiver.spans) == 601


def test_without_a_thread(tracing: Tracing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, as at the end of a process, a flush sends in its caller."""

    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(exporter, "Thread", Refused)
    record(tracing, 2)
    assert tracing.flush()
    assert len(receiver.spans) == 2


def test_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses grow to half a minute, and last as long as the service asks for, within reason."""
    now = [100.0]
    monkeypatch.setattr("enprompta.tracing.batches.monotonic", lambda: now[0])
    backoff = Backoff()
    assert backoff.is_due
    pauses: list[float] = []
    for _ in range(9):
        backoff.failed(None)
        pauses.append(backoff._due_at - now[0])
    assert 0.5 <= pauses[0] <= 1
    assert all(15 <= pause <= 30 for pause in pauses[-3:])
    backoff.failed(120.0)
    assert backoff._due_at - now[0] == 120
    backoff.failed(10_000.0)
    assert backoff._due_at - now[0] == 300
    assert not backoff.is_due
    backoff.succeeded()
    assert backoff.is_due


def test_the_parts_of_a_request(receiver: Receiver) -> None:
    """The test's receiver reads requests with OpenTelemetry's message classes, not with this package."""
    assert ExportTraceServiceRequest.__module__.startswith("opentelemetry.proto")
    assert isinstance(receiver, Receiver)


def test_a_closed_file_system(client: Enprompta, receiver: Receiver, tmp_path: Path) -> None:
    """A spool whose folder vanishes falls back to memory."""
    folder = tmp_path / "spool"
    with Tracing(client, interval=60, spool=folder) as tracing:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        record(tracing, 2)
        assert tracing.flush()
    assert len(receiver.spans) == 2
