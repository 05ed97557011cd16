"""Events: what happened, told to every webhook that wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.emulator.api.request_models import iso
from enprompta.emulator.database import new_id
from enprompta.emulator.stores import deliveries, webhooks
from enprompta.webhooks.ecma_json import ecma_json

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.api.request_context import JSONObject
    from enprompta.emulator.services import Services

API_VERSION = "2024-01-01"
TEST_EVENT = "webhook.test"


def fire(services: Services, account: Account, event: str, data: JSONObject) -> None:
    """Tell an account's webhooks that something happened.

    Call it in the transaction that makes it happen: then it is told if, and only if, it did. Nothing is sent before
    the handler next awaits, and nobody waits for it to arrive.

    Args:
        services: The emulator's parts.
        account: Whose event it is.
        event: Its name, one of `webhooks.EVENTS`.
        data: The payload's `data`, in snake_case.
    """
    listening = webhooks.listening(services.database, account, event)
    if not listening:
        return
    event_id, now = new_id("evt"), services.clock()
    body = _body(event_id, event, now, data)
    with services.database.transaction():
        for webhook in listening:
            row = deliveries.create(
                services.database, webhook["id"], event_id=event_id, event_type=event, body=body, now=now
            )
            services.deliverer.send(row["id"], webhook["url"])


def fire_test(services: Services, webhook: sqlite3.Row) -> sqlite3.Row:
    """Send a webhook an event that means nothing, whatever events it wants; give its delivery."""
    event_id, now = new_id("evt"), services.clock()
    body = _body(event_id, TEST_EVENT, now, {"webhook_id": webhook["id"], "message": "This is a test event"})
    row = deliveries.create(
        services.database, webhook["id"], event_id=event_id, event_type=TEST_EVENT, body=body, now=now
    )
    services.deliverer.send(row["id"], webhook["url"])
    return row


def _body(event_id: str, event: str, now: float, data: JSONObject) -> bytes:
    """Write the payload as JavaScript would: what is sent is what a receiver that has only parsed it can verify."""
    payload = {"id": event_id, "event": event, "created_at": iso(now), "api_version": API_VERSION, "data": data}
    return ecma_json(payload).encode()
