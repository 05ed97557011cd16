"""The inbox: deliveries as they happen, with attempts, signatures, payloads and the receiver's responses."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from enprompta.workbench import components as c
from enprompta.workbench.live import Region
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from enprompta.workbench.session import JSON
    from enprompta.workbench.webhooks.subscriptions import Subscriptions

_SHOWN = 50
_STATES = {"": "All", "DELIVERED": "Delivered", "RETRYING": "Retrying", "FAILED": "Failed"}


class Inbox(Region["list[JSON]"]):
    """The table of deliveries, newest first."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        with c.section("Deliveries") as actions:
            with actions:
                self._state = c.Choice("Status", _STATES, "")
            super().__init__(self._load, self._show, name="deliveries")
        self._state.changed(lambda: self.refresh(rebuild=True))

    async def _load(self) -> list[JSON]:
        session = current()
        names = {one.id: one.name or one.id for one in self._subscriptions.webhooks}
        found: list[JSON] = []
        if session.control is not None:
            found += [one for one in await session.control.deliveries(limit=_SHOWN) if one["webhookId"] in names]
        else:
            for webhook_id in names:
                page = await session.client.webhooks.list_deliveries(webhook_id, limit=20)
                found += [one.model_dump(mode="json", by_alias=True) for one in page.data]
            found.sort(key=lambda one: one["createdAt"] or "", reverse=True)
        return [{**one, "webhookName": names[one["webhookId"]]} for one in found[:_SHOWN]]

    def _show(self, deliveries: list[JSON]) -> None:
        shown = [one for one in deliveries if self._state.value in {"", one["status"]}]
        if not shown:
            c.empty(
                "No deliveries",
                "Execute a prompt, send a test event, or trigger an event: deliveries appear here at once.",
            )
            return
        rows = [
            (
                functools.partial(self._event, one),
                one["webhookName"],
                c.status(one["status"]),
                c.number(one["attempts"]),
                str(one["responseStatus"] or "none"),
                c.milliseconds(one["latencyMs"]),
                c.when(c.moment(one["createdAt"])),
            )
            for one in shown
        ]
        columns = ["Event", "Webhook", "Status", ">Attempts", ">Response", ">Latency", ">When"]
        c.table(columns, rows, label="Deliveries")

    def _event(self, delivery: JSON) -> None:
        c.button(str(delivery["eventType"]), lambda: self._open(delivery), kind="quiet")

    def _open(self, delivery: JSON) -> None:
        async def resend() -> None:
            await current().client.webhooks.retry_delivery(delivery["webhookId"], delivery["id"])
            c.notify("The event is sent again, unchanged")
            await self.refresh()

        with c.dialog(str(delivery["eventType"]), wide=True) as opened:
            c.facts(
                [
                    ("Status", c.status(delivery["status"])),
                    ("Webhook", delivery["webhookName"]),
                    ("URL", delivery.get("url")),
                    ("Event", delivery["eventId"]),
                    ("Delivery", delivery["id"]),
                ]
            )
            c.text("h3", "Attempts")
            _attempts(delivery)
            if delivery.get("body") is not None:
                c.text("h3", "Payload")
                c.code(c.pretty(delivery["body"]), label="Payload")
            c.dialog_actions(opened, "Resend", resend, cancel="Close")


def _attempts(delivery: JSON) -> None:
    log: list[JSON] = delivery.get("attemptLog") or []
    if not log:
        count = delivery["attempts"] or 0
        c.text("p", f"{count} so far; the last response had status {delivery['responseStatus'] or 'none'}.", "muted")
        return
    for number, one in enumerate(log, start=1):
        with c.box("div", "stack tight attempt"):
            with c.box("div", "row-line"):
                c.text("strong", f"Attempt {number}")
                responded = one["responseStatus"]
                tone = "good" if str(responded).startswith("2") else "bad"
                c.badge("no response" if responded is None else f"status {responded}", tone)
                valid = one["signatureValid"]
                c.badge("signature valid" if valid else "signature does not match", "good" if valid else "warn")
                c.text("span", c.milliseconds(one["latencyMs"]), "muted small")
                c.text("span", c.clock(_time(one["at"])), "muted small")
            c.text("span", one["signature"], "mono small muted break")
            answer = str(one["answer"] or "The receiver sent no content.")
            c.code(answer, label=f"Response of the receiver to attempt {number}", classes="wrap")


def _time(at: object) -> datetime | None:
    return datetime.fromtimestamp(at, timezone.utc) if isinstance(at, (int, float)) else c.moment(at)
