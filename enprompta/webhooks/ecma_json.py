"""JSON as JavaScript writes it.

The service signs `JSON.stringify(payload)`. Whoever holds the parsed payload alone must write exactly the same text
again, and Python's `json.dumps` does not: it keeps integer-like keys where they were, writes `1.0` for `1`, `1e-07`
for `1e-7`, integers of any length, and lone surrogates that no UTF-8 can hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring as _quote
from typing import TYPE_CHECKING, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ecma_json", "rewrite"]

_EXACT = 2**53  # up to here every integer is a double of its own
_LAST_INDEX = 2**32 - 2  # the largest array index (ECMA-262, 6.1.7)
_PLAIN_DIGITS = 21  # longest integer part written without an exponent (ECMA-262, Number::toString)
_PLAIN_ZEROS = -6  # smallest power of ten written without an exponent

_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


def ecma_json(value: object) -> str:
    """Write a value as ECMAScript's `JSON.stringify` writes the same value.

    Args:
        value: What `json.loads` gives: mappings with text keys, lists, tuples, text, numbers, booleans and None.
            Numbers count as the doubles they are to JavaScript, so an integer beyond 2**53 is rounded, and one that
            no double can hold is written `null`, as infinities and NaN are.

    Raises:
        TypeError: Something in the value has no JSON form.
        RecursionError: The value is nested deeper than the interpreter allows, or holds itself.
    """
    text = _write(value)
    # Surrogates are rare and only ever inside strings: one look at the whole is the cheapest.
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_surrogates, text)
    return text


def rewrite(text: str) -> str | None:
    """Write a JSON text again, as `JSON.stringify(JSON.parse(text))` does; None when it is not JSON.

    Nesting deeper than the interpreter can follow counts as not being JSON.
    """
    try:
        return ecma_json(_decode(text))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    """Refuse `NaN` and `Infinity`, which Python's parser takes for numbers."""
    raise ValueError(constant)


# Every number as a double: what JavaScript reads, and no limit on the digits of an integer to trip over.
_decode: Callable[[str], object] = json.JSONDecoder(parse_int=float, parse_constant=_refuse).decode


def _write(value: object) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return _object(cast("dict[object, object]", value))
    if isinstance(value, (list, tuple)):
        return f"[{','.join([_write(item) for item in cast('Sequence[object]', value)])}]"
    return _rarer(value)


def _rarer(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, Mapping):
        return _object(cast("Mapping[object, object]", value))
    raise TypeError(f"A {type(value).__name__} has no JSON form")


def _object(value: Mapping[object, object]) -> str:
    members: dict[str, str] = {}
    indexed = False
    for key, member in value.items():
        if not isinstance(key, str):
            raise TypeError(f"A key of a JSON object is text, not {type(key).__name__}")
        members[key] = f"{_quote(key)}:{_write(member)}"
        indexed = indexed or key[:1].isdigit()
    if indexed:
        # Array indices come first, in number order; other keys as they were inserted (OrdinaryOwnPropertyKeys).
        indices = sorted((key for key in members if _is_index(key)), key=int)
        members = {key: members[key] for key in indices} | members
    return f"{{{','.join(members.values())}}}"


def _is_index(key: str) -> bool:
    return _INDEX.match(key) is not None and int(key) <= _LAST_INDEX


def _surrogates(found: re.Match[str]) -> str:
    """Join a pair into its character; escape a surrogate that is alone (well-formed JSON.stringify)."""
    units = found[0]
    if len(units) == 1:
        return f"\\u{ord(units):04x}"
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _integer(value: int) -> str:
    if -_EXACT <= value <= _EXACT:
        return int.__repr__(value)
    try:
        return _number(float(value))
    except OverflowError:
        return "null"


def _number(value: float) -> str:
    """Write a double as ECMAScript does: Python finds the same digits and only lays them out otherwise."""
    text = float.__repr__(value)
    if text.endswith(".0"):
        return "0" if value == 0 else text[:-2]  # JSON.stringify(-0) is "0"
    mantissa, exponential, exponent = text.partition("e")
    if not exponential:
        return "null" if text in {"inf", "-inf", "nan"} else text
    sign = "-" if mantissa[0] == "-" else ""
    digits = mantissa.lstrip("-").replace(".", "")
    power = int(exponent)
    if 0 <= power < _PLAIN_DIGITS:
        return sign + digits.ljust(power + 1, "0")  # Python uses exponents from 1e16 on, beyond its 17 digits
    if _PLAIN_ZEROS <= power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{power:+d}"
