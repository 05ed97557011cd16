"""Definitions of workflows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import FORBIDDEN, ApiError, found
from enprompta.emulator.stores import teams
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_VISIBLE = f"CASE WHEN team_id IS NULL THEN account_id = ? ELSE {teams.MINE} END"


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a workflow as JSON."""
    return as_json(row, "id name description steps team_id created_at updated_at")


def create(database: Database, account: Account, values: Mapping[str, object], now: float) -> sqlite3.Row:
    """Store a new workflow, with validated fields by their columns."""
    workflow_id = new_id("wfl")
    row = {"id": workflow_id, "account_id": account.id, "created_at": int(now), "updated_at": int(now)}
    database.insert("workflows", {**values, **row})
    return get(database, account, workflow_id)


def get(database: Database, account: Account, workflow_id: str) -> sqlite3.Row:
    """Return a workflow that the account can see, or raise a 404.

    A workflow without a team is visible to its creator; any other to the members of its team.
    """
    sql = f"SELECT * FROM workflows WHERE id = ? AND {_VISIBLE}"  # noqa: S608 (no input in it)
    return found(database.one(sql, workflow_id, account.id, account.user_id), "Workflow", workflow_id)


def get_writable(database: Database, account: Account, workflow_id: str) -> sqlite3.Row:
    """Return a workflow that the account may change and run; raise a 404 or, for lack of permission, a 403."""
    row = get(database, account, workflow_id)
    teams.require_writer(database, account, row["team_id"])
    return row


def update(
    database: Database, account: Account, workflow_id: str, values: Mapping[str, object], now: float
) -> sqlite3.Row:
    """Update the given fields; existing runs keep the steps that they started with."""
    with database.transaction():
        row = get_writable(database, account, workflow_id)
        if not values:
            return row
        if row["account_id"] != account.id and values.get("team_id", row["team_id"]) != row["team_id"]:
            raise ApiError(
                FORBIDDEN, "Insufficient permissions: only the creator of the workflow may remove it from its team"
            )
        database.update("workflows", workflow_id, {**values, "updated_at": int(now)})
        return get(database, account, workflow_id)


def delete(database: Database, account: Account, workflow_id: str) -> None:
    """Delete a workflow and its runs; the executions of their steps remain."""
    get_writable(database, account, workflow_id)
    database.run("DELETE FROM workflows WHERE id = ?", workflow_id)


def listing(account: Account, **filters: object) -> Listing:
    """List the workflows that an account can see, newest first, with the filters of `Listing.filtered`."""
    visible = Listing("workflows", "workflows", [_VISIBLE], [account.id, account.user_id])
    return visible.filtered(filters, "name, description")


def steps_of(row: sqlite3.Row) -> list[JSONObject]:
    """Return the steps of a workflow."""
    return json.loads(row["steps"])
