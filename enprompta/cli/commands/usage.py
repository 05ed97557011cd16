"""`enprompta usage`: usage, costs and invoices."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from enprompta.cli.console import line, out
from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Json, Limit, Since, Until, given
from enprompta.cli.output import cell, print_table, show_listing, show_object, show_rows, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enprompta.models import TokenUsage, Usage, UsageRecord

group: typer.Typer = typer.Typer(
    help="Usage and costs; without a command, of the current period with a chart by day.", invoke_without_command=True
)

_DAYS = 30
_BAR = 24  # characters of the longest bar


@group.callback(epilog=EPILOG)
def overview(
    context: typer.Context,
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="Number of days in the chart.")] = _DAYS,
    as_json: Json = False,
) -> None:
    """Show usage of the current period, with tokens and cost by day."""
    if context.invoked_subcommand is not None:
        return
    start = datetime.now(timezone.utc).date() - timedelta(days=days - 1)
    with connected() as client:
        used = client.usage.get()
        records = client.usage.history(group_by="day", start_date=start)
    if as_json:
        by_day = [record.model_dump(mode="json", by_alias=True) for record in records]
        write_json({**used.model_dump(mode="json", by_alias=True), "days": by_day})
        return
    _show_usage(used)
    out.print()
    show_chart(records)


@group.command(epilog=EPILOG)
def history(
    *,
    by: Annotated[Literal["day", "prompt", "model"], typer.Option(help="How to group the totals.")] = "day",
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Show totals of usage by day, prompt or model."""
    with connected() as client:
        found = client.usage.history(group_by=by, start_date=given(since), end_date=given(until))
    columns = {by: "key", "requests": "requests", "executions": "executions", "tokens": "tokens", "cost": "cost"}
    show_rows(found, columns, as_json=as_json)


@group.command(epilog=EPILOG)
def billing(*, as_json: Json = False) -> None:
    """Show the subscription."""
    with connected() as client:
        show_object(client.usage.billing(), as_json=as_json)


@group.command(epilog=EPILOG)
def invoices(*, limit: Limit = 20, all_: All = False, as_json: Json = False) -> None:
    """List invoices, newest first."""
    with connected() as client:
        names = ("id", "number", "status", "amount", "currency")
        columns = {**{name: name for name in names}, "created": "created_at"}
        show_listing(client.usage.invoices, columns, limit=None if all_ else limit, as_json=as_json)


def show_chart(records: Sequence[UsageRecord]) -> None:
    """Print a chart of tokens and cost, one row per day."""
    most_tokens = max((record.tokens or 0 for record in records), default=0)
    most_cost = max((record.cost or 0.0 for record in records), default=0.0)
    if not records:
        out.print("No usage in these days.")
        return
    rows = [
        [
            line(record.key or "-"),
            cell("executions", record.executions),
            cell("tokens", record.tokens),
            line((_bar(record.tokens or 0, most_tokens), "cyan")),
            cell("cost", record.cost),
            line((_bar(record.cost or 0.0, most_cost), "green")),
        ]
        for record in records
    ]
    print_table(("day", "executions", "tokens", "", "cost", ""), rows)


def credits_used(credits_: TokenUsage) -> str:
    """Return how many credits of the plan are used, as text."""
    used = f"{credits_.used or 0:,}"
    return f"{used} used, no limit" if credits_.limit is None else f"{used} of {credits_.limit:,} used"


def _show_usage(used: Usage) -> None:
    until = "" if used.period_end is None else f", period ends {used.period_end:%Y-%m-%d}"
    out.print(line(("plan        ", "cyan"), f"{used.plan or 'unknown'}{until}"))
    if used.tokens is not None:
        out.print(line(("credits     ", "cyan"), credits_used(used.tokens)))
    for label, window in (("a minute", used.requests_per_minute), ("a day", used.requests_per_day)):
        if window is not None and window.limit is not None:
            left = f"{window.remaining or 0:,} left of {window.limit:,} requests {label}"
            out.print(line(("requests    ", "cyan"), left))
    cost = "" if used.cost is None else f", ${used.cost:,.4f}"
    out.print(line(("executions  ", "cyan"), f"{used.executions or 0:,}{cost}"))


def _bar(value: float, most: float) -> str:
    """Draw a value as a bar; a positive value gets at least one character."""
    if value <= 0 or most <= 0:
        return ""
    whole = "#" if not _can_draw() else "█"
    return whole * max(1, round(value / most * _BAR))


def _can_draw() -> bool:
    try:
        "█".encode(out.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
