"""Executions and their statistics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import not_found
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import iso

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.execution.completion import CompletionResult
    from enprompta.emulator.wire import JSONObject

_GROUPS = {"day": "date(created_at, 'unixepoch')", "prompt": "prompt_id", "model": "model"}
GROUPINGS = tuple(_GROUPS)


def wire(row: sqlite3.Row) -> JSONObject:
    """Return an execution as JSON."""
    return {
        "id": row["id"],
        "promptId": row["prompt_id"],
        "status": row["status"],
        "output": row["output"],
        "tokens": row["tokens"],
        "cost": row["cost"],
        "latency": row["latency"],
        "provider": row["provider"],
        "model": row["model"],
        "variables": json.loads(row["variables"]),
        "createdAt": iso(row["created_at"]),
        "error": row["error"],
    }


def record(
    database: Database,
    account: Account,
    result: CompletionResult,
    *,
    prompt_id: str,
    variables: Mapping[str, object],
    now: float,
) -> sqlite3.Row:
    """Store an execution with the result of its completion."""
    execution_id = new_id("exe")
    status = "completed" if result.error is None else "failed"
    with database.transaction():
        database.run(
            "INSERT INTO executions (id, account_id, prompt_id, status, output, tokens, cost, latency, provider, "
            "model, variables, error, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(execution_id, account.id, prompt_id, status, result.output, result.tokens, result.cost),
            *(result.latency, result.provider, result.model, json.dumps(variables), result.error, int(now)),
        )
        if status == "completed":
            database.run("UPDATE prompts SET usage_count = usage_count + 1 WHERE id = ?", prompt_id)
        return get(database, account, execution_id)


def get(database: Database, account: Account, execution_id: str) -> sqlite3.Row:
    """Return an account's execution, or raise a 404."""
    row = database.one("SELECT * FROM executions WHERE id = ? AND account_id = ?", execution_id, account.id)
    if row is None:
        raise not_found("Execution", execution_id)
    return row


def listing(
    account: Account, *, prompt_id: str | None, provider: str | None, start: int | None, end: int | None
) -> Listing:
    """List an account's executions, newest first."""
    filters = {"prompt_id = ?": prompt_id, "provider = ?": provider, "created_at >= ?": start, "created_at <= ?": end}
    given = {clause: value for clause, value in filters.items() if value is not None}
    return Listing("executions", "executions", ["account_id = ?", *given], [account.id, *given.values()])


def stats(
    database: Database, account: Account, *, group_by: str, start: int | None, end: int | None
) -> list[JSONObject]:
    """Sum up an account's executions: by day in order, or by prompt or model, the most frequent first."""
    where = listing(account, prompt_id=None, provider=None, start=start, end=end)
    order = "key" if group_by == "day" else "executions DESC, key"
    sql = (
        f"SELECT {_GROUPS[group_by]} AS key, count(*) AS executions, sum(tokens) AS tokens, sum(cost) AS cost "  # noqa: S608 (no input in it)
        f"FROM executions "
        f"WHERE {' AND '.join(where.where)} GROUP BY key ORDER BY {order}"
    )
    return [
        {
            "key": row["key"],
            "date": row["key"] if group_by == "day" else None,
            "executions": row["executions"],
            "tokens": row["tokens"],
            "cost": round(row["cost"], 6),
        }
        for row in database.all(sql, *where.args)
    ]
