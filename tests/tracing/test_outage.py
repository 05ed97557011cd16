"""An hour's outage on a fake clock: spans stay on disk or within their bounds, and warnings come once a minute.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 100,800 spans.
"""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from enprompta.errors import APIConnectionError
from enprompta.tracing import batches, exporter, spool
from enprompta.tracing.batches import FlushRequest
from enprompta.tracing.exporter import Exporter
from enprompta.tracing.spans_read import EndedSpan, read_span
from enprompta.tracing.spool import Spool
from tests.tracing.receiver import decode

if TYPE_CHECKING:
    from pathlib import Path

SPANS, STEP = (100_800, 1) if os.environ.get("ENPROMPTA_LONG_TESTS") else (7200, 5)
SHARE = SPANS // 3600
"""Spans a second."""
RESOURCE = Resource({})


class Poster:
    """Fails until `is_up`."""

    def __init__(self) -> None:
        self.is_up = False
        self.posts = 0
        self.numbers: list[int] = []

    def post(self, path: str, content: bytes, headers: Any, *, seconds: float) -> Any:
        """Accept the spans, or refuse the connection."""
        import gzip

        self.posts += 1
        if not self.is_up:
            raise APIConnectionError("Connection refused")
        self.numbers += [span.attributes["n"] for span in decode(gzip.decompress(content))]
        return SimpleNamespace(response=SimpleNamespace(content=b"", headers={}))

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, in place of the clock; and no thread, so that the test takes each turn itself."""
    now = [0.0]
    for module in (batches, exporter, spool):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    monkeypatch.setattr(exporter, "Thread", lambda **_: SimpleNamespace(start=lambda: None, join=lambda _: None))
    monkeypatch.setattr(exporter, "sleep", lambda seconds: None)
    return now


def span(number: int) -> EndedSpan:
    """An ended span."""
    context = SpanContext(1, number + 1, is_remote=False)
    return read_span(ReadableSpan("s", context, resource=RESOURCE, attributes={"n": number, "text": "x" * 200}))


def run(poster: Poster, now: list[float], **settings: Any) -> Exporter:
    """Record spans for an hour, with a turn of the thread every few seconds."""
    given: dict[str, Any] = {"max_queue": 1000, "max_bytes": 100_000, "interval": 1.0, "spool": None, **settings}
    made = Exporter(poster, lambda one: one, **given)
    for second in range(0, 3600, STEP):
        now[0] = float(second)
        for number in range(second * SHARE, (second + STEP) * SHARE):
            made.put(span(number))
        made._work(None)
        assert len(made._queue) <= given["max_queue"]
        assert made._outbox_bytes <= given["max_bytes"]
    return made


def test_a_short_queue(now: list[float]) -> None:
    """A queue that is shorter than a batch has its bound too."""
    made = Exporter(Poster(), lambda one: one, max_queue=10, max_bytes=10**6, interval=1.0, spool=None)
    for number in range(100):
        made.put(span(number))
    assert (len(made._queue), made.counters.queue_full) == (10, 90)


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    """The number of warnings that spans cannot be sent."""
    return sum(cast("Any", one).event == "traces_not_sent" for one in caplog.records)


def test_the_spool_keeps_an_hour(now: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost: every span of the hour is sent once afterwards, in order, and none waited in memory."""
    poster = Poster()
    with caplog.at_level(logging.WARNING, "enprompta"):
        made = run(poster, now, spool=Spool(tmp_path, "account", 10**9))
    assert made._outbox_bytes == 0
    assert sum(one.body is not None for one in made._outbox) <= 1
    assert made.counters.snapshot(waiting=made.waiting, redacted=0).dropped == 0
    assert made.waiting == SPANS
    assert 40 <= warnings(caplog) <= 60
    assert poster.posts < 3600 / 15 + 10  # pauses grow to half a minute
    poster.is_up = True
    now[0] += 60
    made._work(None)
    assert poster.numbers == list(range(SPANS))
    assert [path for path in tmp_path.iterdir() if path.suffix == ".otlp"] == []
    assert made.counters.sent == SPANS


def test_a_flush_writes_to_the_disk_first(now: list[float], tmp_path: Path) -> None:
    """Every span is on the disk before a flush sends the first one, so that a kill at its deadline loses none."""
    on_disk: list[int] = []

    class Looking(Poster):
        def post(self, path: str, content: bytes, headers: Any, *, seconds: float) -> Any:
            on_disk.append(len(list(tmp_path.glob("*.otlp"))))
            return super().post(path, content, headers, seconds=seconds)

    poster = Looking()
    poster.is_up = True
    store = Spool(tmp_path, "account", 10**9)
    made = Exporter(poster, lambda one: one, max_queue=2000, max_bytes=10**7, interval=1.0, spool=store)
    for number in range(1300):
        made.put(span(number))
    made._work(FlushRequest(10.0))
    assert on_disk == [3, 2, 1]
    assert poster.numbers == list(range(1300))


def test_without_a_spool_memory_is_bounded(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """Spans that fit in memory are sent afterwards; the others are counted as dropped."""
    poster = Poster()
    with caplog.at_level(logging.WARNING, "enprompta"):
        made = run(poster, now)
    assert made.counters.queue_full > 0
    assert 40 <= warnings(caplog) <= 60
    poster.is_up = True
    now[0] += 60
    made._work(None)
    assert made.counters.sent + made.counters.queue_full == SPANS
    assert poster.numbers == list(range(len(poster.numbers)))
    assert made.counters.sent == len(poster.numbers) > 0
