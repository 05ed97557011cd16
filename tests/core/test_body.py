"""What callers pass becomes query text and JSON bytes, or a `ConfigurationError`."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, UserDict, deque
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import UNSET, ConfigurationError
from enprompta._core.body import body, encode_json, encode_query
from enprompta.models import Prompt, PromptVariable, WorkflowStep


class Colour(enum.Enum):
    """A plain enumeration."""

    RED = "red"
    MOMENT = datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc)


class Tone(str, enum.Enum):
    """An enumeration of texts."""

    WARM = "warm"


class Level(enum.IntEnum):
    """An enumeration of numbers."""

    HIGH = 3


CEST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "q=a+b"),
        ("a&b=c", "q=a%26b%3Dc"),
        ("żółw", "q=%C5%BC%C3%B3%C5%82w"),
        ("", "q="),
        (0, "q=0"),
        (1.5, "q=1.5"),
        (True, "q=true"),
        (False, "q=false"),
        (None, ""),
        (UNSET, ""),
        (["a", "b"], "q=a%2Cb"),
        (("a", Tone.WARM, 1, True), "q=a%2Cwarm%2C1%2Ctrue"),
        ([], "q="),
        (Colour.RED, "q=red"),
        (Tone.WARM, "q=warm"),
        (Level.HIGH, "q=3"),
        (date(2024, 1, 17), "q=2024-01-17"),
        (datetime(2024, 1, 17, 10, 15), "q=2024-01-17T10%3A15%3A00Z"),  # noqa: DTZ001 (naive is the case)
        (datetime(2024, 1, 17, 12, 15, tzinfo=CEST), "q=2024-01-17T10%3A15%3A00Z"),
        (UUID(int=1), "q=00000000-0000-0000-0000-000000000001"),
        (Decimal("0.5"), "q=0.5"),
    ],
)
def test_a_query_value_has_one_form(value: object, text: str) -> None:
    """None and UNSET are left out, lists are joined by commas, times are ISO 8601 in UTC."""
    assert encode_query({"q": value}) == text


def test_query_names_keep_their_order() -> None:
    """Parameters are written as they were given."""
    assert encode_query({"b": 1, "a": None, "c": "2"}) == "b=1&c=2"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\ud800", "lone surrogate"),
        (object(), "type object has no JSON form"),
        (b"bytes", "type bytes has no JSON form"),
        ([object()], "type object has no JSON form"),
        (10**5000, "cannot be written"),
        (datetime.min.replace(tzinfo=CEST), "cannot be written"),
    ],
    ids=["surrogate", "object", "bytes", "nested object", "endless integer", "time before time"],
)
def test_a_query_value_without_text_is_refused(value: object, reason: str) -> None:
    """What cannot stand in a URL is the caller's mistake, said before anything is sent."""
    with pytest.raises(ConfigurationError, match=reason):
        encode_query({"q": value})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": None}, {"a": None}),
        ({"a": "żółw 🐢"}, {"a": "żółw 🐢"}),
        ({"a": 1, "b": 1.5, "c": True}, {"a": 1, "b": 1.5, "c": True}),
        ({"a": UNSET, "b": 1}, {"b": 1}),
        ({"a": {"b": UNSET, "c": [{"d": UNSET, "e": 2}]}}, {"a": {"c": [{"e": 2}]}}),
        ({"a": ({"b": UNSET},)}, {"a": [{}]}),
        ({"a": MappingProxyType({"b": UNSET, "c": 3})}, {"a": {"c": 3}}),
        ({"a": UserDict({"b": 1})}, {"a": {"b": 1}}),
        ({"a": OrderedDict(b=1)}, {"a": {"b": 1}}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": {"x"}}, {"a": ["x"]}),
        ({"a": deque([1, 2])}, {"a": [1, 2]}),
        ({"a": range(3)}, {"a": [0, 1, 2]}),
        ({"a": (str(n) for n in range(2))}, {"a": ["0", "1"]}),
        ({"a": Colour.RED, "b": Tone.WARM, "c": Level.HIGH}, {"a": "red", "b": "warm", "c": 3}),
        ({"a": Colour.MOMENT}, {"a": "2024-01-17T10:15:00Z"}),
        ({"a": date(2024, 1, 17)}, {"a": "2024-01-17"}),
        ({"a": datetime(2024, 1, 17, 10, 15)}, {"a": "2024-01-17T10:15:00Z"}),  # noqa: DTZ001 (naive is the case)
        ({"a": datetime(2024, 1, 17, 12, 15, 0, 5, tzinfo=CEST)}, {"a": "2024-01-17T10:15:00.000005Z"}),
        ({"a": UUID(int=1)}, {"a": "00000000-0000-0000-0000-000000000001"}),
        ({"a": Decimal("1.25")}, {"a": 1.25}),
        ([1, "x"], [1, "x"]),
        ("text", "text"),
        ({}, {}),
    ],
)
def test_json_has_one_form_for_each_kind(value: object, written: object) -> None:
    """Plain values, dates, enumerations and iterables are written; UNSET entries of any mapping are left out."""
    assert json.loads(encode_json(value)) == written


def test_json_is_compact_utf8() -> None:
    """Bytes on the wire are the shortest form, not ASCII escapes."""
    assert encode_json({"a": "ż", "b": [1, 2]}) == '{"a":"ż","b":[1,2]}'.encode()


def test_models_are_written_in_wire_names_with_only_what_was_set() -> None:
    """Defaults are the service's to choose; fields the model does not know travel on."""
    step = WorkflowStep(id="s", prompt_id="pmt_1", depends_on=["r"])
    assert json.loads(encode_json([step])) == [{"id": "s", "promptId": "pmt_1", "dependsOn": ["r"]}]
    variable = PromptVariable.model_validate({"name": "topic", "unheard": 1})
    assert json.loads(encode_json({"variables": (variable,)})) == {"variables": [{"name": "topic", "unheard": 1}]}
    prompt = Prompt.model_validate({"id": "x", "title": "t", "content": "c", "createdAt": "2024-01-17T10:15:00Z"})
    assert json.loads(encode_json(prompt))["createdAt"] == "2024-01-17T10:15:00Z"


def endless() -> dict[str, Any]:
    """Make a mapping that holds itself."""
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    return ring


@pytest.mark.parametrize(
    "value",
    [
        {"a": object()},
        {"a": b"bytes"},
        {"a": math.nan},
        {"a": [math.inf]},
        {"a": Decimal("NaN")},
        {"a": "\ud800"},
        {"\udfff": 1},
        {("a", "b"): 1},
        {Colour.RED: 1},
        {"a": [UNSET]},
        UNSET,
        {"a": PromptVariable(name="x", default=object())},
        {"a": PromptVariable(name="x", default=math.nan), "b": UNSET, "c": math.nan},
        {"a": datetime.max.replace(tzinfo=timezone(-timedelta(hours=2)))},
        endless(),
        {"unset": UNSET, **endless()},
        {"a": 10**5000},
        type,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_refused(value: object) -> None:
    """Nothing but a `ConfigurationError` comes of a value that JSON does not have."""
    with pytest.raises(ConfigurationError, match=r"lone surrogate|cannot be written as JSON"):
        encode_json(value)


def test_a_body_holds_what_was_given() -> None:
    """None is a value of its own; UNSET is its absence."""
    assert body(a=1, b=None, c=UNSET, d="", e=0) == {"a": 1, "b": None, "d": "", "e": 0}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


@given(plain)
def test_json_values_survive(value: object) -> None:
    """Whatever JSON can say is said as it is."""
    assert json.loads(encode_json(value)) == value
