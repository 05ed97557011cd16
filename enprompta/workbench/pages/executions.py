"""Executions and usage: a table of executions, totals by day, prompt and model, and both as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from nicegui import ui

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing, Region, keep_fresh
from enprompta.workbench.prompts.runner import execution_table
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from enprompta.models import Execution, ExecutionStats, GroupBy
    from enprompta.pagination import AsyncPager

_PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days"}
_GROUPS: dict[GroupBy, str] = {"day": "By day", "prompt": "By prompt", "model": "By model"}
_MEASURES = {"executions": "Executions", "tokens": "Tokens", "cost": "Cost"}
_MAX_EXPORTED = 10_000
_TITLES = 100


class _Totals(NamedTuple):
    stats: Sequence[ExecutionStats]
    titles: dict[str, str]


@frame.page("/executions", "Executions and usage")
async def _show() -> None:
    header = c.header("Executions and usage", "Every run of a prompt: its tokens, cost and latency.")
    with c.box("div", "toolbar"):
        period = c.select("Period", _PERIODS, value="30")
        group: c.Choice[GroupBy] = c.Choice("Group", _GROUPS, "day")
        measure = c.Choice("Measure", _MEASURES, "executions")
    titles: dict[str, str] = {}

    async def load() -> _Totals:
        stats, prompts = await asyncio.gather(
            current().client.executions.stats(group_by=group.value, start_date=_start(period.value)),
            current().client.prompts.list(limit=_TITLES),
        )
        titles.update({one.id: one.title for one in prompts.data})
        return _Totals(stats, dict(titles))

    def show(totals: _Totals) -> None:
        _show_totals(totals, group.value, measure.value, int(period.value))

    with c.section("Totals") as actions:
        region = Region(load, show, name="totals")
    with actions:
        c.button("CSV", lambda: _download_totals(region.data), icon_name="o_download", attributes=_named("the totals"))

    def start() -> AsyncPager[Execution]:
        start_date = _start(period.value)
        return current().client.executions.list(limit=25, start_date=start_date, provider=provider.given)

    with c.section("Executions") as actions:
        with c.box("div", "toolbar padded"):
            provider = c.field("Provider", placeholder="Any")
        listing: Listing[Execution] = Listing(start, lambda found: _executions(found, titles), name="executions")
    with actions:

        async def export() -> None:
            await _download_executions(start(), titles)

        c.button("CSV", export, icon_name="o_download", attributes=_named("the executions"))

    async def refresh() -> None:
        await region.refresh()
        await listing.refresh()

    group.changed(region.refresh)
    measure.changed(lambda: region.refresh(rebuild=True))
    period.changed(refresh)
    listing.restart_on(provider)
    keep_fresh(refresh)
    await _usage(header)
    await refresh()


async def _usage(header: ui.element) -> None:
    usage = await current().client.usage.get()
    with header:
        for name, value in (("executions", c.number(usage.executions)), ("cost", c.money(usage.cost))):
            with c.box("span", "figure"):
                c.text("strong", value)
                c.text("span", f"{name} this period", "muted small")


def _named(what: str) -> dict[str, str]:
    return {"aria-label": f"Download {what} as CSV"}


def _start(days: str) -> date:
    return datetime.now(timezone.utc).date() - timedelta(days=int(days) - 1)


def _show_totals(totals: _Totals, group: GroupBy, measure: str, days: int) -> None:
    show = c.money if measure == "cost" else c.number
    if not totals.stats:
        c.empty("No executions in this period", "Run a prompt, or choose a longer period.")
        return
    named = [(_label(one, group, totals.titles), one) for one in totals.stats]
    if group == "day":
        known = {one.date: float(getattr(one, measure) or 0) for one in totals.stats}
        first = _start(str(days))
        dates = [first + timedelta(days=offset) for offset in range(days)]
        points = [(f"{one:%b} {one.day}", known.get(one, 0.0)) for one in dates]
        c.bar_chart(f"{_MEASURES[measure]} by day", points, show)
    else:
        points = [(label, float(getattr(one, measure) or 0)) for label, one in named]
        c.ranking(sorted(points, key=lambda point: -point[1]), show)
    rows = [(label, c.number(one.executions), c.number(one.tokens), c.money(one.cost)) for label, one in named]
    with c.box("details", "details totals"):
        c.text("summary", "As a table")
        c.table(
            [_GROUPS[group].removeprefix("By ").capitalize(), ">Executions", ">Tokens", ">Cost"], rows, label="Totals"
        )


def _label(one: ExecutionStats, group: str, titles: dict[str, str]) -> str:
    return (titles.get(one.key or "") if group == "prompt" else None) or one.key or "unknown"


def _executions(executions: list[Execution], titles: dict[str, str]) -> None:
    if executions:
        execution_table(executions, prompts=titles)
    else:
        with c.empty("No executions", "Open a prompt and run it, or run your program."):
            c.link("Open prompts", "/prompts", "button button-primary")


def _download_totals(totals: _Totals | None) -> None:
    stats = totals.stats if totals else ()
    rows = [(one.key, one.executions, one.tokens, one.cost) for one in stats]
    _download(("key", "executions", "tokens", "cost"), rows, "totals.csv")


async def _download_executions(pager: AsyncPager[Execution], titles: dict[str, str]) -> None:
    rows: list[tuple[object, ...]] = []
    async for one in pager:
        title = titles.get(one.prompt_id or "")
        facts = (one.created_at.isoformat() if one.created_at else None, one.id, one.prompt_id, title, one.status)
        rows.append((*facts, one.provider, one.model, one.tokens, one.cost, one.latency))
        if len(rows) == _MAX_EXPORTED:
            c.notify(f"The file has the newest {_MAX_EXPORTED:,} executions")
            break
    names = ("created_at", "id", "prompt_id", "prompt", "status", "provider", "model", "tokens", "cost", "latency_ms")
    _download(names, rows, "executions.csv")


def _download(names: Sequence[str], rows: Iterable[Sequence[object]], filename: str) -> None:
    ui.download.content(to_csv(names, rows), filename, "text/csv")


def to_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV. Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow(
            [
                f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
                for cell in row
            ]
        )
    return file.getvalue()
