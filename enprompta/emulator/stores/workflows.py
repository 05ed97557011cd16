"""Definitions of workflows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import FORBIDDEN, ApiError, not_found
from enprompta.emulator.stores import teams
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import iso

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_VISIBLE = f"CASE WHEN team_id IS NULL THEN account_id = ? ELSE {teams.MINE} END"
_COLUMNS = {"name": "name", "description": "description", "steps": "steps", "teamId": "team_id"}


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a workflow as JSON."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "steps": steps_of(row),
        "teamId": row["team_id"],
        "createdAt": iso(row["created_at"]),
        "updatedAt": iso(row["updated_at"]),
    }


def create(database: Database, account: Account, values: Mapping[str, Any], now: float) -> sqlite3.Row:
    """Store a new workflow.

    Args:
        database: The database.
        account: Owner of the workflow.
        values: Validated fields by the API's names; at least `name` and `steps`.
        now: Current time in Unix seconds.
    """
    workflow_id = new_id("wfl")
    database.run(
        "INSERT INTO workflows (id, account_id, name, description, steps, team_id, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(workflow_id, account.id, values["name"], values.get("description"), json.dumps(values["steps"])),
        *(values.get("teamId"), int(now), int(now)),
    )
    return get(database, account, workflow_id)


def get(database: Database, account: Account, workflow_id: str) -> sqlite3.Row:
    """Return a workflow that the account can see, or raise a 404.

    A workflow without a team is visible to its creator; any other to the members of its team.
    """
    sql = f"SELECT * FROM workflows WHERE id = ? AND {_VISIBLE}"  # noqa: S608 (no input in it)
    row = database.one(sql, workflow_id, account.id, account.user_id)
    if row is None:
        raise not_found("Workflow", workflow_id)
    return row


def get_writable(database: Database, account: Account, workflow_id: str) -> sqlite3.Row:
    """Return a workflow that the account may change and run; raise a 404 or, for lack of permission, a 403."""
    row = get(database, account, workflow_id)
    if row["team_id"] is not None:
        teams.require(database, account, row["team_id"], teams.WRITERS)
    return row


def update(
    database: Database, account: Account, workflow_id: str, values: Mapping[str, Any], now: float
) -> sqlite3.Row:
    """Update the given fields; existing runs keep the steps that they started with."""
    with database.transaction():
        row = get_writable(database, account, workflow_id)
        if not values:
            return row
        if row["account_id"] != account.id and values.get("teamId", row["team_id"]) != row["team_id"]:
            raise ApiError(
                FORBIDDEN, "Insufficient permissions: only the creator of the workflow may remove it from its team"
            )
        changes: dict[str, object] = {column: values[name] for name, column in _COLUMNS.items() if name in values}
        if "steps" in changes:
            changes["steps"] = json.dumps(changes["steps"])
        changes["updated_at"] = int(now)
        assignments = ", ".join(f"{column} = ?" for column in changes)
        database.run(f"UPDATE workflows SET {assignments} WHERE id = ?", *changes.values(), workflow_id)  # noqa: S608 (known columns)
        return get(database, account, workflow_id)


def delete(database: Database, account: Account, workflow_id: str) -> None:
    """Delete a workflow and its runs; the executions of their steps remain."""
    get_writable(database, account, workflow_id)
    database.run("DELETE FROM workflows WHERE id = ?", workflow_id)


def listing(account: Account, *, search: str | None, team_id: str | None) -> Listing:
    """List the workflows that an account can see, newest first."""
    where, args = [_VISIBLE], [account.id, account.user_id]
    if team_id is not None:
        where.append("team_id = ?")
        args.append(team_id)
    if search:
        where.append("contains(?, name, description)")
        args.append(search.casefold())
    return Listing("workflows", "workflows", where, args)


def steps_of(row: sqlite3.Row) -> list[JSONObject]:
    """Return the steps of a workflow."""
    return cast("list[JSONObject]", json.loads(row["steps"]))
