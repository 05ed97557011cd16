"""Arrange the spans of a trace as a tree."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_BEGINNING = datetime.min.replace(tzinfo=timezone.utc)


class Span(Protocol):
    """A span as far as its place in the tree is concerned."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def parent_span_id(self) -> str | None:
        """The id of the span that it is a step of."""
        ...

    @property
    def start_time(self) -> datetime | None:
        """Its start; None if unknown."""
        ...


S = TypeVar("S", bound=Span)


def tree_of(spans: Sequence[S]) -> list[tuple[S, int]]:
    """Order spans by their parents and starts; return each with the number of its ancestors.

    A span whose parent is missing, or that is its own ancestor, has no parent here, so every span is in the result.
    """
    known = {span.id for span in spans}
    children: dict[str | None, list[S]] = {}
    for span in sorted(spans, key=lambda one: utc(one.start_time) or _BEGINNING):
        parent = span.parent_span_id if span.parent_span_id in known else None
        children.setdefault(parent, []).append(span)
    found: list[tuple[S, int]] = []
    placed: set[str] = set()
    for root in (*children.get(None, ()), *spans):  # the second time, those in a cycle
        waiting = [(root, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.id in placed:
                continue
            placed.add(span.id)
            found.append((span, depth))
            waiting += [(child, depth + 1) for child in reversed(children.get(span.id, ()))]
    return found


def utc(moment: datetime | None) -> datetime | None:
    """Return a time with a time zone; one without is in UTC."""
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=timezone.utc)
