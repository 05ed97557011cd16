"""Usage and billing of accounts.

A billing period is a calendar month in UTC; its invoice appears when the period is over. All subscriptions begin at the
start of the third month before the database was created, so that there are invoices from the beginning. An invoice has
the plan's price, whatever the usage, and is always paid. The prices are invented for the emulator.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from enprompta.emulator.stores import executions
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json, iso

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account, AccountStore
    from enprompta.emulator.access.rate_limiter import RateLimiter, Window
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

PRICES = {"free": 0, "pro": 20, "team": 50, "enterprise": 500}
"""Monthly price of each plan, in `CURRENCY`."""
CURRENCY = "USD"
_MONTHS_BEFORE = 3
_DAY_SECONDS = 86_400


def seed(database: Database, now: float) -> None:
    """Subscribe the accounts that have no subscription, some months in the past."""
    since = now
    for _ in range(_MONTHS_BEFORE):
        since = month(month(since)[0] - 1)[0]
    database.run("INSERT OR IGNORE INTO subscriptions (account_id, since) SELECT id, ? FROM accounts", int(since))


def month(now: float) -> tuple[int, int]:
    """Return the first second of a time's month, and of the next month."""
    start = datetime.fromtimestamp(now, timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    years, months = divmod(start.month, 12)
    end = start.replace(year=start.year + years, month=months + 1)
    return int(start.timestamp()), int(end.timestamp())


def usage(database: Database, accounts: AccountStore, limiter: RateLimiter, account: Account, now: float) -> JSONObject:
    """Return an account's usage this month and the state of its rate limits, as JSON."""
    start, end = month(now)
    used, limit = accounts.credits_used(account, now), account.tier.credits
    sql = (
        "SELECT count(*) AS executions, total(cost) AS cost FROM executions "
        "WHERE account_id = ? AND created_at >= ? AND created_at < ?"
    )
    row = database.all(sql, account.id, start, end)[0]
    return {
        "plan": account.tier.name,
        "periodStart": iso(start),
        "periodEnd": iso(end),
        "tokens": {"used": used, "limit": limit, "remaining": None if limit is None else max(0, limit - used)},
        "requestsPerMinute": _window(limiter.minute(account, now)),
        "requestsPerDay": _window(limiter.day(account, now)),
        "executions": row["executions"],
        "cost": round(row["cost"], 6),
    }


def history(
    database: Database, account: Account, *, group_by: str, start_date: int | None, end_date: int | None
) -> list[JSONObject]:
    """Sum up usage: by day in order, or by prompt or model, the most frequent first.

    Days count all requests; prompts and models count the requests that executed them.
    """
    rows = executions.stats(database, account, group_by=group_by, start_date=start_date, end_date=end_date)
    requests = {row["key"]: row["executions"] for row in rows}
    if group_by == "day":
        requests = _requests(database, account, start_date, end_date)
    none: JSONObject = {"date": None, "executions": 0, "tokens": 0, "cost": 0}
    known = {row["key"]: row for row in rows} | {
        day: {**none, "key": day, "date": day} for day in requests.keys() - {row["key"] for row in rows}
    }
    keys = sorted(known, key=str) if group_by == "day" else known
    fields = ("key", "date", "requests", "executions", "tokens", "cost")
    return [{name: {**known[key], "requests": requests.get(key, 0)}[name] for name in fields} for key in keys]


def billing(account: Account, now: float) -> JSONObject:
    """Return an account's subscription as JSON."""
    start, end = month(now)
    return {
        "plan": account.tier.name,
        "status": "active",
        "currentPeriodStart": iso(start),
        "currentPeriodEnd": iso(end),
        "cancelAtPeriodEnd": False,
        "amount": PRICES[account.tier.name],
        "currency": CURRENCY,
    }


def invoices(database: Database, account: Account, now: float) -> Listing:
    """List an account's invoices, newest first; first create those of the months that have ended."""
    with database.transaction():
        sql = "SELECT max(period_end) FROM invoices WHERE account_id = ?"
        next_start = database.scalar(sql, account.id)
        if not next_start:
            next_start = database.scalar("SELECT since FROM subscriptions WHERE account_id = ?", account.id)
        start, end = month(next_start)
        while end <= now:
            name = f"{account.tier.name}_{datetime.fromtimestamp(start, timezone.utc):%Y%m}"
            invoice = {"id": f"inv_{name}", "account_id": account.id, "amount": PRICES[account.tier.name]}
            database.insert("invoices", {**invoice, "period_start": start, "period_end": end})
            start, end = month(end)
    return Listing("invoices", "invoices", ["account_id = ?", "period_end <= ?"], [account.id, now])


def invoice_wire(row: sqlite3.Row) -> JSONObject:
    """Return an invoice as JSON."""
    number = row["id"].removeprefix("inv_").replace("_", "-").upper()
    invoice = as_json(row, "id amount period_start period_end")
    return {**invoice, "number": number, "status": "paid", "currency": CURRENCY, "createdAt": invoice["periodEnd"]}


def _window(window: Window) -> JSONObject:
    return {"limit": window.limit, "remaining": window.remaining, "reset": math.ceil(window.end)}


def _requests(database: Database, account: Account, start: int | None, end: int | None) -> dict[object, object]:
    """Count requests by day; a partial day counts as a whole one, because only daily counts are stored."""
    sql = (
        "SELECT date(start, 'unixepoch') AS day, sum(requests) AS requests FROM request_days "
        "WHERE account_id = ? AND start >= ? AND start <= ? GROUP BY day"
    )
    first = 0 if start is None else start // _DAY_SECONDS * _DAY_SECONDS
    last = 2**62 if end is None else end
    return {row["day"]: row["requests"] for row in database.all(sql, account.id, first, last)}
