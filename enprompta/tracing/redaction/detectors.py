"""Run the detectors, such as that of e-mail addresses, over a text, its decoded views and what is encoded in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from enprompta.tracing.redaction import credentials, numbers
from enprompta.tracing.redaction.matches import Match
from enprompta.tracing.redaction.views import Unreadable, encoded_runs, origin, views

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
MAX_LAYERS = 5
"""Depth to which base64 in base64 is searched."""


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


class Detectors(NamedTuple):
    """The kinds to search for, and the patterns of the caller's rules."""

    emails: bool
    phones: bool
    cards: bool
    ibans: bool
    ips: bool
    keys: bool
    ssns: bool
    patterns: tuple[re.Pattern[str], ...]
    """The patterns of the caller's rules."""

    def find(self, text: str) -> list[Match]:
        """Find everything in a text that must not be sent."""
        return self._find(text, MAX_LAYERS)

    def _find(self, text: str, layers: int) -> list[Match]:
        found: list[Match] = []
        for view, path in views(text):
            for match in self._in_plain_text(view):
                start, end = origin(path, match.start, match.end)
                found.append(match._replace(start=start, end=end))
            if layers:
                for match in self._in_encoded_runs(view, layers):
                    start, end = origin(path, match.start, match.end)
                    found.append(match._replace(start=start, end=end))
        return found

    def _in_encoded_runs(self, text: str, layers: int) -> Iterator[Match]:
        try:
            for start, end, plain in encoded_runs(text):
                inner = self._find(plain, layers - 1)
                if inner:
                    yield Match(start, end, inner[0].kind, inner[0].value)
        except Unreadable:
            yield Match(0, len(text), "unreadable", text)

    def _in_plain_text(self, text: str) -> Iterator[Match]:
        """Run the detectors. None of them takes more than linear time."""
        if self.emails:
            yield from find_emails(text)
        if self.keys:
            yield from credentials.find_credentials(text)
        yield from self._in_digits(text)
        for pattern in self.patterns:
            for found in pattern.finditer(text):
                if found.end() > found.start():
                    yield Match(*found.span(), "redacted", found[0])

    def _in_digits(self, text: str) -> Iterator[Match]:
        if self.ips:
            yield from numbers.find_ips(text)
        if not numbers.has_number(text):
            return
        if self.cards:
            yield from numbers.find_cards(text)
        if self.ibans:
            yield from numbers.find_ibans(text)
        if self.ssns:
            yield from numbers.find_ssns(text)
        if self.phones:
            yield from numbers.find_phones(text)

    def find_across(self, text: str) -> Iterator[Match]:
        """Find what is unmistakable even if its parts stand in unrelated values."""
        for view, path in views(text):
            found: list[Match] = []
            if self.emails:
                found += find_emails(view)
            has_number = numbers.has_number(view)
            if self.cards and has_number:
                found += numbers.find_cards(view)
            if self.ibans and has_number:
                found += numbers.find_ibans(view)
            if self.phones and has_number:
                found += (one for one in numbers.find_phones(view) if view[one.start] == "+")
            if self.keys:
                found += credentials.find_prefixed(view, view.lower())
            for match in found:
                start, end = origin(path, match.start, match.end)
                yield match._replace(start=start, end=end)
