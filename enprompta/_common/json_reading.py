r"""Parse JSON leniently, including the non-standard forms that servers and proxies produce.

pydantic's fast and strict parser runs first. This one reads what that rejects, so that one malformed value does not
invalidate an object or a page:

    half a surrogate pair, as in "\\ud83c"      U+FFFD (text that was cut inside an emoji)
    bytes that are not UTF-8                     U+FFFD
    a byte order mark, UTF-16, UTF-32            decoded
    control characters in a text                 kept
    NaN, Infinity, -Infinity                     a float
    an integer of more than 4,300 digits         its digits as text: Python cannot print such a number
    nesting of more than 190 levels              the JSON of the inner levels as text: pydantic supports 200

Every result can be printed on a UTF-8 stream, pickled, and converted to JSON and back.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

MAX_DEPTH = 190
MAX_DIGITS = 4_300
_MAX_COLUMNS = 100  # fields whose numbers are read as null before validation fails

_ODD_NUMBERS = ("finite_number", "int_", "float_", "date")  # pydantic's error types for numbers
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def read_json(body: bytes) -> object:
    """Parse JSON leniently.

    Raises:
        ValueError: The body is not complete JSON.
    """
    try:
        return _printable(_DECODER.decode(_flattened(_decoded(body))))
    except RecursionError:  # called from deep inside the caller's own recursion
        raise ValueError("nested too deeply for the rest of the stack") from None


def validated(validate: Callable[[object], T], parsed: object, refused: type[Exception]) -> T:
    """Validate a parsed value; replace numbers that its fields do not accept by null, in place.

    Args:
        validate: A validator of pydantic.
        parsed: The result of `read_json`.
        refused: `pydantic.ValidationError`, which this module does not import.

    Raises:
        Exception: `refused`, if anything else is wrong.
    """
    for _ in range(_MAX_COLUMNS):
        try:
            return validate(parsed)
        except refused as error:
            if not _clear(parsed, first_problem(error)):
                raise
    return validate(parsed)


def _whole(digits: str) -> int | str:
    if len(digits) > MAX_DIGITS:  # not converted: without Python's limit, a long number takes hours
        return digits
    try:
        return int(digits)
    except ValueError:  # the program lowered Python's limit
        return digits


_DECODER = json.JSONDecoder(parse_int=_whole, strict=False)


def _decoded(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        text = body.decode(encoding, "replace")
    return text.lstrip("\ufeff")


def _flattened(text: str) -> str:
    """Replace levels that are nested too deeply by their JSON text."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text
    pieces: list[str] = []
    depth = kept = start = 0
    for match in _BRACKETS.finditer(text):
        bracket = text[match.start()]
        if bracket in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                start = match.start()
        elif bracket != '"':
            if depth == MAX_DEPTH + 1:
                pieces += text[kept:start], json.dumps(text[start : match.end()])
                kept = match.end()
            depth -= 1
    return "".join((*pieces, text[kept:]))


def _printable(value: object) -> object:
    """Replace lone surrogates in every text of a parsed value, in place."""
    top = [value]
    rest: list[list[object] | dict[str, object]] = [top]
    while rest:
        node = rest.pop()
        if isinstance(node, dict):
            if not all(map(_is_printable, node)):
                _rename(node)
            entries = list(node.items())
        else:
            entries = list(enumerate(node))
        for key, one in entries:
            if isinstance(one, str):
                if not _is_printable(one):
                    cast("dict[object, object]", node)[key] = _joined(one)
            elif isinstance(one, (dict, list)):
                rest.append(cast("list[object] | dict[str, object]", one))
    return top[0]


def _rename(node: dict[str, object]) -> None:
    """Make names printable; names that become equal get a suffix, so that none is lost."""
    entries = list(node.items())
    node.clear()
    for name, value in entries:
        fine = _joined(name)
        while fine in node:
            fine += "\ufffd"
        node[fine] = value


def _is_printable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _joined(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_long_number(value: object) -> bool:
    """True for the digits of an integer that was too long to convert."""
    return isinstance(value, str) and len(value) > MAX_DIGITS and value.lstrip("-").isdecimal()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _is_fraction(value: object) -> bool:
    return isinstance(value, float) and not value.is_integer()


def first_problem(error: Any) -> dict[str, Any]:  # noqa: ANN401 (pydantic's, which this module does not import)
    """Return the first problem of a `ValidationError`; its key `odd` holds a rejected number.

    The input is read only for number errors: for a missing field, it would be the whole object.
    """
    problem = dict(error.errors(include_url=False, include_context=False, include_input=False)[0])
    kind: str = problem["type"]
    if kind.startswith(_ODD_NUMBERS):
        given = error.errors(include_url=False, include_context=False)[0]["input"]
        if _is_number(given) or _is_long_number(given):
            problem["odd"] = given
    return problem


def _clear(parsed: object, problem: dict[str, Any]) -> bool:
    """Replace a rejected number by null or by its integer; return False if the problem is not a number."""
    if "odd" not in problem:
        return False
    bad = problem["odd"]
    same_kind = next((kind for kind in (_is_long_number, _is_infinite, _is_fraction) if kind(bad)), None)

    def is_as_large(value: object) -> bool:
        return _is_number(value) and abs(cast("float", value)) >= abs(bad)

    return _replace(parsed, problem["loc"], same_kind or is_as_large)


def _replace(node: object, loc: Sequence[str | int], is_bad: Callable[[object], bool]) -> bool:
    """Replace the rejected numbers at a location, in all elements of a list; return False if there are none.

    A page is then validated once per affected column instead of once per row.
    """
    for at, step in enumerate(loc):
        if isinstance(node, list) and isinstance(step, int):
            replaced = [_replace(one, loc[at + 1 :], is_bad) for one in cast("list[object]", node)]
            return any(replaced)
        if isinstance(node, dict) and step in node:
            inside, name = cast("dict[str, object]", node), cast("str", step)
            if is_bad(value := inside[name]):
                # JavaScript writes large integers as 1e21.
                inside[name] = int(value) if isinstance(value, float) and value.is_integer() else None
                return True
            node = inside[name]
        # Any other step names a member of a union.
    return False
