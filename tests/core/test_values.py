"""The table in docs/calls.md matches the code for every use of a value."""

from __future__ import annotations

import array
import json
import re
from collections import UserString
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from enprompta import TemplateError
from enprompta._common import values as conversions
from enprompta._core.body import encode_json
from enprompta._core.operation import describe_call
from enprompta.batch.errors import RowError
from enprompta.batch.row_calls import CallTemplate
from enprompta.models import Execution, Prompt
from enprompta.resources.prompts import PromptCalls

NAMES = {
    one.__name__: one
    for one in (UserString, Decimal, datetime, date, timedelta, UUID, Fraction, Path, SecretStr, Prompt)
}
"""Names that the examples on the page use."""
PAGE = Path(__file__).parents[2] / "docs" / "calls.md"


class Tone(Enum):
    """An enumeration for the documented examples."""

    WARM = "warm"
    NEUTRAL = False


class Level(IntEnum):
    """An integer that prints as another one."""

    HIGH = 3

    def __repr__(self) -> str:
        return "9"

    __str__ = __repr__


@dataclass
class Pair:
    """A dataclass, which is not a value of a variable."""

    left: int


class Missing:
    """Has the type name of pandas' `NA`."""


Missing.__name__ = "NAType"


def examples() -> list[tuple[str, str]]:
    """Read the examples of the documented table."""
    section = PAGE.read_text(encoding="utf-8").partition("## What values become")[2].partition("\n## ")[0]
    return re.findall(r"\| `([^`]+)` → `?([^`|]+?)`? \|$", section, re.MULTILINE)


@pytest.mark.parametrize(("source", "becomes"), examples())
def test_the_documented_table_is_true(source: str, becomes: str) -> None:
    """Each example becomes the documented value in a request, a row and a rendered prompt."""
    data = {"id": "p", "title": "t", "content": "c"}
    value = eval(source, {**NAMES, "Tone": Tone, "data": data})
    spec: CallTemplate[Any] = CallTemplate(describe_call(PromptCalls, "execute", "p"), None, "run")
    prompt = Prompt.model_validate({**data, "content": "{{x}}"})
    if becomes == "refused":
        with pytest.raises(conversions.RefusedValueError):
            conversions.variable(value)
        with pytest.raises(RowError, match=r"row 0 cannot be sent: variables\.x "):
            spec.task(0, {"x": value})
        with pytest.raises(TemplateError):
            prompt.render(x=value)
        return
    assert json.dumps(conversions.variable(value)) == becomes
    task = spec.task(0, {"x": value})
    assert json.loads(encode_json(spec.call(task).json)) == json.loads(task.content)
    assert json.loads(task.content)["variables"] == {"x": json.loads(becomes)}
    assert prompt.render(x=value) == becomes.strip('"')


def test_the_table_has_examples() -> None:
    """Every row of the table has an example that the test can read."""
    assert len(examples()) == 19


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (Level.HIGH, 3),
        (Tone.NEUTRAL, False),
        (type("Word", (str,), {"__str__": lambda _: "other"})("tea"), "tea"),
        (type("Half", (float,), {"__repr__": lambda _: "9"})(0.5), 0.5),
        (time(10, 30), "10:30:00"),
        (datetime(2024, 1, 17, 12, tzinfo=timezone(timedelta(hours=2))), "2024-01-17T10:00:00Z"),
        (2**53 - 1, 2**53 - 1),
        (-(2**53), "-9007199254740992"),
    ],
    ids=range(8),
)
def test_values_of_derived_types_are_what_they_hold(value: object, becomes: object) -> None:
    """The real type of a value counts, not the class it claims."""
    sent = conversions.variable(value)
    assert sent == becomes
    assert type(sent) is type(becomes)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (bytearray(b"x"), "is binary (bytearray)"),
        (memoryview(b"x"), "is binary (memoryview)"),
        (array.array("B", b"x"), "is binary (array)"),
        (StringIO("x"), "is an open file (StringIO): pass the text that value.read() returns"),
        (Missing(), "is NA, a missing value"),
        ((1, 2), "not a tuple: pass json.dumps(value)"),
        ({1}, "not a set: pass json.dumps(sorted(value))"),
        (iter([1]), "not a list_iterator: pass json.dumps(list(value))"),
        (Pair(1), "not a Pair: pass json.dumps(dataclasses.asdict(value))"),
        (MappingProxyType({}), "not a mappingproxy: pass json.dumps(dict(value))"),
        (conversions.NotScalar(), "not a NotScalar: pass its text, such as str(value)"),
        (conversions.RefusedValueError, "not a type: pass its text"),
        (10**5000, "is a number with too many digits"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "is a time whose UTC form"),
    ],
    ids=range(14),
)
def test_invalid_values_are_refused_with_advice(value: object, says: str) -> None:
    """The error names the type and what to pass instead."""
    with pytest.raises(conversions.RefusedValueError, match=re.escape(says)):
        conversions.variable(value)


