"""Publishes events to the webhooks that are subscribed to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.stores import deliveries, webhooks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.webhooks.delivery_queue import DeliveryQueue
    from enprompta.emulator.wire import JSONObject

TEST_EVENT = "webhook.test"


@dataclass(frozen=True, slots=True)
class EventPublisher:
    """Creates a delivery of each event for every webhook that is subscribed to it, and queues it."""

    database: Database
    clock: Callable[[], float]
    """Returns Unix seconds."""
    queue: DeliveryQueue

    def publish(self, account: Account, event: str, data: JSONObject) -> None:
        """Send an event, one of `webhooks.EVENTS`, to an account's webhooks.

        Call it inside the transaction that records the change, so that both are committed or neither is. Nothing is
        sent before the handler next awaits, and the caller does not wait for receivers.
        """
        subscribed = webhooks.subscribed(self.database, account, event)
        if not subscribed:
            return
        event_id, now = new_id("evt"), self.clock()
        with self.database.transaction():
            for webhook in subscribed:
                self._deliver(webhook, event_id, event, data, now)

    def publish_test(self, webhook: sqlite3.Row) -> sqlite3.Row:
        """Send a test event to one webhook, whatever its subscriptions, and return the delivery."""
        event_id, now = new_id("evt"), self.clock()
        data: JSONObject = {"webhook_id": webhook["id"], "message": "This is a test event"}
        return self._deliver(webhook, event_id, TEST_EVENT, data, now)

    def _deliver(self, webhook: sqlite3.Row, event_id: str, event: str, data: JSONObject, now: float) -> sqlite3.Row:
        row = deliveries.create(self.database, webhook["id"], event_id=event_id, event_type=event, data=data, now=now)
        self.queue.send(row["id"], webhook["url"])
        return row
