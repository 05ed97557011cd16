"""Home: the account, what is left of its limits, usage over time, the last errors and the first steps."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from enprompta.exchanges import ExchangeFilter
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.first_steps import FIRST_STEPS
from enprompta.workbench.live import Region
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enprompta.exchanges import Exchange
    from enprompta.models import RequestWindow, Usage, UsageRecord

_DAYS = 14
_ERRORS = 6
_SOON = 120  # seconds: a reset that needs no hint


class _Data(NamedTuple):
    usage: Usage
    days: Sequence[UsageRecord]
    errors: list[Exchange]


@frame.page("/", "Home")
async def _show() -> None:
    c.header("Home", "Your account, its limits, and what happened last.")
    region = Region(_load, _overview, name="usage")
    _first_steps()
    await region.start(every=10.0)


async def _load() -> _Data:
    session = current()
    start = datetime.now(timezone.utc).date() - timedelta(days=_DAYS - 1)
    usage, days = await asyncio.gather(
        session.client.usage.get(), session.client.usage.history(group_by="day", start_date=start)
    )
    return _Data(usage, days, session.log.search(ExchangeFilter(status="error"), limit=_ERRORS))


def _overview(data: _Data) -> None:
    usage = data.usage
    with c.box("div", "grid"):
        c.stat("Plan", (usage.plan or "unknown").capitalize(), _period(usage))
        _window("Requests this minute", usage.requests_per_minute)
        _window("Requests today", usage.requests_per_day)
        _credits(usage)
        c.stat("Cost this period", c.money(usage.cost), f"{c.number(usage.executions)} executions")
    points = _by_day(data.days)
    with c.box("div", "columns even"):
        _chart("Requests", points, lambda one: float(one.requests or 0), c.number)
        _chart("Executions", points, lambda one: float(one.executions or 0), c.number)
        _chart("Cost", points, lambda one: one.cost or 0.0, c.money)
        with c.section("Last errors") as actions:
            with actions:
                c.link("All requests", "/requests")
            _errors(data.errors)


def _period(usage: Usage) -> str:
    return f"Renews on {usage.period_end:%B} {usage.period_end.day}" if usage.period_end else ""


def _window(name: str, window: RequestWindow | None) -> None:
    limit, left = (window.limit, window.remaining) if window else (None, None)
    detail = "No limit reported"
    share = None
    if window and limit is not None and left is not None:
        detail, share = f"left of {limit:,}{_resets(window)}", left / limit if limit else 0.0
    c.stat(name, c.number(left), detail, share_left=share)


def _resets(window: RequestWindow) -> str:
    if window.reset is None:
        return ""
    seconds = max(0, window.reset - time.time())
    return "" if seconds < _SOON else f", resets in {seconds / 3600:.0f} h"


def _credits(usage: Usage) -> None:
    tokens = usage.tokens
    if tokens is None or tokens.limit is None:
        c.stat("Credits used", c.number(tokens.used if tokens else None), "No limit on this plan")
        return
    left = tokens.remaining or 0
    share = left / tokens.limit if tokens.limit else 0.0
    c.stat("Credits left", c.number(left), f"of {tokens.limit:,} executions a month", share_left=share)


def _by_day(days: Sequence[UsageRecord]) -> list[tuple[str, UsageRecord | None]]:
    """List the last days in order, including those without usage."""
    known = {one.date: one for one in days}
    today = datetime.now(timezone.utc).date()
    dates = [today - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
    return [(f"{one:%b} {one.day}", known.get(one)) for one in dates]


def _chart(
    title: str,
    points: list[tuple[str, UsageRecord | None]],
    read: Callable[[UsageRecord], float],
    show: Callable[[float | None], str],
) -> None:
    with c.section(f"{title} by day"):
        c.bar_chart(f"{title} by day", [(label, read(one) if one else 0.0) for label, one in points], show)


def _errors(errors: list[Exchange]) -> None:
    if not errors:
        c.text("p", "No request has failed.", "muted")
        return
    rows = [
        (
            f"{one.method} {one.path}",
            lambda one=one: c.badge(one.status or "no response", "bad"),
            one.error or one.error_code or "",
            c.when(datetime.fromtimestamp(one.at, timezone.utc)),
        )
        for one in errors
    ]
    hrefs = [f"/requests?id={one.id}" for one in errors]
    c.table(["Request", "Status", "Error", ">When"], rows, label="Last errors", hrefs=hrefs)


def _first_steps() -> None:
    session = current()
    with c.section("First steps") as actions:
        with actions:
            choice = c.Choice("Language", {name: name for name in FIRST_STEPS}, next(iter(FIRST_STEPS)))
        place = c.box("div", "stack")

        def show() -> None:
            place.clear()
            with place:
                if session.is_live:
                    c.text("p", "Set ENPROMPTA_API_KEY to a key from the dashboard: Settings, API Keys.", "muted")
                else:
                    c.text("p", "The emulator's keys are the same on every machine. They work only here.", "muted")
                c.code(FIRST_STEPS[choice.value](session), label=f"{choice.value} example")

        choice.changed(show)
        show()
