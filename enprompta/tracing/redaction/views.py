"""Read a text the way its reader will: escapes decoded, invisible characters removed, digits of all scripts as ASCII.

A view is a decoded form of a text together with the positions in the original, so that a match in the view can be
replaced in the original. Decoding is repeated until nothing changes, because escapes are nested.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import sys
import unicodedata
import zlib
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING

from enprompta.tracing.redaction.prefilters import has_encoded_run, has_escape, has_spaced_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ROUNDS = 6
"""Depth to which nested escapes are decoded."""

_INVISIBLE = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\u3164\ufe00-\ufe0f"
    r"\ufe20-\ufe2f\ufeff\uffa0\ufff0-\ufffc\U000e0000-\U000e0fff"
)
# Blocks with characters that look like ASCII: spaces, dashes, full-width, circled and mathematical letters and digits.
_LOOKALIKES = (
    r"\xa0\xb2\xb3\xb7\xb9\u02d0\u0589\u05f4\u066b\u066c\u06d4\u1680\u2000-\u200a\u2010-\u2015\u2024"
    r"\u2028\u2029\u202f\u2039\u203a\u2043\u2044\u205f\u2070-\u209c\u2100-\u214f\u2212\u2215\u2236"
    r"\u2460-\u24ff\u2776-\u2793\u2e3a\u2e3b\u3000-\u3002\ua789\ufe13\ufe19\ufe30-\ufe33\ufe50-\ufe6b"
    r"\uff01-\uff5e\uff61\U0001d400-\U0001d7ff\U0001f100-\U0001f18f\U0001fbf0-\U0001fbf9"
)
# Letters that look like ASCII ones. Next to ASCII they are read as such; words of other scripts stay as they are.
_HOMOGLYPHS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0501\u051b\u051d\u0410\u0412\u0415\u041a\u041c\u041d\u041e"
    "\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u03bf\u03b1\u03c1\u03bd\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c"
    "\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u0131",
    "aeopcyxsijdqwABEKMHOPCTYXSIJoapvABEZHIKMNOPTYXi",
)
_LETTERS = "".join(map(chr, _HOMOGLYPHS))
_ESCAPE = re.compile(
    rf"""(?=[%\\&=+\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\U0010ffff])(?:%(?:25)*(?P<percent>[0-7][0-9a-f])
    |(?P<percents>(?:%(?:25)*[89a-f][0-9a-f]){{1,4}})
    |(?<!\\)\\+u(?P<high>d[89ab][0-9a-f]{{2}})\\+u(?P<low>d[c-f][0-9a-f]{{2}})
    |(?<!\\)\\+(?:u|x(?=[0-9a-f]{{2}}))(?P<unit>(?<=u)[0-9a-f]{{4}}|(?<=x)[0-7][0-9a-f])
    |(?<!\\)\\+u\{{(?P<braced>[0-9a-f]{{1,6}})\}}
    |(?<!\\)\\+N\{{(?P<named>[A-Za-z0-9 \-]{{2,60}})\}}
    |(?<!\\)\\+U(?P<long>[0-9a-f]{{8}})
    |(?P<bytes>(?<!\\)\\+x[89a-f][0-9a-f](?:\\{{1,16}}x[89a-f][0-9a-f]){{0,3}})
    |(?<!\\)\\+(?P<octal>[01][0-7]{{2}})
    |(?<!\\)\\+(?P<literal>[nrt"'/@.:+\-])
    |&(?:amp;)*\#x0{{0,8}}(?P<hex>[0-9a-f]{{1,6}});?
    |&(?:amp;)*\#0{{0,8}}(?P<decimal>[0-9]{{1,7}});?
    |&(?:amp;)*(?P<entity>[a-z]{{2,10}});
    |(?P<plus>(?<=[0-9)])\+(?=[0-9(]))
    |=(?P<soft>\r?\n)
    |=(?P<quoted>[0-7][0-9A-F])
    |(?P<quoteds>(?:=[89A-F][0-9A-F]){{1,4}})
    |(?P<invisible>[{_INVISIBLE}]+)
    |(?P<letters>(?<=[a-z0-9_/\-])[{_LETTERS}]+|[{_LETTERS}]{{1,16}}(?=[a-z0-9_/\-]))
    |(?P<lookalike>[{_LOOKALIKES}]|(?![0-9])\d))""",
    re.VERBOSE | re.IGNORECASE,
)
_WHITESPACE = {"n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"(?<=[%xX=])[89a-fA-F][0-9a-fA-F]")
_PUNCTUATION = dict(
    zip(
        "\u00b7\u3002\uff61\u06d4\u066b\u3001\u2043\u2212\u2044\u2215\u2236\ua789\u0589\u02d0\u2028\u2029\u2039\u203a\u05f4\u066c",
        '.....,--//::::\n\n<>",',
        strict=True,
    )
)
MAX_INFLATED = 4_000_000  # bytes; more of a compressed value is not searched, and the value is redacted

# Lines of base64 may be folded. Words match too; `_may_be_encoded` sorts them out.
_RUN = re.compile(r"[A-Za-z0-9+/_\-]{8,}(?:\r?\n[A-Za-z0-9+/_\-]{4,})*={0,6}")
_SPACED_HEX = re.compile(
    r"(?<![0-9a-z])(?:(?:0x)?[0-9a-f]{2}[ ,:]{1,2}){5,}(?:0x)?[0-9a-f]{2}(?![0-9a-z])", re.IGNORECASE
)
_PARTED = re.compile(r"[+/_\-\n]")
_PIECES = re.compile(r"[A-Za-z0-9]{8,}={0,6}")
_HEX_RUN = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2}){6,})")
_BASE32 = re.compile(r"[A-Z2-7]{10,}={0,6}|[a-z2-7]{10,}={0,6}")
_MIXED = re.compile(r"[a-z0-9+/_\-][A-Z]|[0-9]|=|[A-Z]{16}|[a-z]{24}")
_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
_FOLDS = str.maketrans("-_", "+/", "\r\n=")
_MAX_UNPRINTABLE = 0.15


class View:
    """A decoded form of a text.

    Args:
        text: The decoded text.
        starts: Positions in `text` at which a run of unchanged characters or a decoded character begins, ascending.
        origins: The position in the original text of each of `starts`.
        is_unit: True for each of `starts` that is decoded, and so stands for all characters up to the next origin.
    """

    __slots__ = ("_is_unit", "_origins", "_starts", "text")

    def __init__(self, text: str, starts: list[int], origins: list[int], is_unit: list[bool]) -> None:
        self.text: str = text
        self._starts = starts
        self._origins = origins
        self._is_unit = is_unit

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of the original text that a part of the view was decoded from."""
        first = bisect_right(self._starts, start) - 1
        begin = self._origins[first] + (0 if self._is_unit[first] else start - self._starts[first])
        last = bisect_right(self._starts, end - 1) - 1
        if self._is_unit[last]:
            return begin, self._origins[last + 1]
        return begin, self._origins[last] + end - self._starts[last]


def decoded(text: str) -> View | None:
    """Decode one layer of escapes; None if there is none."""
    if not has_escape(text):
        return None
    pieces: list[str] = []
    starts, origins, is_unit = [0], [0], [False]
    length = end = 0
    for found in _ESCAPE.finditer(text):
        character = _character(found)
        if character is None:
            continue
        plain = text[end : found.start()]
        pieces += [plain, character]
        length += len(plain)
        if character:
            starts.append(length)
            origins.append(found.start())
            is_unit.append(True)
            length += len(character)
        starts.append(length)
        origins.append(found.end())
        is_unit.append(False)
        end = found.end()
    if not pieces:
        return None
    return View("".join([*pieces, text[end:]]), starts, origins, is_unit)


def views(text: str) -> Iterator[tuple[str, list[View]]]:
    """Yield the text itself and its decoded forms, each with the views that lead back to the text, last one first."""
    path: list[View] = []
    yield text, path
    for _ in range(MAX_ROUNDS):
        view = decoded(text)
        if view is None or view.text == text:
            return
        text, path = view.text, [view, *path]
        yield text, path


def origin(path: list[View], start: int, end: int) -> tuple[int, int]:
    """Follow a part of the last view back to the original text."""
    for view in path:
        start, end = view.origin(start, end)
    return start, end


def _character(found: re.Match[str]) -> str | None:
    """Return what an escape stands for; None if it stands for nothing that can be shown."""
    name = found.lastgroup or ""
    return _READERS[name](found)


def _of_bytes(found: re.Match[str]) -> str:
    raw = bytes.fromhex("".join(_HEX.findall(found[0])))
    return raw.decode("utf-8") if _is_utf8(raw) else raw.decode("latin-1")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _of_code(text: str, base: int) -> str | None:
    code = int(text, base)
    return chr(code) if code <= sys.maxunicode else None


def _of_pair(found: re.Match[str]) -> str:
    return chr(0x10000 + ((int(found["high"], 16) - 0xD800) << 10) + int(found["low"], 16) - 0xDC00)


def _of_name(found: re.Match[str]) -> str | None:
    try:
        return unicodedata.lookup(found["named"])
    except KeyError:
        return None


def _space(_: re.Match[str]) -> str:
    return " "


def _nothing(_: re.Match[str]) -> str:
    return ""


def _of_entity(found: re.Match[str]) -> str | None:
    text = html.unescape(f"&{found['entity'].lower()};")
    return None if text.startswith("&") and len(text) > 1 else text


@lru_cache(maxsize=4096)
def _of_lookalike(character: str) -> str:
    """Return the ASCII characters that a character looks like; the character itself if there are none."""
    if character in _PUNCTUATION:
        return _PUNCTUATION[character]
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(character)
    if category == "Pd":
        return "-"
    if category == "Zs":
        return " "
    normal = unicodedata.normalize("NFKC", character)
    if len(normal) > 1:
        normal = normal.strip("()., ")  # a digit or letter in parentheses, or with a period
    return normal if normal.isascii() else character


_READERS: dict[str, Callable[[re.Match[str]], str | None]] = {
    "percent": lambda found: chr(int(found["percent"], 16)),
    "percents": _of_bytes,
    "quoteds": _of_bytes,
    "low": _of_pair,
    "unit": lambda found: _of_code(found["unit"], 16),
    "braced": lambda found: _of_code(found["braced"], 16),
    "named": _of_name,
    "long": lambda found: _of_code(found["long"], 16),
    "bytes": _of_bytes,
    "octal": lambda found: _of_code(found["octal"], 8),
    "literal": lambda found: _WHITESPACE.get(found["literal"], found["literal"]),
    "hex": lambda found: _of_code(found["hex"], 16),
    "decimal": lambda found: _of_code(found["decimal"], 10),
    "entity": _of_entity,
    "plus": _space,
    "soft": _nothing,
    "quoted": lambda found: chr(int(found["quoted"], 16)),
    "invisible": _nothing,
    "letters": lambda found: found[0].translate(_HOMOGLYPHS),
    "lookalike": lambda found: _of_lookalike(found[0]),
}


class Unreadable(Exception):  # noqa: N818 (it is no error of the caller)
    """An encoded value is too large to be searched."""


def encoded_runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the position of each encoded part, and what it decodes to; several readings of one part may follow.

    Raises:
        Unreadable: A compressed part expands beyond the bound.
    """
    for run in _RUN.finditer(text) if has_encoded_run(text) else ():
        if _MIXED.search(run[0]) is None:
            continue
        yield from _readings(run[0], run.start())
        if _PARTED.search(run[0]):
            for piece in _PIECES.finditer(run[0]):
                if piece[0] != run[0] and _MIXED.search(piece[0]) is not None:
                    yield from _readings(piece[0], run.start() + piece.start())
    for run in _SPACED_HEX.finditer(text) if has_spaced_hex(text) else ():
        raw = bytes.fromhex(re.sub(r"0x|[ ,:]", "", run[0], flags=re.IGNORECASE))
        for plain in _texts(raw):
            yield run.start(), run.end(), plain


def _readings(run: str, start: int) -> Iterator[tuple[int, int, str]]:
    compact = run.translate(_FOLDS)
    candidates = [_base64(compact)]
    if found := _HEX_RUN.fullmatch(compact):
        candidates.append(bytes.fromhex(found[1]))
    if _BASE32.fullmatch(compact):
        candidates.append(_base32(compact.upper()))
    for raw in candidates:
        for plain in _texts(raw):
            yield start, start + len(run), plain


def _base64(compact: str) -> bytes:
    usable = compact[: -1 if len(compact) % 4 == 1 else None]
    return binascii.a2b_base64(usable + "=" * (-len(usable) % 4))


def _base32(compact: str) -> bytes:
    usable = compact[: len(compact) - (0, 1, 0, 1, 0, 0, 1, 0)[len(compact) % 8]]
    return base64.b32decode(usable + "=" * (-len(usable) % 8))


def _texts(raw: bytes) -> Iterator[str]:
    """Yield the text that bytes hold; nothing for images and other data."""
    if raw[:2] == b"\x1f\x8b" or (raw[:1] == b"\x78" and raw[1:2] in b"\x01\x5e\x9c\xda"):
        raw = _inflated(raw)
    if b"\0" in raw:
        for encoding in ("utf-16-le", "utf-16-be"):
            plain = raw.decode(encoding, "ignore").strip("\0\ufeff")
            if plain.isprintable() or plain.isascii():
                yield plain
    try:
        yield raw.decode("utf-8")
    except UnicodeDecodeError:
        if len(raw.translate(None, _PRINTABLE)) <= len(raw) * _MAX_UNPRINTABLE:
            yield raw.decode("latin-1")


def _inflated(raw: bytes) -> bytes:
    decompressor = zlib.decompressobj(47)
    try:
        plain = decompressor.decompress(raw, MAX_INFLATED)
    except zlib.error:
        return raw
    if decompressor.unconsumed_tail:
        raise Unreadable
    return plain
