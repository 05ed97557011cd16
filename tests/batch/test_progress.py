"""The progress of a run, on a fake clock."""

from __future__ import annotations

import importlib
import sys
from dataclasses import FrozenInstanceError, replace
from io import StringIO

import pytest

from enprompta import ConfigurationError, EnpromptaError
from enprompta.batch import BatchResult, Progress
from enprompta.batch.progress import Meter, Reporter
from enprompta.batch.progress_bar import Bar, describe
from enprompta.models import Execution

DONE = BatchResult(0, {}, {}, Execution(id="e", tokens=3, cost=0.25))


def read(meter: Meter, now: float) -> Progress:
    """Read a meter."""
    return meter.read(now, in_flight=0, waiting=0.0)


def test_rate_and_time_left() -> None:
    """The rate covers the last minute, and the time left follows from it."""
    meter = Meter(10_000, 100.0)
    progress = read(meter, 100.0)
    assert (progress.rate, progress.eta) == (0.0, None)
    for second in range(1, 201):
        for _ in range(10 if second <= 100 else 20):
            meter.count(DONE, 1)
        progress = read(meter, 100.0 + second)
    assert progress.rate == pytest.approx(20.0)
    assert progress.eta == pytest.approx((10_000 - 3_000) / 20)
    assert (progress.done, progress.tokens, progress.cost, progress.credits, progress.elapsed) == (
        3000,
        9000,
        750.0,
        3000,
        200.0,
    )


def test_what_is_restored_is_not_speed() -> None:
    """Restored rows count as done, but not for the rate."""
    meter = Meter(None, 0.0)
    meter.count(replace(DONE, restored=True), 1)
    meter.count(BatchResult(1, {}, {}, None, EnpromptaError("x")), 0)
    progress = read(meter, 2.0)
    assert (progress.done, progress.failed, progress.restored, progress.rate) == (1, 1, 1, 0.5)
    assert (progress.total, progress.eta) == (None, None)


def test_more_rows_than_the_total_leave_no_negative_time() -> None:
    """With too low a total, the time left is 0, not negative."""
    meter = Meter(0, 0.0)
    meter.count(DONE, 1)
    assert read(meter, 1.0).eta == 0.0


def test_reports_are_ten_a_second_at_most() -> None:
    """Callbacks are called at intervals; without callbacks nothing is due."""
    reports: list[Progress] = []
    reporter, progress = Reporter([reports.append]), read(Meter(1, 0.0), 0.0)
    for now in range(1, 1000):
        if reporter.due(now / 1000):
            reporter.report(progress, now / 1000)
    assert len(reports) == 10
    assert not Reporter([]).due(10.0)


def test_a_record_is_a_value() -> None:
    """Callbacks cannot change a progress record."""
    with pytest.raises(FrozenInstanceError):
        read(Meter(1, 0.0), 0.0).done = 3  # type: ignore[misc]


PROGRESS = Progress(
    done=1200, failed=0, restored=0, in_flight=16, total=None, rate=12.34, tokens=9, cost=1.5, credits=9, elapsed=9.0,
    eta=None, waiting=0.0,
)  # fmt: skip


def test_the_bar_in_words() -> None:
    """The bar shows rate, cost and whatever else is known; during a wait it shows the wait in place of the rate."""
    assert describe(PROGRESS) == "12.3/s · 1.5000 USD"
    full = replace(PROGRESS, total=5000, failed=7, eta=3725.4)
    assert describe(full) == "of 5000 · 7 failed · 12.3/s · 1.5000 USD · 1:02:05 left"
    waits = replace(full, waiting=12.2)
    assert describe(waits) == "of 5000 · 7 failed · 1.5000 USD · waiting for the rate limit (12 s)"


def test_the_bar_is_drawn() -> None:
    """The bar shows the finished rows, and stays after it is closed."""
    console = pytest.importorskip("rich.console").Console(file=StringIO(), force_terminal=True, width=120)
    bar = Bar(console)
    bar.update(replace(PROGRESS, total=2400))
    bar.close()
    assert "1200" in console.file.getvalue()
    assert "of 2400" in console.file.getvalue()


def test_a_narrow_bar_shows_the_count() -> None:
    """80 columns fit the whole text during a wait; a narrower terminal still shows the count."""
    for width, last in ((80, "rate limit (12 s)"), (40, "of 5000 · 7 failed")):
        console = pytest.importorskip("rich.console").Console(file=StringIO(), force_terminal=True, width=width)
        bar = Bar(console)
        bar.update(replace(PROGRESS, total=5000, failed=7, eta=3725.4, waiting=12.2))
        bar.close()
        assert "1207 of 5000" in console.file.getvalue()
        assert last in console.file.getvalue()


def test_a_bar_without_rich_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich is not installed, the error says what to install."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "enprompta.batch.progress_bar")
    with pytest.raises(ConfigurationError, match=r'pip install "enprompta\[cli\]"'):
        importlib.import_module("enprompta.batch.progress_bar")
