"""Arguments are encoded as query strings and JSON bodies, or rejected with a `ConfigurationError`."""

from __future__ import annotations

import enum
import inspect
import json
import math
import re
import sys
from collections import OrderedDict, UserDict, deque
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr, field_serializer

from enprompta import UNSET, ConfigurationError
from enprompta._core.body import encode_json, encode_query
from enprompta._core.unset import body
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
    """None and UNSET are omitted, lists are joined by commas, times are ISO 8601 in UTC."""
    assert encode_query({"q": value}) == text


def test_query_names_keep_their_order() -> None:
    """Parameters are written in the given order."""
    assert encode_query({"b": 1, "a": None, "c": "2"}) == "b=1&c=2"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\ud800", "'q' holds a lone surrogate"),
        (object(), "q is of type object, which has no form here"),
        (b"bytes", r"q is binary \(bytes\)"),
        ([object()], "q has an item of type object"),
        ([["a"]], "q has an item of type list"),
        ([None], "q is None: leave it out"),
        ({"a": 1}, "q is of type dict"),
        (PromptVariable(name="x"), "q is of type PromptVariable"),
        (10**5000, "q is a number with too many digits"),
        (datetime.min.replace(tzinfo=CEST), "q is a time whose UTC form"),
    ],
    ids=range(10),
)
def test_a_query_value_without_text_is_refused(value: object, reason: str) -> None:
    """Values without a form in a URL are rejected before anything is sent."""
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
        ({"a": Decimal("19.90")}, {"a": "19.90"}),
        ({"a": {"z", "b", "q"}}, {"a": ["b", "q", "z"]}),
        ({Tone.WARM: 1}, {"warm": 1}),
        ([iter("ab"), {"u": UNSET}], [["a", "b"], {}]),
        ([1, "x"], [1, "x"]),
        ("text", "text"),
        ({}, {}),
    ],
)
def test_json_has_one_form_for_each_kind(value: object, written: object) -> None:
    """Plain values, dates, enumerations and iterables are written; UNSET entries are omitted."""
    assert json.loads(encode_json(value)) == written


def test_an_array_with_axes_is_refused() -> None:
    """The items of a numpy array would be numpy's types; the error names the conversion."""
    np = pytest.importorskip("numpy")
    with pytest.raises(ConfigurationError, match=r"a\[0\] is an array \(ndarray\): pass value.tolist\(\)"):
        encode_json({"a": [np.array([1])]})


def test_json_is_compact_utf8() -> None:
    """Bodies are compact UTF-8 without ASCII escapes."""
    assert encode_json({"a": "ż", "b": [1, 2]}) == '{"a":"ż","b":[1,2]}'.encode()


def test_models_are_written_in_wire_names_with_only_what_was_set() -> None:
    """Unset defaults are left to the service; unknown fields are sent."""
    step = WorkflowStep(id="s", prompt_id="pmt_1", depends_on=["r"])
    assert json.loads(encode_json([step])) == [{"id": "s", "promptId": "pmt_1", "dependsOn": ["r"]}]
    variable = PromptVariable.model_validate({"name": "topic", "unheard": 1})
    assert json.loads(encode_json({"variables": (variable,)})) == {"variables": [{"name": "topic", "unheard": 1}]}
    prompt = Prompt.model_validate({"id": "x", "title": "t", "content": "c", "createdAt": "2024-01-17T10:15:00Z"})
    assert json.loads(encode_json(prompt))["createdAt"] == "2024-01-17T10:15:00Z"


def endless() -> dict[str, Any]:
    """Return a mapping that contains itself."""
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    return ring


class Signup(BaseModel):
    """A caller's model with a secret at several depths."""

    password: SecretStr | None = None
    more: Any = None


class Revealing(BaseModel):
    """A model whose author decided to send the secret."""

    password: SecretStr

    @field_serializer("password", when_used="json")
    def reveal(self, value: SecretStr) -> str:
        """Return the secret."""
        return value.get_secret_value()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": object()}, "a is of type object, which has no form here"),
        ({"a": b"bytes"}, "a is binary (bytes): decode it first"),
        ({"a": math.nan}, "a is NaN, a missing value: leave it out"),
        ({"a": [1, math.inf]}, "a[1] is inf, which JSON cannot hold"),
        ({"a": Decimal("NaN")}, "a is NaN, which is no number"),
        ({"a": ["b", "\ud800"]}, "a[1] holds a lone surrogate"),
        ({"a": {"\udfff": 1}}, "a has a key that holds a lone surrogate"),
        ({"x": [1, {"y z": 10**5000}]}, "x[1]['y z'] is a number with too many digits"),
        ({("a", "b"): 1}, "the value has a key that is not text: ('a', 'b')"),
        ({"a": {1: 2}}, "a has a key that is not text: 1"),
        ({Colour.RED: 1}, "the value has a key that is not text"),
        ({"a": [UNSET]}, "a[0] is UNSET"),
        (UNSET, "the value is UNSET"),
        ({"a": PromptVariable(name="x", default=object())}, "a is a PromptVariable that cannot be written: "),
        ({"a": PromptVariable(name="x", default=math.nan)}, "a.default is NaN"),
        ({"a": datetime.max.replace(tzinfo=timezone(-timedelta(hours=2)))}, "a is a time whose UTC form lies outside"),
        (endless(), "ring.ring.ring.ring.ring.ring.ring.ring… is nested more than 200 levels deep"),
        ({"steps": [{}, {"options": {"a": SecretStr("x")}}]}, "steps[1].options.a is a SecretStr, which would be sent"),
        (Signup(password=SecretStr("x")), "password is a SecretStr"),
        ({"u": Signup(more={"k": [1, (SecretStr("x"),)]})}, "u.more.k[1][0] is a SecretStr"),
        ({"u": Signup(more=Signup(password=SecretStr("")))}, "u.more.password is a SecretStr"),
        ({"u": Signup(more=SecretBytes(b"x"))}, "u.more is a SecretBytes"),
        (type, "the value is of type type"),
    ],
    ids=range(23),
)
def test_what_has_no_json_form_is_refused(value: object, says: str) -> None:
    """The error names the place of the value and reveals no secret."""
    with pytest.raises(ConfigurationError, match="^" + re.escape(says)):
        encode_json(value)


def test_what_python_cannot_recurse_into_is_refused() -> None:
    """A body too deep for the caller's remaining stack is a `ConfigurationError`."""
    nested: list[Any] = []
    for _ in range(190):
        nested = [nested]

    def at(depth: int) -> bytes:
        return at(depth - 1) if depth else encode_json(nested)

    assert at(1) == b"[" * 191 + b"]" * 191
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        at(sys.getrecursionlimit() - 100 - len(inspect.stack()))


def test_a_secret_that_a_model_reveals_is_sent() -> None:
    """The serializer of the model decides, as in pydantic."""
    assert json.loads(encode_json(Revealing(password=SecretStr("hunter2")))) == {"password": "hunter2"}


def test_a_generator_beside_unset_entries_is_read_once() -> None:
    """The body is written in one pass, so one-shot iterables lose nothing."""
    assert json.loads(encode_json({"a": iter([1, 2]), "b": UNSET})) == {"a": [1, 2]}


def test_a_body_holds_what_was_given() -> None:
    """None is sent; UNSET is omitted."""
    assert body(a=1, b=None, c=UNSET, d="", e=0) == {"a": 1, "b": None, "d": "", "e": 0}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


@given(plain)
def test_json_values_survive(value: object) -> None:
    """Every JSON value is written unchanged."""
    assert json.loads(encode_json(value)) == value
