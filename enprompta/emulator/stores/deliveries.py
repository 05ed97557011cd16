"""Deliveries: one event for one webhook.

A delivery is created in the transaction of the change that it reports, and its state is stored after every attempt, so
that a killed emulator resumes. An interrupted attempt is repeated: events are delivered at least once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import found
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json, iso
from enprompta.webhooks.ecma_json import ecma_json
from enprompta.webhooks.signature import verify_signature

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_API_VERSION = "2024-01-01"
_SHOWN_BYTES = 4_096  # of a receiver's response


class DeliveryAttempt(NamedTuple):
    """One request of a delivery, and its result."""

    delivery_id: str
    number: int
    """1 for the first attempt of the delivery."""
    at: float
    """Real time in Unix seconds."""
    signature: str
    response_status: int | None
    """None if there was no response."""
    latency_ms: int
    answer: bytes
    """Start of the receiver's response, after the status line."""


PENDING, RETRYING, DELIVERED, FAILED = "PENDING", "RETRYING", "DELIVERED", "FAILED"


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a delivery as JSON."""
    columns = "id webhook_id event_type event_id status attempts response_status latency_ms created_at delivered_at"
    return as_json(row, columns)


def create(
    database: Database, webhook_id: str, *, event_id: str, event_type: str, data: JSONObject, now: float
) -> sqlite3.Row:
    """Store a pending delivery, its body as `JSON.stringify` writes it: some receivers verify what they have parsed."""
    delivery_id = new_id("dlv")
    payload = {"id": event_id, "event": event_type, "created_at": iso(now), "api_version": _API_VERSION, "data": data}
    body = ecma_json(payload).encode()
    event = {"event_id": event_id, "event_type": event_type, "body": body, "created_at": int(now)}
    database.insert("deliveries", {**event, "id": delivery_id, "webhook_id": webhook_id, "status": PENDING})
    return get(database, webhook_id, delivery_id)


def get(database: Database, webhook_id: str, delivery_id: str) -> sqlite3.Row:
    """Return a webhook's delivery, or raise a 404."""
    sql = "SELECT * FROM deliveries WHERE id = ? AND webhook_id = ?"
    return found(database.one(sql, delivery_id, webhook_id), "Delivery", delivery_id)


def listing(webhook_id: str) -> Listing:
    """List a webhook's deliveries, newest first."""
    return Listing("deliveries", "deliveries", ["webhook_id = ?"], [webhook_id])


def unfinished(database: Database) -> list[sqlite3.Row]:
    """List the id and URL of all unfinished deliveries, oldest first."""
    sql = (
        "SELECT deliveries.id, url FROM deliveries JOIN webhooks ON webhooks.id = webhook_id "
        "WHERE status IN ('PENDING', 'RETRYING') ORDER BY deliveries.number"
    )
    return database.all(sql)


def to_send(database: Database, delivery_id: str) -> sqlite3.Row | None:
    """Return an unfinished delivery with the current `url`, `secret` and `is_active` of its webhook; None otherwise."""
    sql = (
        "SELECT deliveries.*, url, secret, is_active FROM deliveries JOIN webhooks ON webhooks.id = webhook_id "
        "WHERE deliveries.id = ? AND status IN ('PENDING', 'RETRYING')"
    )
    return database.one(sql, delivery_id)


def restart(database: Database, webhook_id: str, delivery_id: str) -> sqlite3.Row:
    """Mark a delivery to be sent again, with the full number of attempts."""
    with database.transaction():
        row = get(database, webhook_id, delivery_id)
        sql = "UPDATE deliveries SET status = ?, earlier_attempts = attempts, delivered_at = NULL WHERE id = ?"
        database.run(sql, RETRYING if row["attempts"] else PENDING, delivery_id)
        return get(database, webhook_id, delivery_id)


def record(
    database: Database, row: sqlite3.Row, *, status: str, response_status: int | None, latency: int, now: float
) -> None:
    """Record an attempt in the delivery, whose row is of before the attempt, and in its webhook."""
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


def record_attempt(database: Database, attempt: DeliveryAttempt) -> None:
    """Store an attempt, unless its delivery was deleted meanwhile."""
    sql = (
        "INSERT OR REPLACE INTO delivery_attempts (delivery_id, number, at, signature, response_status, latency_ms, "
        "answer) SELECT ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM deliveries WHERE id = ?)"
    )
    shown = attempt._replace(answer=attempt.answer[:_SHOWN_BYTES])
    database.run(sql, *shown, attempt.delivery_id)


def inbox(database: Database, limit: int) -> list[JSONObject]:
    """List the newest deliveries of all webhooks as JSON, with their payload and attempts."""
    sql = (
        "SELECT deliveries.*, url, secret, account_id, name FROM deliveries JOIN webhooks ON webhooks.id = webhook_id "
        "ORDER BY deliveries.number DESC LIMIT ?"
    )
    rows = database.all(sql, limit)
    sql = "SELECT * FROM delivery_attempts WHERE delivery_id = ? ORDER BY number"
    return [_inbox_entry(row, database.all(sql, row["id"])) for row in rows]


def _inbox_entry(row: sqlite3.Row, attempts: list[sqlite3.Row]) -> JSONObject:
    return {
        **wire(row),
        "url": row["url"],
        "webhookName": row["name"],
        "accountId": row["account_id"],
        "payload": json.loads(row["body"]),
        "body": row["body"].decode(),
        "attemptLog": [
            {
                "number": one["number"],
                "at": one["at"],
                "signature": one["signature"],
                "signatureValid": verify_signature(row["body"], one["signature"], row["secret"]),
                "responseStatus": one["response_status"],
                "latencyMs": one["latency_ms"],
                "answer": one["answer"].decode("utf-8", "replace"),
            }
            for one in attempts
        ],
    }


def fail(database: Database, delivery_id: str) -> None:
    """Mark a delivery as failed without an attempt, because its webhook is disabled or its receiver is refused."""
    database.run("UPDATE deliveries SET status = ? WHERE id = ?", FAILED, delivery_id)
