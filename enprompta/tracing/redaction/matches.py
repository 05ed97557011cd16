"""A match of a detector, and how matches are joined and replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Match(NamedTuple):
    """A part of a text that must not be sent."""

    start: int
    end: int
    kind: str
    """The name in the placeholder: `email`, `card`, …"""
    value: str
    """The value in its plain form: decoded, and without separators. Equal values have equal hashes."""


def replace(text: str, matches: Iterable[Match], placeholder: Callable[[Match], str]) -> str:
    """Replace each match by its placeholder; of matches that overlap, the longest names the placeholder."""
    pieces: list[str] = []
    end = 0
    for match in merged(matches):
        pieces += [text[end : match.start], placeholder(match)]
        end = match.end
    return "".join([*pieces, text[end:]]) if pieces else text


def merged(matches: Iterable[Match]) -> list[Match]:
    """Sort the matches and join those that overlap."""
    found: list[Match] = []
    for match in sorted(matches, key=lambda one: (one.start, -one.end)):
        if found and match.start < found[-1].end:
            last = found[-1]
            longest = match if match.end - match.start > last.end - last.start else last
            found[-1] = longest._replace(start=last.start, end=max(last.end, match.end))
        else:
            found.append(match)
    return found
