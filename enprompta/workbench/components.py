"""The building blocks of all pages. Everything that comes from outside is shown as text, never as HTML.

Gauges and charts are drawn with plain elements, so that they follow the theme and need no script.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote as _quote

from nicegui import ui

from enprompta.errors import APIStatusError, ConfigurationError
from enprompta.workbench.controls import (
    NOTHING,
    Choice,
    Control,
    box,
    button,
    checkbox,
    copy,
    field,
    icon,
    icon_button,
    link,
    notify,
    run,
    select,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

    from enprompta.errors import EnpromptaError
    from enprompta.workbench.controls import Kind

# Names of `controls` that pages use, beside those defined here.
__all__ = ["Choice", "Control", "checkbox", "copy", "field", "notify", "run", "select"]

_SECOND = 1000  # milliseconds

Tone = Literal["", "good", "bad", "warn", "info"]
TONES: dict[str, Tone] = {
    **dict.fromkeys(("completed", "DELIVERED", "active", "healthy", "SUCCESS"), "good"),
    **dict.fromkeys(("failed", "FAILED", "unhealthy", "ERROR", "TIMEOUT"), "bad"),
    **dict.fromkeys(
        ("RETRYING", "cancelled", "paused", "stopped", "degraded", "RATE_LIMITED", "CONTENT_FILTERED"), "warn"
    ),
    **dict.fromkeys(("running", "PENDING", "RUNNING"), "info"),
}
_LOW_SHARE = 0.1
_MAX_LABELS = 5


def header(title: str, subtitle: str = "", *, back: tuple[str, str] | None = None) -> ui.element:
    """Add the heading of a page, with a link back to the page above, and return the element for its actions."""
    with box("div", "page-header"):
        with box("div", "page-title"):
            if back:
                link(f"← {back[0]}", back[1], "link back")
            text("h1", title)
            if subtitle:
                text("p", subtitle, "muted")
        return box("div", "actions")


@contextmanager
def section(title: str, *, classes: str = "") -> Generator[ui.element]:
    """Add a card with a heading; yields the element for its actions."""
    with box("section", f"card {classes}"):
        with box("div", "card-header"):
            text("h2", title)
            actions = box("div", "actions")
        with box("div", "card-body"):
            yield actions


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, label: str, hrefs: Sequence[str] | None = None
) -> ui.element:
    """Add a table. On a narrow screen each row becomes a block, so that nothing is cut off.

    A `>` before a heading aligns its column to the right. A cell is text, or a function that adds its content; the
    first cell of a row links to its page.
    """
    names = [name.removeprefix(">") for name in columns]
    aligned = ["right" if name.startswith(">") else "" for name in columns]
    with (
        box("div", "table-wrap", {"role": "region", "aria-label": label, "tabindex": "0"}) as wrapper,
        box("table", "table"),
    ):
        with box("thead"), box("tr"):
            for name, side in zip(names, aligned, strict=True):
                text("th", name, side, {"scope": "col"})
        with box("tbody"):
            for index, row in enumerate(rows):
                with box("tr"):
                    for place, (name, side, cell) in enumerate(zip(names, aligned, row, strict=True)):
                        _cell(name, side, cell, hrefs[index] if hrefs and place == 0 else None)
    return wrapper


def _cell(name: str, side: str, cell: object, href: str | None) -> None:
    if href is not None:
        with box("td", side, {"data-label": name}):
            link(cell, href, "link row-link")
    elif callable(cell):
        with box("td", side, {"data-label": name}):
            cell()
    else:
        text("td", cell, side, {"data-label": name})


def badge(label: object, tone: Tone = "") -> None:
    """Add a small label in a color."""
    text("span", label, f"badge {f'badge-{tone}' if tone else ''}")


def status(value: object) -> Callable[[], None]:
    """Return a table cell that shows a status in its color."""
    return lambda: badge(value or "unknown", TONES.get(str(value), ""))


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Add a list of names and values; a value may be a function that adds its content."""
    with box("dl", "facts"):
        for name, value in pairs:
            with box("div", "fact"):
                text("dt", name)
                if callable(value):
                    with box("dd"):
                        value()
                else:
                    text("dd", value)


def empty(title: str, hint: str, *, code_example: str = "") -> ui.element:
    """Add what is shown in place of an empty list: what it is, and what to do. Returns the element for actions."""
    with box("div", "empty"):
        text("h2", title)
        text("p", hint, "muted")
        if code_example:
            code(code_example)
        return box("div", "actions centered")


