"""Executions and their statistics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import found
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_GROUPS = {"day": "date(created_at, 'unixepoch')", "prompt": "prompt_id", "model": "model"}
GROUPINGS = tuple(_GROUPS)
_COST_PER_TOKEN = 0.00005


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """The result of a completion: an output or an error."""

    provider: str
    model: str
    latency: int
    """Milliseconds."""
    output: str | None = None
    """Text of the answer; None if the completion failed."""
    tokens: int = 0
    error: str | None = None
    """Reason of the failure; None if the completion succeeded."""

    @property
    def cost(self) -> float:
        """Cost in the currency of the plan."""
        return round(self.tokens * _COST_PER_TOKEN, 6)


def wire(row: sqlite3.Row) -> JSONObject:
    """Return an execution as JSON."""
    columns = "id prompt_id status output tokens cost latency provider model variables created_at error"
    return as_json(row, columns)


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
        row: JSONObject = {"id": execution_id, "account_id": account.id, "prompt_id": prompt_id, "status": status}
        row |= {**asdict(result), "cost": result.cost, "variables": dict(variables), "created_at": int(now)}
        database.insert("executions", row)
        if status == "completed":
            database.run("UPDATE prompts SET usage_count = usage_count + 1 WHERE id = ?", prompt_id)
        return get(database, account, execution_id)


def get(database: Database, account: Account, execution_id: str) -> sqlite3.Row:
    """Return an account's execution, or raise a 404."""
    sql = "SELECT * FROM executions WHERE id = ? AND account_id = ?"
    return found(database.one(sql, execution_id, account.id), "Execution", execution_id)


def listing(account: Account, **filters: object) -> Listing:
    """List an account's executions, newest first, with the filters of `Listing.filtered`."""
    return Listing("executions", "executions", ["account_id = ?"], [account.id]).filtered(filters)


def stats(
    database: Database, account: Account, *, group_by: str, start_date: int | None, end_date: int | None
) -> list[JSONObject]:
    """Sum up an account's executions: by day in order, or by prompt or model, the most frequent first."""
    order = "key" if group_by == "day" else "executions DESC, key"
    columns = f"{_GROUPS[group_by]} AS key, count(*) AS executions, sum(tokens) AS tokens, sum(cost) AS cost"
    chosen = listing(account, start_date=start_date, end_date=end_date)
    rows = chosen.rows(database, f"GROUP BY key ORDER BY {order}", columns=columns)
    return [
        {
            "key": row["key"],
            "date": row["key"] if group_by == "day" else None,
            "executions": row["executions"],
            "tokens": row["tokens"],
            "cost": round(row["cost"], 6),
        }
        for row in rows
    ]
