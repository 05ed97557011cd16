"""Rule out most texts in a fraction of the time that the patterns take; what is not ruled out is searched.

Each check takes a few passes in C, and never rules out a text with a match.
"""

from __future__ import annotations

import re
import string

SHORTEST_CREDENTIAL = 12
"""Characters of the shortest credential that has a prefix."""
SHORTEST_RUN = 8
"""Characters of the shortest text that is searched for something encoded; 4 in a line after the first."""


def _table(**shapes: str) -> bytes:
    """Return a table that turns the characters of each shape into its name's first letter, all others into a space."""
    table = bytearray(b" " * 256)
    for name, characters in shapes.items():
        for one in characters.encode():
            table[one] = ord(name[0])
    return bytes(table)


_WORDS = bytes(one if chr(one) in f"{string.ascii_letters}{string.digits}_-./+=" else 32 for one in range(256))
_SPACED = _table(hex=string.hexdigits, separator=" ,:", x="xX", other="")
_PLAIN = bytes(one for one in range(127) if chr(one) in "\t\n\r" or (one >= 32 and chr(one) not in "%\\&=+"))  # noqa: PLR2004 (a space)
_NOT_DIGITS = bytes(one for one in range(256) if chr(one) not in string.digits)
_MIXED = re.compile(rb"[a-z0-9+/_\-][A-Z]|[0-9]|=|[A-Z]{16}|[a-z]{24}")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def has_escape(text: str) -> bool:
    """True if a text may hold an escape, or a character that is not ASCII."""
    return bool(_raw(text).translate(None, _PLAIN))


def has_digits(text: str, number: int) -> bool:
    """True if a text has as many digits."""
    return len(_raw(text).translate(None, _NOT_DIGITS)) >= number


def long_words(text: str, length: int) -> bytes:
    """Return the words of a text that are at least as long, with the characters of credentials and of base64."""
    if len(text) < length:
        return b""
    return b" ".join([word for word in _raw(text).translate(_WORDS).split() if len(word) >= length])


def has_encoded_run(text: str) -> bool:
    """True if a text may hold something in base64, base32 or hexadecimal."""
    return _MIXED.search(long_words(text, SHORTEST_RUN // 2 if "\n" in text else SHORTEST_RUN)) is not None


def has_spaced_hex(text: str) -> bool:
    """True if a text may hold six bytes in hexadecimal with separators."""
    shape = _raw(text).translate(_SPACED).replace(b"ss", b"s").replace(b"hxhh", b"hh")
    return b"shhshhshhshhs" in shape