def test_variables_are_a_mapping_of_text() -> None:
    """Other types are rejected; for a model, the message suggests the conversion."""
    for wrong, says in [([1], "not list"), (Prompt(id="p", title="", content=""), "pass value.model_dump()")]:
        with pytest.raises(conversions.RefusedValueError, match=re.escape(says)):
            conversions.variables(wrong)
    with pytest.raises(conversions.RefusedValueError, match="has a name that is not text: 1"):
        conversions.variables({1: "x"})


def test_numbers_of_numpy_and_missing_values_of_pandas() -> None:
    """Scalars and 0-d arrays are read; arrays with axes and missing values are refused."""
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    for value, becomes in [
        (np.int64(3), 3), (np.uint64(2**63), "9223372036854775808"), (np.float32(0.1), 0.1), (np.float16(0.1), 0.1),
        (np.longdouble(1.5), 1.5), (np.bool_(True), True), (np.str_("x"), "x"), (np.array(3), 3), (np.array("x"), "x"),
        (np.datetime64("2024-01-01"), "2024-01-01T00:00:00Z"),
        (np.datetime64("2024-01-01T00:00:00.123456789"), "2024-01-01T00:00:00.123456Z"),
        (pd.Timestamp("2024-01-01", tz="Europe/Warsaw"), "2023-12-31T23:00:00Z"),
    ]:  # fmt: skip
        sent = conversions.variable(value)
        assert (sent, type(sent)) == (becomes, type(becomes))
        assert json.loads(encode_json([value])) == [becomes if not isinstance(value, np.uint64) else 2**63]
    for value, says in [
        (pd.NaT, "is NaT"), (pd.NA, "is NA"), (np.datetime64("NaT"), "is NaT"), (np.float64("nan"), "is NaN"),
        (np.array([1]), "json.dumps(value.tolist())"), (pd.Series([1]), "json.dumps(value.tolist())"),
        (np.timedelta64(1, "s"), "timedelta"), (np.complex128(1), "complex128"), (np.bytes_(b"x"), "is binary"),
        (np.array(None), "not None"), (np.datetime64(2**40, "D"), "datetime64"),
    ]:  # fmt: skip
        with pytest.raises(conversions.RefusedValueError, match=re.escape(says)):
            conversions.variable(value)


def test_nulls_of_a_file_are_left_out() -> None:
    """A null cell means that the row has no value for this variable; None from a program is refused."""
    call: Any = describe_call(PromptCalls, "execute", "p")
    for variables in (None, ["a", "b"]):
        spec: CallTemplate[Any] = CallTemplate(call, variables, "run", skip_nulls=True)
        assert spec.task(0, {"a": None, "b": "x"}).variables == {"b": "x"}
        with pytest.raises(RowError, match=r"variables\.a must be text, a number or a boolean, not None: leave it out"):
            CallTemplate(call, variables, "run").task(0, {"a": None, "b": "x"})
    assert call.returns is Execution


def test_a_row_with_half_a_character_is_refused() -> None:
    """The error names the row and the variable."""
    spec: CallTemplate[Any] = CallTemplate(describe_call(PromptCalls, "execute", "p"), None, "run")
    with pytest.raises(RowError, match=r"^row 3 cannot be sent: variables\.text holds a lone surrogate"):
        spec.task(3, {"text": "\ud83c", "count": 1})
