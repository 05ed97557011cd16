"""`ecma_json` follows the ECMAScript standard, checked without Node."""

from __future__ import annotations

from typing import Any

import pytest

from enprompta.webhooks import ecma_json
from enprompta.webhooks.ecma_json import rewrite


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (-1e20, "-100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (1e-6, "0.000001"),
        (-1.25e-5, "-0.0000125"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (0.1 + 0.2, "0.30000000000000004"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (-(2**53) - 3, "-9007199254740996"),
        (10**21, "1e+21"),
        (10**400, "null"),
        (-(10**400), "null"),
        (float("inf"), "null"),
        (float("-inf"), "null"),
        (float("nan"), "null"),
    ],
)
def test_numbers(number: float, text: str) -> None:
    """A number is written as Number::toString writes its double."""
    assert ecma_json(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"\\/\b\f\n\r\t\0\x1f\x7f', '"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ("é\u2028🙂", '"é\u2028🙂"'),
        ("\ud83d", '"\\ud83d"'),
        ("\udc00\ud800", '"\\udc00\\ud800"'),
        ("\ud83d\ude42", '"🙂"'),
        ("\ud83d\ud83d\ude42", '"\\ud83d🙂"'),
    ],
)
def test_strings(value: str, text: str) -> None:
    """Only quotes, backslashes, control characters and lone surrogates are escaped."""
    assert ecma_json(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "10": 2, "a": 3, "9": 4, "0": 5}, '{"0":5,"9":4,"10":2,"b":1,"a":3}'),
        ({"01": 1, "1": 2, "-1": 3, "1.5": 4, "": 5}, '{"1":2,"01":1,"-1":3,"1.5":4,"":5}'),
        ({"4294967295": 1, "4294967294": 2}, '{"4294967294":2,"4294967295":1}'),
        ({"٣": 1, "2": 2, "²": 3}, '{"2":2,"٣":1,"²":3}'),
        ({}, "{}"),
        ({"a": [], "b": [True, False, None], "c": ({},)}, '{"a":[],"b":[true,false,null],"c":[{}]}'),
    ],
)
def test_objects(value: Any, text: str) -> None:
    """Array indices come first in numeric order; other keys keep their insertion order."""
    assert ecma_json(value) == text


@pytest.mark.parametrize("text", ["", "nope", "[1,]", "NaN", '{"a":-Infinity}', "\ufeff{}", "[" * 100_000, '"\n"'])
def test_what_is_not_json_is_not_rewritten(text: str) -> None:
    """`rewrite` returns None for text that JSON.parse rejects, and no nesting depth raises."""
    assert rewrite(text) is None


def test_rewriting_reads_numbers_as_doubles() -> None:
    """Numbers of any length are read as JavaScript reads them, without Python's limit on digits."""
    assert rewrite(f"[-0, 1.0, 1E3, {'9' * 5000}, 9007199254740993]") == "[0,1,1000,null,9007199254740992]"


def test_a_payload_that_holds_itself_is_refused() -> None:
    """Endless nesting raises RecursionError, as documented."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(RecursionError):
        ecma_json(value)
