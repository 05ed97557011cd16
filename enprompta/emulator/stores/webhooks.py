"""Webhooks and the events that they are subscribed to."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import found
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

EVENTS = ("prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed")


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a webhook as JSON, without its secret."""
    columns = "id name description url events is_active failure_count last_success last_failure created_at updated_at"
    return as_json(row, columns)


def create(database: Database, account: Account, values: Mapping[str, object], now: float) -> sqlite3.Row:
    """Store a new webhook, with validated fields by their columns and a new secret."""
    webhook_id = new_id("whk")
    row = {"id": webhook_id, "account_id": account.id, "created_at": int(now), "updated_at": int(now)}
    database.insert("webhooks", {**values, **row, "secret": _new_secret()})
    return get(database, account, webhook_id)


def get(database: Database, account: Account, webhook_id: str) -> sqlite3.Row:
    """Return an account's webhook, or raise a 404."""
    sql = "SELECT * FROM webhooks WHERE id = ? AND account_id = ?"
    return found(database.one(sql, webhook_id, account.id), "Webhook", webhook_id)


def all_of(database: Database, account: Account) -> list[sqlite3.Row]:
    """List an account's webhooks, newest first."""
    return database.all("SELECT * FROM webhooks WHERE account_id = ? ORDER BY number DESC", account.id)


def subscribed(database: Database, account: Account, event: str) -> list[sqlite3.Row]:
    """List an account's active webhooks that are subscribed to an event."""
    sql = "SELECT * FROM webhooks WHERE account_id = ? AND is_active ORDER BY number"
    return [row for row in database.all(sql, account.id) if event in json.loads(row["events"])]


def update(
    database: Database, account: Account, webhook_id: str, values: Mapping[str, object], now: float
) -> sqlite3.Row:
    """Update the given fields."""
    with database.transaction():
        row = get(database, account, webhook_id)
        if not values:
            return row
        database.update("webhooks", webhook_id, {**values, "updated_at": int(now)})
        return get(database, account, webhook_id)


def rotate_secret(database: Database, account: Account, webhook_id: str, now: float) -> str:
    """Replace and return a webhook's secret; pending deliveries are signed with the new one too."""
    get(database, account, webhook_id)
    secret = _new_secret()
    database.run("UPDATE webhooks SET secret = ?, updated_at = ? WHERE id = ?", secret, int(now), webhook_id)
    return secret


def delete(database: Database, account: Account, webhook_id: str) -> None:
    """Delete a webhook and its deliveries; pending ones are not sent."""
    get(database, account, webhook_id)
    database.run("DELETE FROM webhooks WHERE id = ?", webhook_id)


def _new_secret() -> str:
    return f"whsec_{secrets.token_hex(24)}"
