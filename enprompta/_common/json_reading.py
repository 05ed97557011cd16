r"""Reads the JSON that services really send: what the languages they are written in produce, standard or not.

pydantic's parser is fast and strict, and comes first. This one reads what that refuses, so that one odd value does not
lose an object, or a page of them:

    half a surrogate pair, as in "\\ud83c"      U+FFFD: text that was cut inside an emoji
    bytes that are not UTF-8                     U+FFFD
    a byte order mark, UTF-16, UTF-32            decoded
    control characters in a text                 kept
    NaN, Infinity, -Infinity                     a float
    an integer of more than 4,300 digits         its digits as text: Python refuses to print such a number
    nesting of more than 190 levels              the JSON of the inner levels as text: pydantic reads 200

Everything it returns prints on a UTF-8 stream, pickles, and can be dumped to JSON and read again.
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
_MAX_COLUMNS = 100  # fields whose numbers are read as null, before a value is given up

_ODD_NUMBERS = ("finite_number", "int_", "float_", "date")  # kinds of problems that pydantic has with them
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def read_json(body: bytes) -> object:
    """Parse JSON leniently.

    Raises:
        ValueError: It is not whole JSON.
    """
    try:
        return _printable(_DECODER.decode(_flattened(_decoded(body))))
    except RecursionError:  # called from deep inside a recursion of the caller's
        raise ValueError("nested too deeply for the rest of the stack") from None


def validated(validate: Callable[[object], T], parsed: object, refused: type[Exception]) -> T:
    """Validate a parsed value; read numbers that fields cannot hold as null, in place.

    Args:
        validate: A validator of pydantic's.
        parsed: What `read_json` returns.
        refused: `pydantic.ValidationError`, which the caller has imported.

    Raises:
        Exception: `refused`, when anything else is wrong.
    """
    for _ in range(_MAX_COLUMNS):
        try:
            return validate(parsed)
        except refused as error:
            if not _clear(parsed, first_problem(error)):
                raise
    return validate(parsed)


def _whole(digits: str) -> int | str:
    if len(digits) > MAX_DIGITS:  # without trying: where Python sets no limit, a long one takes hours
        return digits
    try:
        return int(digits)
    except ValueError:  # the program has lowered Python's limit
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
    """Write what is nested too deeply as a JSON text."""
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
    """Make names printable; of two that become the same, both are kept."""
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
    """Join surrogate pairs and replace what is left alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_long_number(value: object) -> bool:
    """Return True for the digits of an integer that was too long to be one."""
    return isinstance(value, str) and len(value) > MAX_DIGITS and value.lstrip("-").isdecimal()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _is_fraction(value: object) -> bool:
    return isinstance(value, float) and not value.is_integer()


def first_problem(error: Any) -> dict[str, Any]:  # noqa: ANN401 (pydantic's, which this module does not import)
    """Return the first problem of a `ValidationError`; `odd` in it holds a number that its field cannot, if it is one.

    Its input is asked for only where it is small: of a missing field, it is the whole object.
    """
    problem = dict(error.errors(include_url=False, include_context=False, include_input=False)[0])
    kind: str = problem["type"]
    if kind.startswith(_ODD_NUMBERS):
        given = error.errors(include_url=False, include_context=False)[0]["input"]
        if _is_number(given) or _is_long_number(given):
            problem["odd"] = given
    return problem


def _clear(parsed: object, problem: dict[str, Any]) -> bool:
    """Read an odd number in a parsed value as null, or as the integer that it is; return False if it is none."""
    if "odd" not in problem:
        return False
    bad = problem["odd"]
    same_kind = next((kind for kind in (_is_long_number, _is_infinite, _is_fraction) if kind(bad)), None)

    def is_as_large(value: object) -> bool:
        return _is_number(value) and abs(cast("float", value)) >= abs(bad)

    return _replace(parsed, problem["loc"], same_kind or is_as_large)


def _replace(node: object, loc: Sequence[str | int], is_bad: Callable[[object], bool]) -> bool:
    """Replace the bad numbers at a place, in all elements of a list at once; return False if there are none.

    So a page takes as many rounds as it has columns with such numbers, not as many as it has rows.
    """
    for at, step in enumerate(loc):
        if isinstance(node, list) and isinstance(step, int):
            replaced = [_replace(one, loc[at + 1 :], is_bad) for one in cast("list[object]", node)]
            return any(replaced)
        if isinstance(node, dict) and step in node:
            inside, name = cast("dict[str, object]", node), cast("str", step)
            if is_bad(value := inside[name]):
                # An integer that was written as 1e21, as JavaScript does.
                inside[name] = int(value) if isinstance(value, float) and value.is_integer() else None
                return True
            node = inside[name]
        # Any other step names a member of a union, not a place.
    return False
