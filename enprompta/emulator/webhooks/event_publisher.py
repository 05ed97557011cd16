"""Publishes events to the webhooks that are subscribed to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.stores import deliveries, webhooks
from enprompta.emulator.wire import iso
from enprompta.webhooks.ecma_json import ecma_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.webhooks.delivery_queue import DeliveryQueue
    from enprompta.emulator.wire import JSONObject

API_VERSION = "2024-01-01"
TEST_EVENT = "webhook.test"


class EventPublisher:
    """Creates a delivery of each event for every webhook that is subscribed to it.

    Args:
        database: Where webhooks and deliveries are stored.
        clock: Returns Unix seconds.
        queue: Sends the deliveries.
    """

    def __init__(self, database: Database, clock: Callable[[], float], queue: DeliveryQueue) -> None:
        self._database = database
        self._clock = clock
        self._queue = queue

    def publish(self, account: Account, event: str, data: JSONObject) -> None:
        """Send an event to an account's webhooks.

        Call it inside the transaction that records the change, so that both are committed or neither is. Nothing is
        sent before the handler next awaits, and the caller does not wait for receivers.

        Args:
            account: The account that the event belongs to.
            event: One of `webhooks.EVENTS`.
            data: The payload's `data`, in snake_case.
        """
        subscribed = webhooks.subscribed(self._database, account, event)
        if not subscribed:
            return
        event_id, now = new_id("evt"), self._clock()
        body = event_body(event_id, event, now, data)
        with self._database.transaction():
            for webhook in subscribed:
                row = deliveries.create(
                    self._database, webhook["id"], event_id=event_id, event_type=event, body=body, now=now
                )
                self._queue.send(row["id"], webhook["url"])

    def publish_test(self, webhook: sqlite3.Row) -> sqlite3.Row:
        """Send a test event to one webhook, whatever its subscriptions, and return the delivery."""
        event_id, now = new_id("evt"), self._clock()
        body = event_body(event_id, TEST_EVENT, now, {"webhook_id": webhook["id"], "message": "This is a test event"})
        row = deliveries.create(
            self._database, webhook["id"], event_id=event_id, event_type=TEST_EVENT, body=body, now=now
        )
        self._queue.send(row["id"], webhook["url"])
        return row


def event_body(event_id: str, event: str, now: float, data: JSONObject) -> bytes:
    """Serialize the payload as `JSON.stringify` would, for receivers that verify what they have parsed."""
    payload = {"id": event_id, "event": event, "created_at": iso(now), "api_version": API_VERSION, "data": data}
    return ecma_json(payload).encode()
