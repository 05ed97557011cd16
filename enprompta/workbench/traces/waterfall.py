"""The spans of a trace as a waterfall: each below its parent, with a bar for its start and duration."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from enprompta._common.span_tree import tree_of, utc
from enprompta.workbench import components as c

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from enprompta.models import TraceSpan

_MAX_ROWS = 500
_MAX_DEPTH = 8  # levels that are indented; deeper ones would leave no room for the name
_MS = 1000


class Row(NamedTuple):
    """One span and its place in the waterfall."""

    span: TraceSpan
    depth: int
    """Number of its ancestors."""
    start: float | None
    """Milliseconds since the start of the trace; None if the start is unknown."""
    duration: float | None
    """In milliseconds; None while the span is running."""


def layout(spans: Sequence[TraceSpan]) -> list[Row]:
    """Place spans by their parents and starts; every span has a row."""
    origin = min((start for span in spans if (start := utc(span.start_time))), default=None)
    return [Row(span, depth, _offset(span, origin), _duration(span)) for span, depth in tree_of(spans)]


def _offset(span: TraceSpan, origin: datetime | None) -> float | None:
    start = utc(span.start_time)
    return None if start is None or origin is None else (start - origin).total_seconds() * _MS


def _duration(span: TraceSpan) -> float | None:
    if span.duration_ms is not None:
        return max(span.duration_ms, 0.0)
    start, end = utc(span.start_time), utc(span.end_time)
    return None if start is None or end is None else max((end - start).total_seconds() * _MS, 0.0)


def waterfall(spans: Sequence[TraceSpan]) -> None:
    """Add the waterfall; a click on a span opens a dialog with its contents."""
    rows = layout(spans)
    total = max([(one.start or 0.0) + (one.duration or 0.0) for one in rows] + [0.001])
    cells = [
        (
            functools.partial(_name, one),
            c.status(one.span.status),
            functools.partial(_bar, one, total),
            f"+{c.milliseconds(one.start)}" if one.start is not None else None,
            c.milliseconds(one.duration),
            c.number(one.span.tokens),
            c.money(one.span.cost),
        )
        for one in rows[:_MAX_ROWS]
    ]
    columns = ["Span", "Status", "Timeline", ">Start", ">Duration", ">Tokens", ">Cost"]
    c.table(columns, cells, label="Spans").classes("waterfall")
    if len(rows) > _MAX_ROWS:
        c.text("p", f"The first {_MAX_ROWS:,} of {len(rows):,} spans; `enprompta traces get` prints all.", "muted")


def _name(row: Row) -> None:
    span = row.span
    with c.box("div", "span-name").style(f"--depth: {min(row.depth, _MAX_DEPTH)}"):
        with c.box("div", "row-line"):
            c.button(span.name or span.id, lambda: open_span(row), kind="quiet")
            if span.span_type:
                c.badge(span.span_type)
            if row.depth:
                c.text("span", f"level {row.depth + 1}", "visually-hidden")
        if span.error_message:
            c.text("div", span.error_message, "span-error small clip")


def _bar(row: Row, total: float) -> None:
    with c.box("div", "span-track", {"aria-hidden": "true"}):  # the columns beside it have the same numbers
        if row.start is not None:
            left = min(row.start / total * 100, 99.0)
            width = 100 - left if row.duration is None else min(row.duration / total * 100, 100 - left)
            state = {"ERROR": "span-bar-error", "RUNNING": "span-bar-running"}.get(str(row.span.status), "")
            c.box("div", f"span-bar {state}").style(f"left: {left:.2f}%; width: {width:.2f}%")


def open_span(row: Row) -> None:
    """Open a dialog with everything about a span."""
    span = row.span
    with c.dialog(span.name or span.id, wide=True):
        if span.error_message:
            c.text("p", span.error_message, "note bad")
        c.facts(
            [
                ("Kind", span.span_type),
                ("Status", c.status(span.status)),
                ("Start", None if row.start is None else f"+{c.milliseconds(row.start)}"),
                ("Duration", c.milliseconds(row.duration)),
                ("Tokens", c.number(span.tokens)),
                ("Cost", c.money(span.cost)),
                ("Span", span.id),
                ("Parent", span.parent_span_id),
            ]
        )
        for name, value in (("Input", span.input), ("Output", span.output), ("Attributes", span.metadata)):
            if value not in (None, "", {}):
                c.text("h3", name)
                c.code(c.pretty(value), label=name, classes="wrap")