def problem(error: EnpromptaError, *, retry: Callable[[], Awaitable[object] | object] | None = None) -> None:
    """Add a panel with an error of the SDK, in its own words."""
    with box("div", "problem", {"role": "alert"}):
        icon("o_error_outline")
        with box("div", "problem-text"):
            text("strong", type(error).__name__)
            text("p", str(error))
            if isinstance(error, APIStatusError) and error.details:
                with box("ul"):
                    for detail in error.details:
                        text("li", f"{detail.field}: {detail.message}" if detail.field else detail.message)
            if retry is not None:
                button("Try again", retry)


def loading(what: str) -> ui.element:
    """Add a progress bar; delete it when the content is there."""
    return box("div", "loading", {"role": "progressbar", "aria-label": f"Loading {what}"})


def code(value: str, *, label: str = "Code", classes: str = "") -> ui.element:
    """Add a block of code or data, with a button to copy it."""
    with box("div", f"code {classes}") as wrapper:
        text("pre", value, "mono", {"tabindex": "0", "role": "region", "aria-label": label})
        icon_button(f"Copy {label.lower()}", "o_content_copy", lambda: copy(value), classes="copy")
    return wrapper


@contextmanager
def dialog(title: str, *, wide: bool = False) -> Generator[ui.dialog]:
    """Open a dialog with what the block adds. Escape closes it, and it is removed after that.

    It belongs to the page, so it stays open if the table whose button opened it is replaced.
    """
    with ui.context.client.content, ui.dialog() as opened, box("div", f"dialog {'dialog-wide' if wide else ''}"):
        opened.props["aria-label"] = title
        opened.on("hide", opened.delete, args=[])
        with box("div", "dialog-header"):
            text("h2", title)
            icon_button("Close", "close", opened.close)
        with box("div", "dialog-body"):
            yield opened
    opened.open()


def dialog_actions(
    opened: ui.dialog,
    label: str,
    handler: Callable[[], Awaitable[object]],
    *,
    kind: Kind = "primary",
    cancel: str = "Cancel",
) -> None:
    """Add the buttons at the end of a dialog; it closes once the handler has raised no error."""

    async def submit() -> None:
        await handler()
        opened.close()

    with box("div", "dialog-actions"):
        button(cancel, opened.close)
        button(label, submit, kind=kind)


def quote(part: str) -> str:
    """Quote an id for the path of a page."""
    return _quote(part, safe="")


def confirm(title: str, consequence: str, label: str, handler: Callable[[], Awaitable[object]]) -> None:
    """Ask before something that cannot be undone."""
    with dialog(title) as opened:
        text("p", consequence)
        dialog_actions(opened, label, handler, kind="danger")


def milliseconds(value: float | None) -> str:
    """Format a duration given in milliseconds; None as a dash."""
    if value is None:
        return NOTHING
    return f"{value / _SECOND:,.1f} s" if value >= _SECOND else f"{value:,.0f} ms"


def seconds_between(start: datetime | None, end: datetime | None) -> str:
    """Format the time between two moments; a dash if one is unknown."""
    return NOTHING if start is None or end is None else milliseconds((end - start).total_seconds() * 1000)


def number(value: float | None) -> str:
    """Format a count, with separators; None as a dash."""
    return NOTHING if value is None else f"{value:,.0f}"


def money(value: float | None) -> str:
    """Format US dollars, with as many decimals as small amounts need; None as a dash."""
    if value is None:
        return NOTHING
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def read_number(name: str, text: str) -> float:
    """Read the number in a field.

    Raises:
        ConfigurationError: It is none; the message names the field.
    """
    with suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise ConfigurationError(f"{name}: {text!r} is not a number")


def when(value: datetime | None) -> Callable[[], None]:
    """Return a cell that says how long ago a time was; the browser keeps it up to date."""

    def add() -> None:
        if value is None:
            text("span", NOTHING)
            return
        at = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        attributes = {"datetime": at.isoformat(), "title": f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"}
        text("time", _ago((datetime.now(timezone.utc) - at).total_seconds()), "nowrap", attributes)

    return add


def _ago(seconds: float) -> str:
    """Say how long ago something was, as `workbench.js` does later."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def moment(value: object) -> datetime | None:
    """Read a time of the API, such as `2024-01-17T10:15:00Z`; None if it is none."""
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None


def local_time(at: float) -> datetime:
    """Return a Unix time in the time zone of this machine."""
    return datetime.fromtimestamp(at, timezone.utc).astimezone()


def clock(when: datetime | None) -> str:
    """Format a time of the day, in UTC; None as a dash."""
    return NOTHING if when is None else f"{when.astimezone(timezone.utc):%H:%M:%S} UTC"


def pretty(value: object) -> str:
    """Format JSON data, or text that may be JSON, with indentation."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


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
