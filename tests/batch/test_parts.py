"""Runs over a part of a longer input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta import ConfigurationError
from enprompta.batch import CheckpointError, RowError
from tests.batch.conftest import numbered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.batch.conftest import Runner


def test_parts_have_the_keys_of_the_whole(runner: Runner) -> None:
    """Rows executed in parts, each with its first index, have the same numbers and keys as in one run."""
    rows = numbered(50)
    runner.all(rows, run_id="r")
    charged = dict(runner.service.charged)
    results = [
        *runner.walk(runner.many(rows[:20], run_id="r", ordered=True)),
        *runner.walk(runner.many(rows[20:], run_id="r", ordered=True, first_index=20, concurrency=3)),
    ]
    assert [result.index for result in results] == list(range(50))
    assert [result.output for result in results] == [f"did {i}" for i in range(50)]
    assert runner.service.charged == charged


def test_errors_count_from_the_first_row(runner: Runner) -> None:
    """The error of an invalid row names its index in the whole input."""
    rows: list[Any] = [*numbered(2), 7]
    assert str(runner.all(rows, first_index=10)[2].error).startswith("row 12 ")
    with pytest.raises(RowError, match="row 11 has no column 'n'"):
        runner.many([{"n": "1"}, {}], variables=["n"], first_index=10)


def test_a_part_resumes_from_its_checkpoint(runner: Runner, tmp_path: Path) -> None:
    """A part has a checkpoint like any run; a part with fewer rows or another first index is refused."""
    options: Any = {"checkpoint": tmp_path / "part.db", "first_index": 10, "ordered": True}
    runner.walk(runner.many(numbered(8), **options), most=5)
    results = runner.walk(runner.many(numbered(8), **options))
    assert [result.index for result in results] == list(range(10, 18))
    assert sum(result.restored for result in results) >= 5
    assert len(runner.service.charged) == 8
    assert runner.walk(runner.many(numbered(8), skip_done=True, **options)) == []
    for refused in ({**options, "first_index": 9}, options):
        with pytest.raises(CheckpointError, match="of other rows"):
            runner.walk(runner.many(numbered(7), **refused))


@pytest.mark.parametrize("first", [-1, 1.5, "1"])
def test_a_place_is_a_number(runner: Runner, first: object) -> None:
    """An invalid first index is refused."""
    with pytest.raises(ConfigurationError, match="first_index must be"):
        runner.many(numbered(1), first_index=first)
