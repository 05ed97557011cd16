"""Rare situations of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta.batch import CheckpointError, RowError
from enprompta.batch.checkpoint import Checkpoint
from enprompta.batch.progress import Meter
from enprompta.batch.row_calls import differences
from enprompta.batch.row_outputs import RowOutputs
from enprompta.batch.stored_errors import error_from, error_json
from tests.batch.conftest import Runner, numbered
from tests.batch.test_progress import DONE, read

if TYPE_CHECKING:
    from pathlib import Path


def opened(runner: Runner, path: Path) -> tuple[Any, Checkpoint]:
    """Open the checkpoint of a completed run of two rows."""
    runner.all(numbered(2), checkpoint=path)
    run = runner.many(numbered(2), checkpoint=path)
    return run, Checkpoint(path, run._template, fixed=False)


def test_a_checkpoint_that_becomes_unreadable_is_reported(runner: Runner, tmp_path: Path) -> None:
    """A checkpoint that becomes unreadable during a run ends it with an error that names the file."""
    run, checkpoint = opened(runner, tmp_path / "run.db")
    checkpoint._db.execute("DROP TABLE rows")
    with pytest.raises(CheckpointError, match=r"run\.db"):
        checkpoint.find(run._template.task(0, {"n": "0"}))
    checkpoint.close()


def test_what_cannot_be_written_is_rolled_back(runner: Runner, tmp_path: Path) -> None:
    """A failed write leaves no lock, and keeps the earlier rows."""
    path = tmp_path / "run.db"
    _, checkpoint = opened(runner, path)
    checkpoint._pending.append((object(),) * 8)
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoint._commit()
    assert not checkpoint._db.in_transaction
    checkpoint._pending.clear()
    checkpoint.close()
    assert [result.restored for result in runner.all(numbered(2), checkpoint=path)] == [True, True]


def test_a_row_that_could_not_be_sent_is_restored_as_one() -> None:
    """The error of a row is restored with its class."""
    error = error_from(error_json(RowError("row 7 has no column 'n'")), None)
    assert isinstance(error, RowError)
    assert str(error) == "row 7 has no column 'n'"


def test_done_rows_may_be_left_out_in_any_order(runner: Runner, tmp_path: Path) -> None:
    """With `skip_done` and without order, restored rows are left out."""
    path = tmp_path / "run.db"
    runner.walk(runner.many(numbered(60), checkpoint=path, concurrency=4), most=30)
    done = len(runner.service.charged)
    results = runner.all(numbered(60), checkpoint=path, skip_done=True)
    assert len(results) == 60 - done
    assert not any(result.restored for result in results)


def test_a_run_that_was_asleep_forgets_how_fast_it_was() -> None:
    """The rate covers only the last minute."""
    meter = Meter(None, 0.0)
    for second in range(1, 11):
        meter.count(DONE, 1)
        read(meter, float(second))
    assert read(meter, 1000.0).rate == pytest.approx(0.0, abs=0.02)
    meter.count(DONE, 1)
    assert read(meter, 1061.0).rate == pytest.approx(1 / 61)


def test_a_bar_shows_a_run(runner: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    """`progress=True` draws on standard error, and the bar stays when the run is over."""
    pytest.importorskip("rich")
    runner.all(numbered(3), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "of 3" in err


def test_equal_variables_of_other_options() -> None:
    """For equal variables, the message names the options as the difference."""
    assert differences({"n": "1"}, {"n": "1"}) == "its variables are the same, but the options are not"


def test_a_run_may_be_cancelled_before_it_begins(runner: Runner) -> None:
    """Cancelling a run before its start does nothing, and the run can't be started afterwards."""
    run = runner.many(numbered(3))
    if runner.portal is None:
        run.close()
    else:
        runner.portal.call(run.cancel)
    assert runner.service.requests == []


def test_a_run_that_is_closed_inside_its_loop_gives_what_has_ended(runner: Runner) -> None:
    """A run closed inside its loop returns the finished results and sends nothing more."""
    run = runner.many(numbered(50), concurrency=4)

    def close(result: object) -> None:
        if runner.portal is None:
            run.close()

    results = runner.walk(run, then=close)
    assert len(results) == len(runner.service.charged) if runner.portal is None else len(results) == 50


def test_the_sentinel_of_a_worker_is_not_a_row(runner: Runner) -> None:
    """Cancelling queued rows skips the sentinel that stops workers."""
    if runner.portal is not None:
        pytest.skip("tasks have no such queue")
    run = runner.many(numbered(3))
    run._tasks.put(None)
    run._cancel_waiting()
    assert run._tasks.empty()
    assert run.progress.done == run.progress.failed == 0


def test_an_error_of_a_worker_is_raised(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error while a result is handled ends the run, which raises it and leaves no request behind."""

    def fail(*_: object) -> None:
        raise LookupError("a fault")

    monkeypatch.setattr(RowOutputs, "checked", fail)
    run = runner.many(numbered(100), concurrency=4)
    with pytest.raises(LookupError, match="a fault"):
        runner.walk(run)
    assert run.ending == "error"
    assert runner.service.at_once == 0
    assert len(runner.service.charged) < 20
