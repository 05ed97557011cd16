"""Serialize JSON as JavaScript does.

The service signs `JSON.stringify(payload)`. To verify a parsed payload, exactly the same text must be produced.
Python's `json.dumps` differs: it does not move integer-like keys to the front, writes `1.0` for `1`, `1e-07` for
`1e-7` and integers of any length, and keeps lone surrogates, which UTF-8 cannot encode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring as _quote
from typing import TYPE_CHECKING, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["ecma_json", "rewrite"]

_MAX_SAFE_INTEGER = 2**53  # every integer up to here has an exact double
_LAST_INDEX = 2**32 - 2  # the largest array index (ECMA-262, 6.1.7)
_PLAIN_DIGITS = 21  # longest integer part written without an exponent (ECMA-262, Number::toString)
_ZERO_IN_EXPONENT = -9  # smallest power of ten whose exponent Python pads to two digits
_PLAIN_ZEROS = -6  # smallest power of ten written without an exponent

_CONSTANTS = {None: "null", True: "true", False: "false"}
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


def ecma_json(value: object) -> str:
    """Serialize a value as ECMAScript's `JSON.stringify` does.

    Args:
        value: A value as returned by `json.loads`: mappings with string keys, lists, tuples, strings, numbers, booleans
            and None. Numbers are doubles, as in JavaScript: an integer beyond 2**53 is rounded, and one too large for a
            double is written as `null`, like infinities and NaN.

    Raises:
        TypeError: Part of the value has no JSON form.
        RecursionError: The value is nested deeper than the interpreter allows, or contains itself.
    """
    pieces: list[str] = []
    _write(value, pieces.append)
    text = "".join(pieces)
    # Surrogates are rare and occur only inside strings: check the whole text once.
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_surrogates, text)
    return text


def rewrite(text: str) -> str | None:
    """Return a JSON text as `JSON.stringify(JSON.parse(text))` writes it; None if it is not JSON.

    Text nested deeper than the interpreter's recursion limit counts as invalid.
    """
    try:
        return ecma_json(_decode(text))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    """Reject `NaN` and `Infinity`, which Python's parser accepts."""
    raise ValueError(constant)


# Parse every number as a double, as JavaScript does; this also avoids Python's limit on integer digits.
_decode: Callable[[str], object] = json.JSONDecoder(parse_int=float, parse_constant=_refuse).decode


def _write(value: object, put: Callable[[str], object]) -> None:
    """Append the pieces of a value's text; returning text would copy it once per nesting level."""
    if isinstance(value, str):
        put(_quote(value))
    elif isinstance(value, float):
        put(_number(value))
    elif isinstance(value, (list, tuple)):
        opening = "["
        for item in cast("Sequence[object]", value):
            put(opening)
            _write(item, put)
            opening = ","
        put("]" if value else "[]")
    elif isinstance(value, dict):
        _write_object(cast("dict[object, object]", value), put)
    elif value is None or isinstance(value, int):  # before the slower check for `Mapping`
        put(_CONSTANTS[value] if value is None or isinstance(value, bool) else _integer(value))
    elif isinstance(value, Mapping):
        _write_object(cast("Mapping[object, object]", value), put)
    else:
        raise TypeError(f"A {type(value).__name__} has no JSON form")


def _write_object(value: Mapping[object, object], put: Callable[[str], object]) -> None:
    opening = "{"
    for key in _ordered(value):
        put(f"{opening}{_quote(key)}:")
        _write(value[key], put)
        opening = ","
    put("}" if value else "{}")


def _ordered(value: Mapping[object, object]) -> Iterable[str]:
    """Order keys as JavaScript does: array indices by number, then the rest as inserted (OrdinaryOwnPropertyKeys)."""
    indices: list[str] = []
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"JSON object keys must be strings, not {type(key).__name__}")
        if key[:1].isdigit() and _INDEX.match(key) is not None and int(key) <= _LAST_INDEX:
            indices.append(key)
    keys = cast("Iterable[str]", value)
    return dict.fromkeys(sorted(indices, key=int)) | dict.fromkeys(keys) if indices else keys


def _surrogates(found: re.Match[str]) -> str:
    """Join a surrogate pair into its character; escape a lone surrogate (well-formed JSON.stringify)."""
    units = found[0]
    if len(units) == 1:
        return f"\\u{ord(units):04x}"
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _integer(value: int) -> str:
    if -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER:
        return int.__repr__(value)
    try:
        return _number(float(value))
    except OverflowError:
        return "null"


def _number(value: float) -> str:
    """Write a double as ECMAScript does; Python produces the same digits in a different layout."""
    text = float.__repr__(value)
    if text.endswith(".0"):
        return "0" if value == 0 else text[:-2]  # JSON.stringify(-0) is "0"
    mantissa, exponential, exponent = text.partition("e")
    if not exponential:
        return "null" if text in {"inf", "-inf", "nan"} else text
    power = int(exponent)
    if power >= _PLAIN_DIGITS or power < _ZERO_IN_EXPONENT:
        return text
    sign = "-" if mantissa[0] == "-" else ""
    digits = mantissa.lstrip("-").replace(".", "")
    if power >= 0:
        return sign + digits.ljust(power + 1, "0")  # Python uses exponents from 1e16 on, beyond its 17 digits
    if power >= _PLAIN_ZEROS:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    return f"{mantissa}e{power}"
