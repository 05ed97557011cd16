"""What seldom happens to a run, and must not surprise it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta.batch import CheckpointError, RowError
from enprompta.batch.checkpoint import Checkpoint, _error_from, _error_json
from enprompta.batch.progress import Meter
from enprompta.batch.row_calls import differences
from tests.batch.conftest import Runner, numbered
from tests.batch.test_progress import DONE, read

if TYPE_CHECKING:
    from pathlib import Path


def opened(runner: Runner, path: Path) -> tuple[Any, Checkpoint]:
    """Open the checkpoint of a run of two rows that has ended."""
    runner.all(numbered(2), checkpoint=path)
    run = runner.many(numbered(2), checkpoint=path)
    return run, Checkpoint(path, run._spec, fixed=False)


def test_a_checkpoint_that_goes_bad_is_told(runner: Runner, tmp_path: Path) -> None:
    """What cannot be read any more while a run goes on ends it, with the name of the file."""
    run, checkpoint = opened(runner, tmp_path / "run.db")
    checkpoint._db.execute("DROP TABLE rows")
    with pytest.raises(CheckpointError, match=r"run\.db"):
        checkpoint.find(run._spec.job(0, {"n": "0"}))
    checkpoint.close()


def test_what_cannot_be_written_is_rolled_back(runner: Runner, tmp_path: Path) -> None:
    """A write that fails half-way leaves no lock on the file, and the rows that were there."""
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
    """The error of a row comes back from the file as what it was."""
    error = _error_from(_error_json(RowError("row 7 has no column 'n'")), None)
    assert isinstance(error, RowError)
    assert str(error) == "row 7 has no column 'n'"


def test_done_rows_may_be_left_out_in_any_order(runner: Runner, tmp_path: Path) -> None:
    """With `skip_done` and no order asked for, what was done is simply not there."""
    path = tmp_path / "run.db"
    runner.walk(runner.many(numbered(60), checkpoint=path, concurrency=4), most=30)
    done = len(runner.service.charged)
    results = runner.all(numbered(60), checkpoint=path, skip_done=True)
    assert len(results) == 60 - done
    assert not any(result.restored for result in results)


def test_a_run_that_was_asleep_forgets_how_fast_it_was() -> None:
    """What was done longer than a minute ago is not speed."""
    meter = Meter(None, 0.0)
    for second in range(1, 11):
        meter.count(DONE, 1)
        read(meter, float(second))
    assert read(meter, 1000.0).rate == pytest.approx(0.0, abs=0.02)
    meter.count(DONE, 1)
    assert read(meter, 1061.0).rate == pytest.approx(1 / 61)


def test_a_bar_shows_a_run(runner: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    """`progress=True` draws on standard error, and leaves the bar there when the run is over."""
    pytest.importorskip("rich")
    runner.all(numbered(3), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "of 3" in err


def test_equal_variables_of_other_options() -> None:
    """Where a row's variables are the same, the difference is told to be elsewhere."""
    assert differences({"n": "1"}, {"n": "1"}) == "its variables are the same, but the options are not"


def test_a_run_may_be_cancelled_before_it_begins(runner: Runner) -> None:
    """There is nothing to end, and it cannot be begun afterwards by mistake."""
    run = runner.many(numbered(3))
    if runner.portal is None:
        run.close()
    else:
        runner.portal.call(run.cancel)
    assert runner.service.requests == []


def test_a_run_that_is_closed_inside_its_loop_gives_what_has_ended(runner: Runner) -> None:
    """Results that were there when it was closed are not lost; nothing more is sent."""
    run = runner.many(numbered(50), concurrency=4)

    def close(result: object) -> None:
        if runner.portal is None:
            run.close()

    results = runner.walk(run, then=close)
    assert len(results) == len(runner.service.charged) if runner.portal is None else len(results) == 50


def test_a_worker_that_is_told_to_end_is_no_row(runner: Runner) -> None:
    """Giving up what waits in the queue passes over the word for workers to end."""
    if runner.portal is not None:
        pytest.skip("tasks have no such queue")
    run = runner.many(numbered(3))
    run._jobs.put(None)
    run._give_up()
    assert run._jobs.empty()
    assert run.progress.done == run.progress.failed == 0
