"""Run the detectors over a text, its decoded views and what is encoded in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from enprompta.tracing.redaction import credentials, numbers, people
from enprompta.tracing.redaction.encoded import Unreadable, encoded_runs
from enprompta.tracing.redaction.matches import Match
from enprompta.tracing.redaction.views import origin, views

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

MAX_LAYERS = 5
"""Depth to which base64 in base64 is searched."""


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
            yield from people.find_emails(text)
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
                found += people.find_emails(view)
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
