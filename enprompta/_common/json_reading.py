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
import re
from contextlib import suppress
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 190
MAX_DIGITS = 4_300

_MANY_HALVES = 100_000  # read in 50 ms by the codecs that can read them
_HALVES = tuple(bytes([byte]) for byte in range(0xD8, 0xE0))
"""Upper bytes of a surrogate in UTF-16 and UTF-32."""
_SPARE = tuple(map(chr, range(0xE000, 0xE010)))
"""Characters that texts do not contain: the first ones for private use."""
# A text that is cut has no end; without the `?`, each quote within it would be searched to the end of the body.
_BRACKETS = r'(?s)"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+'


def read_json(body: bytes) -> object:
    """Parse JSON leniently.

    Raises:
        ValueError: The body is not complete JSON.
    """
    try:
        text = _flattened(_decoded(body))
        is_many = text.count("\\ud") + text.count("\\uD") > _MANY_HALVES
        return _printable(_DECODER.decode(text), _replaced if is_many else _joined)
    except RecursionError:  # called from deep inside the caller's own recursion
        raise ValueError("nested too deeply for the rest of the stack") from None


def reason_of(error: Exception) -> str:
    """Say why Python's parser rejected a JSON text, without its advice to programmers."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "a number has too many digits" if "integer string conversion" in str(error) else str(error)


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
    with suppress(UnicodeDecodeError):
        return body.decode(encoding).lstrip("\ufeff")
    is_utf8 = encoding.startswith("utf-8")
    is_many = (body.count(b"\xed") if is_utf8 else sum(map(body.count, _HALVES))) > _MANY_HALVES
    if is_many and not is_utf8:
        raise ValueError("too many halves of surrogate pairs for this encoding")
    if is_many:
        text = body.decode(encoding, "replace").replace(3 * "\ufffd", "\ufffd")  # the three bytes of a half
    else:
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
    for match in re.finditer(_BRACKETS, text):
        at, length = match.start(), match.end() - match.start()
        if text[at] in "[{":
            if depth <= MAX_DEPTH < depth + length:
                start = at + MAX_DEPTH - depth
            depth += length
        elif text[at] != '"':
            if depth - length <= MAX_DEPTH < depth:
                end = at + depth - MAX_DEPTH
                pieces += text[kept:start], json.dumps(text[start:end])
                kept = end
            depth -= length
    return "".join((*pieces, text[kept:]))


def _printable(value: object, join: Callable[[str], str]) -> object:
    """Replace lone surrogates in every text of a parsed value, in place."""
    top = [value]
    rest: list[list[object] | dict[str, object]] = [top]
    while rest:
        node = rest.pop()
        if isinstance(node, dict):
            if not all(map(_is_printable, node)):
                _rename(node, join)
            entries = list(node.items())
        else:
            entries = list(enumerate(node))
        for key, one in entries:
            if isinstance(one, str):
                if not _is_printable(one):
                    cast("dict[object, object]", node)[key] = join(one)
            elif isinstance(one, (dict, list)):
                rest.append(cast("list[object] | dict[str, object]", one))
    return top[0]


def _rename(node: dict[str, object], join: Callable[[str], str]) -> None:
    """Make names printable; names that become equal get a suffix, so that none is lost."""
    entries = list(node.items())
    node.clear()
    for name, value in entries:
        fine = join(name)
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


def _replaced(text: str) -> str:
    """Replace each half of a surrogate pair, in a tenth of the time that `_joined` takes."""
    spare = next((one for one in _SPARE if one not in text), "?")
    # Only "?" replaces halves without a call for each.
    marked = text.replace("?", spare).encode("utf-8", "replace").decode()
    return marked.replace("?", "\ufffd").replace(spare, "?")
