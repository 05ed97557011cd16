"""Gauges and bar charts, drawn with plain elements so that they follow the theme and need no script."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from enprompta.workbench.elements import box, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOW_SHARE = 0.1
_MAX_LABELS = 5


def stat(name: str, value: str, detail: str = "", *, share_left: float | None = None) -> None:
    """Add a figure with its name; `share_left`, from 0 to 1, draws a gauge of what is left."""
    with box("div", "card stat"):
        text("div", name, "stat-name")
        text("div", value, "stat-value")
        if share_left is not None:
            left = min(1.0, max(0.0, share_left))
            meter = {
                "role": "meter",
                "aria-label": f"{name} left",
                "aria-valuemin": "0",
                "aria-valuemax": "100",
                "aria-valuenow": f"{left * 100:.0f}",
            }
            with box("div", f"gauge {'gauge-low' if left <= _LOW_SHARE else ''}", meter):
                box("div", "gauge-bar").style(f"width: {left * 100:.1f}%")
        text("div", detail, "muted small")


def bar_chart(name: str, points: Sequence[tuple[str, float]], show: Callable[[float], str]) -> None:
    """Add a chart with one bar per point, in the order given; its name is for screen readers."""
    highest = _round_up(max((value for _, value in points), default=0.0))
    listed = ", ".join(f"{label}: {show(value)}" for label, value in points)
    every = math.ceil(len(points) / _MAX_LABELS) or 1
    with box("div", "chart", {"role": "img", "aria-label": f"{name}: {listed}"}):
        with box("div", "chart-scale"):
            for share in (1.0, 0.5, 0.0):
                text("span", show(highest * share))
        with box("div", "chart-plot"):
            for label, value in points:
                with box("div", "chart-slot", {"title": f"{label}: {show(value)}"}):
                    box("div", "bar").style(f"height: {100 * value / highest:.1f}%")
        with box("div", "chart-labels"):
            for index in range(0, len(points), every):
                text("span", points[index][0]).style(f"left: {100 * (index + 0.5) / len(points):.2f}%")


def ranking(points: Sequence[tuple[str, float]], show: Callable[[float], str]) -> None:
    """Add horizontal bars with their labels, for categories with long names."""
    highest = max((value for _, value in points), default=0.0) or 1.0
    with box("div", "bars"):
        for label, value in points:
            with box("div", "bars-row"):
                text("span", label, "clip")
                text("span", show(value), "muted")
                with box("div", "bars-track", {"aria-hidden": "true"}):
                    box("div", "bars-fill").style(f"width: {100 * value / highest:.1f}%")


def _round_up(value: float) -> float:
    """Round up to a number whose half is easy to read: a whole number, unless the value is below 1."""
    if value <= 0:
        return 2.0
    size = 10.0 ** math.floor(math.log10(value))
    tops = (round(step * size, 9) for step in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10))
    return next(top for top in tops if top >= value and (size < 1 or top % 2 == 0))
