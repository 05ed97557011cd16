"""Find e-mail addresses, plain or written so that programs do not find them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from enprompta.tracing.redaction.matches import Match

if TYPE_CHECKING:
    from collections.abc import Iterator

# The local part is found together with the @, so that each character is read once.
_LOCAL = r"\w.+%!#$&*^~'\-"
_EMAIL = re.compile(
    rf"""(?:[{_LOCAL}]+|"[^"\r\n]{{1,64}}")@(?:((?:[\w\-]{{1,63}}\.){{1,10}}(?:xn--[\w\-]{{2,59}}|[^\W\d_]{{2,63}}))|\[[^\]\s]{{3,60}}\])"""
    rf"|[{_LOCAL}]+"
)
_SPELLED = re.compile(
    r"""(?<![\w.+\-])[\w.+\-]{1,64}\s{0,2}(?:[\[({<]\s?(?:at|@)\s?[\])}>]|\sat\s|\s@\s)\s{0,2}[\w\-]{1,63}
    (?:\s{0,2}(?:[\[({<]\s?(?:dot|\.)\s?[\])}>]|\sdot\s|\.)\s{0,2}[\w\-]{1,63}){0,3}
    \s{0,2}(?:[\[({<]\s?(?:dot|\.)\s?[\])}>]|\sdot\s)\s{0,2}[a-z]{2,24}(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)
_SPELLED_AT = re.compile(
    r"(?<![\w.+\-])[\w.+\-]{1,64}\s?[\[({]\s?(?:at|@)\s?[\])}]\s?(?:[\w\-]{1,63}\.){1,4}[a-z]{2,24}(?!\w)",
    re.IGNORECASE,
)
_SPACED = re.compile(
    r"(?<![\w.+\-])[\w.+\-]{1,64}\s{0,2}@\s{0,2}(?:[\w\-]{1,63}\s{0,2}\.\s{0,2}){1,3}(?:com|org|net|edu|gov|info|io|eu|de|fr|uk)(?!\w)",
    re.IGNORECASE,
)
_WORDS = re.compile(r"\s?[\[({<]\s?(at|dot|@|\.)\s?[\])}>]\s?|\s(at|dot|@)\s", re.IGNORECASE)


def find_emails(text: str) -> Iterator[Match]:
    """Find e-mail addresses: `jane@example.com`, `jane [at] example [dot] com`."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            if "@" in found[0]:
                start = found.start() + len(found[0]) - len(found[0].lstrip(".'!#$&*^~-"))
                yield Match(start, found.end(), "email", text[start : found.end()].lower())
        for found in _SPACED.finditer(text):
            yield Match(*found.span(), "email", _plain(found[0]))
    lowered = text.lower()
    if "dot" in lowered or "[.]" in text or "(.)" in text:
        for found in _SPELLED.finditer(text):
            yield Match(*found.span(), "email", _plain(found[0]))
    if "at]" in lowered or "at)" in lowered or "@]" in text or "@)" in text or "at}" in lowered:
        for found in _SPELLED_AT.finditer(text):
            yield Match(*found.span(), "email", _plain(found[0]))


def _plain(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        return {"at": "@", "dot": "."}.get((found[1] or found[2]).lower(), found[1] or found[2])

    return "".join(_WORDS.sub(character, text).split()).lower()
