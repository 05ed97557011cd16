"""Deliveries: one event on its way to one webhook, from the moment it happened.

A delivery is kept in the same transaction as what it tells of, and its state after every attempt, so that a killed
emulator takes up where it was. An attempt that was under way then is made again: an event arrives at least once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import not_found
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import iso

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

PENDING, RETRYING, DELIVERED, FAILED = "PENDING", "RETRYING", "DELIVERED", "FAILED"


def wire(row: sqlite3.Row) -> JSONObject:
    """Write a delivery as it goes over the wire."""
    return {
        "id": row["id"],
        "webhookId": row["webhook_id"],
        "eventType": row["event_type"],
        "eventId": row["event_id"],
        "status": row["status"],
        "attempts": row["attempts"],
        "responseStatus": row["response_status"],
        "latencyMs": row["latency_ms"],
        "createdAt": iso(row["created_at"]),
        "deliveredAt": None if row["delivered_at"] is None else iso(row["delivered_at"]),
    }


def create(
    database: Database, webhook_id: str, *, event_id: str, event_type: str, body: bytes, now: float
) -> sqlite3.Row:
    """Keep a new delivery, to be sent.

    Args:
        database: Where.
        webhook_id: To whom.
        event_id: Which event; the same for all webhooks that are told of it.
        event_type: Its name.
        body: The very bytes to send, each time.
        now: When it happened.
    """
    delivery_id = new_id("dlv")
    database.run(
        "INSERT INTO deliveries (id, webhook_id, event_id, event_type, body, status, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(delivery_id, webhook_id, event_id, event_type, body, PENDING, int(now)),
    )
    return get(database, webhook_id, delivery_id)


def get(database: Database, webhook_id: str, delivery_id: str) -> sqlite3.Row:
    """Find a webhook's delivery; a 404 when it is not there."""
    row = database.one("SELECT * FROM deliveries WHERE id = ? AND webhook_id = ?", delivery_id, webhook_id)
    if row is None:
        raise not_found("Delivery", delivery_id)
    return row


def listing(webhook_id: str) -> Listing:
    """List a webhook's deliveries, newest first."""
    return Listing("deliveries", "deliveries", ["webhook_id = ?"], [webhook_id])


def unfinished(database: Database) -> list[sqlite3.Row]:
    """List the id and URL of all deliveries that are still to be made, oldest first."""
    sql = (
        "SELECT deliveries.id, url FROM deliveries JOIN webhooks ON webhooks.id = webhook_id "
        "WHERE status IN ('PENDING', 'RETRYING') ORDER BY deliveries.number"
    )
    return database.all(sql)


def to_send(database: Database, delivery_id: str) -> sqlite3.Row | None:
    """Find a delivery that is still to be made, with its webhook's present `url`, `secret` and `is_active`."""
    sql = (
        "SELECT deliveries.*, url, secret, is_active FROM deliveries JOIN webhooks ON webhooks.id = webhook_id "
        "WHERE deliveries.id = ? AND status IN ('PENDING', 'RETRYING')"
    )
    return database.one(sql, delivery_id)


def restart(database: Database, webhook_id: str, delivery_id: str) -> sqlite3.Row:
    """Make a delivery one to be sent again, with all the attempts of a new one before it fails."""
    with database.transaction():
        row = get(database, webhook_id, delivery_id)
        sql = "UPDATE deliveries SET status = ?, earlier_attempts = attempts, delivered_at = NULL WHERE id = ?"
        database.run(sql, RETRYING if row["attempts"] else PENDING, delivery_id)
        return get(database, webhook_id, delivery_id)


def record(
    database: Database,
    row: sqlite3.Row,
    *,
    status: str,
    response_status: int | None,
    latency: int,
    now: float,
) -> None:
    """Keep how an attempt went, and what it means for the webhook.

    Args:
        database: Where.
        row: The delivery, as it was before.
        status: What it is now.
        response_status: What the receiver answered; None when it did not.
        latency: Milliseconds the attempt took.
        now: When it ended.
    """
    webhook_id = row["webhook_id"]
    with database.transaction():
        database.run(
            "UPDATE deliveries SET status = ?, attempts = attempts + 1, response_status = ?, latency_ms = ?, "
            "delivered_at = ? WHERE id = ?",
            *(status, response_status, latency, int(now) if status == DELIVERED else None, row["id"]),
        )
        if status == DELIVERED:
            sql = "UPDATE webhooks SET failure_count = 0, last_success = ? WHERE id = ?"
            database.run(sql, int(now), webhook_id)
        elif status == FAILED:
            sql = "UPDATE webhooks SET failure_count = failure_count + 1, last_failure = ? WHERE id = ?"
            database.run(sql, int(now), webhook_id)


def give_up(database: Database, delivery_id: str) -> None:
    """Fail a delivery that was not attempted, for its webhook is disabled."""
    database.run("UPDATE deliveries SET status = ? WHERE id = ?", FAILED, delivery_id)
