"""The request of a row: the body that `execute` would send, and a separate key."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from enprompta import Attempt, ConfigurationError, Enprompta, EnpromptaError
from enprompta._core.body import encode_json
from enprompta._core.operation import describe_call
from enprompta.batch import BatchResult, Budget, RowError
from enprompta.batch.charges import credits_of, needs_new_key
from enprompta.batch.row_calls import CallTemplate, differences
from enprompta.resources.prompts import PromptCalls

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
ROWS = st.dictionaries(TEXTS, TEXTS, max_size=4) | st.dictionaries(TEXTS, TEXTS | NUMBERS, max_size=4)
OPTIONS = st.sampled_from([{}, {"provider": "echo"}, {"model": "{}}", "stop_sequences": ['"variables":{}}']}])


def template(run_id: str = "run", **options: Any) -> CallTemplate[Any]:
    """Make the template of a run of the prompt `p`."""
    return CallTemplate(describe_call(PromptCalls, "execute", "p", **options), None, run_id)


@given(ROWS, OPTIONS)
def test_the_body_is_that_of_a_single_call(row: dict[str, Any], options: dict[str, Any]) -> None:
    """A row sends what `execute` sends with the same variables and options."""
    single = describe_call(PromptCalls, "execute", "p", variables=row, **options)
    assert json.loads(template(**options).task(0, row).content) == json.loads(encode_json(single.json))


@given(ROWS, ROWS, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2))
def test_a_key_belongs_to_one_row(
    one: dict[str, Any], other: dict[str, Any], at: int, place: int, attempt: int
) -> None:
    """Rows share a key only if run, index, attempt and variables are the same, in any order of the variables."""
    first, second = template().task(at, one), template().task(place, dict(reversed(other.items())))
    same = at == place and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (first.key == second.key) is same
    second = template().task(at, dict(reversed(one.items())))
    assert first.key == second.key
    second.attempt = attempt
    assert (first.key == second.key) is (attempt == 0)
    assert template("run2").task(at, one).key != first.key != template(model="m").task(at, one).key
    assert len(first.key) == 64


def test_a_run_id_that_the_checkpoint_gives() -> None:
    """A template whose run id is set afterwards makes the keys of that run."""
    made = template("new")
    made.run_id = "run"
    assert made.task(3, {"a": "b"}).key == template().task(3, {"a": "b"}).key


class Broken(Mapping[str, str]):
    """A mapping whose own code fails."""

    def __init__(self, fails: str) -> None:
        self._fails = fails

    def _fail(self, where: str) -> None:
        if where == self._fails:
            raise ZeroDivisionError

    def __getitem__(self, name: str) -> str:
        self._fail("item")
        return {"a": "a"}[name]

    def __iter__(self) -> Iterator[str]:
        self._fail("iter")
        return iter(["a"])

    def __len__(self) -> int:
        self._fail("len")
        return 1


@pytest.mark.parametrize("variables", [None, lambda row: row, ["a"], ["b"]], ids=["row", "function", "column", "none"])
@pytest.mark.parametrize("fails", ["item", "iter", "len"])
def test_a_row_whose_own_code_fails(variables: Any, fails: str) -> None:
    """It is one failed row with the reason; a length is not needed."""
    made: CallTemplate[Any] = CallTemplate(describe_call(PromptCalls, "execute", "p"), variables, "run")
    if fails == "len" or (fails == "iter" and variables == ["a"]):
        if variables == ["b"]:
            with pytest.raises(RowError, match="has no column 'b'; it has a"):
                made.task(3, Broken(fails))
        else:
            assert made.task(3, Broken(fails)).variables == {"a": "a"}
        return
    with pytest.raises(
        RowError, match=r"^row 3 .*is a Broken whose own code raised ZeroDivisionError: pass plain data"
    ):
        made.task(3, Broken(fails))


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        ({"a": 1}, {"a": True}, "its 'a' was 1 and is true"),
        ({"a": 1}, {"a": 1.0}, "its 'a' was 1 and is 1.0"),
        ({"a": "x" * 80 + "1"}, {"a": "x" * 80 + "2"}, "its 'a' was"),
    ],
)
def test_differences_that_python_does_not_see(before: dict[str, Any], now: dict[str, Any], says: str) -> None:
    """Values that are sent differently differ, although Python calls them equal."""
    assert differences(before, now).startswith(says)


@pytest.mark.parametrize("options", [{"run_id": "\ud800"}, {"first_index": 2**53}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    """They are refused before the run starts."""
    with Enprompta(api_key="ep_x") as client, pytest.raises(ConfigurationError, match=f"{next(iter(options))} must be"):
        client.prompts.execute_many("p", [], **options)


@pytest.mark.parametrize("bound", ["x", -1, float("inf"), [1]])
def test_a_budget_that_is_none(bound: Any) -> None:
    """A budget is a number of 0 or more."""
    with pytest.raises(ConfigurationError, match="a budget is"):
        Budget(usd=bound)


@pytest.mark.parametrize("row", [{"a": "x", "b": "\ud800"}, {"\ud800": "x"}])
def test_text_that_is_not_unicode(row: dict[str, str]) -> None:
    """A lone surrogate is refused before the row is sent, also among plain text."""
    with pytest.raises(RowError, match=r"^row 0 cannot be sent: .*lone surrogate"):
        template().task(0, row)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_result_pickles(protocol: int) -> None:
    """A result goes to another process by every protocol, and is the same there."""
    error = RowError("row 7 cannot be sent")
    result = BatchResult(7, {"a": "b"}, {"a": "b"}, None, error, (Attempt(1, 0.5, 503, wait=1.0),), restored=True)
    again = pickle.loads(pickle.dumps(result, protocol))
    assert repr(again) == repr(result)
    assert again.attempts == result.attempts
    assert hash(again.attempts) == hash(result.attempts)


def test_an_error_that_says_nothing_counts_as_charged() -> None:
    """Without an answer of the API, a row may have been charged, and keeps its key."""
    error = EnpromptaError("unknown")
    assert credits_of(error) == 1
    assert not needs_new_key(error, 1)
