"""Webhooks: subscriptions and a live inbox of deliveries."""

from __future__ import annotations

import functools
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypedDict

from enprompta.errors import ConfigurationError
from enprompta.testing import EXAMPLES
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Region, keep_fresh
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.emulator import EmulatorControl
    from enprompta.models import Webhook
    from enprompta.workbench.session import JSON

_POLL_EMULATOR = 1.0
_SHOWN = 50
_STATES = {"": "All", "DELIVERED": "Delivered", "RETRYING": "Retrying", "FAILED": "Failed"}


@frame.page("/webhooks", "Webhooks")
async def _show() -> None:
    session = current()
    actions = c.header("Webhooks", "Events that are sent to your URLs, and what your receivers answered.")
    with c.section("Subscriptions"):
        subscriptions = Subscriptions()
    inbox = Inbox(subscriptions)
    control = session.control
    with actions:
        if control is not None:
            trigger = functools.partial(open_trigger, control, f"acc_{session.account}", inbox.refresh)
            c.button("Trigger event", trigger, icon_name="o_bolt")
        c.button("New webhook", subscriptions.create, kind="primary", icon_name="add")

    async def refresh() -> None:
        await subscriptions.refresh()
        await inbox.refresh()

    keep_fresh(refresh)
    if control is not None:  # deliveries happen without a request, and cost none of the rate limit
        keep_fresh(inbox.refresh, every=_POLL_EMULATOR)
    await refresh()


class _Fields(TypedDict):
    """The fields of a webhook's form."""

    name: str
    url: str
    events: list[str]


class Subscriptions(Region["list[Webhook]"]):
    """The table of webhooks, with what can be done with each."""

    def __init__(self) -> None:
        self.webhooks: list[Webhook] = []
        super().__init__(self._load, self._show, name="webhooks")

    def create(self) -> None:
        """Open the form for a new webhook."""

        async def create(fields: _Fields) -> None:
            created = await current().client.webhooks.create(**fields)
            await self.refresh()
            _show_secret(created.secret, "The webhook was created")

        _form("New webhook", None, create)

    async def _load(self) -> list[Webhook]:
        self.webhooks = list((await current().client.webhooks.list()).data)
        return self.webhooks

    def _show(self, webhooks: list[Webhook]) -> None:
        if not webhooks:
            hint = "Subscribe a URL to events. For a receiver on this machine, start one in a shell:"
            with c.empty("No webhooks yet", hint, code_example="enprompta webhooks listen --port 8000"):
                c.button("New webhook", self.create, kind="primary")
            return
        rows = [
            (
                one.name or one.id,
                lambda one=one: c.text("span", one.url, "mono clip"),
                lambda one=one: _events(one),
                c.status("active" if one.is_active else "paused"),
                c.number(one.failure_count),
                lambda one=one: self._actions(one),
            )
            for one in webhooks
        ]
        c.table(["Name", "URL", "Events", "State", ">Failures", "Actions"], rows, label="Webhooks")

    def _actions(self, webhook: Webhook) -> None:
        client = current().client

        async def test() -> None:
            await client.webhooks.test(webhook.id)
            c.notify("A test event is on its way: see the deliveries below")

        async def toggle() -> None:
            await (client.webhooks.disable(webhook.id) if webhook.is_active else client.webhooks.enable(webhook.id))
            await self.refresh()

        name = webhook.name or webhook.id
        with c.box("div", "row-line nowrap-wide"):
            c.icon_button(f"Send a test event to {name}", "o_send", test)
            label, icon = ("Pause", "o_pause") if webhook.is_active else ("Resume", "o_play_arrow")
            c.icon_button(f"{label} {name}", icon, toggle)
            c.icon_button(f"Edit {name}", "o_edit", lambda: self._edit(webhook))
            c.icon_button(f"Rotate the secret of {name}", "o_autorenew", lambda: self._confirm_rotation(webhook))
            c.icon_button(f"Delete {name}", "o_delete", lambda: self._confirm_delete(webhook))

    def _edit(self, webhook: Webhook) -> None:
        async def save(fields: _Fields) -> None:
            await current().client.webhooks.update(webhook.id, **fields)
            await self.refresh()

        _form("Edit webhook", webhook, save)

    def _confirm_rotation(self, webhook: Webhook) -> None:
        async def rotate() -> None:
            rotated = await current().client.webhooks.rotate_secret(webhook.id)
            _show_secret(rotated.secret, "The secret was replaced")

        c.confirm(
            f"Rotate the secret of {webhook.name}?",
            "New deliveries are signed with the new secret. Your receiver should accept both until all deliveries "
            "that were signed with the old one have arrived.",
            "Rotate secret",
            rotate,
        )

    def _confirm_delete(self, webhook: Webhook) -> None:
        async def delete() -> None:
            await current().client.webhooks.delete(webhook.id)
            await self.refresh()

        c.confirm(f"Delete {webhook.name}?", "The webhook and its deliveries are deleted.", "Delete webhook", delete)


def _events(webhook: Webhook) -> None:
    with c.box("span", "row-line"):
        for event in webhook.events:
            c.badge(event)


def _form(title: str, webhook: Webhook | None, save: Callable[[_Fields], Awaitable[None]]) -> None:
    known = list(dict.fromkeys([*EXAMPLES, *(webhook.events if webhook else ())]))
    chosen = set(webhook.events if webhook else EXAMPLES)
    with c.dialog(title) as opened:
        with c.box("div", "form"):
            name = c.field("Name", (webhook.name or "") if webhook else "", placeholder="Costs")
            url = c.field("URL", (webhook.url or "") if webhook else "", placeholder="http://127.0.0.1:8000/")
            with c.box("fieldset", "checks"):
                c.text("legend", "Events", "label")
                for event in known:
                    toggle = functools.partial(chosen.symmetric_difference_update, {event})
                    c.checkbox(event, toggle, is_checked=event in chosen)

        async def submit() -> None:
            await save({"name": name.value, "url": url.value, "events": [one for one in known if one in chosen]})

        c.dialog_actions(opened, "Save webhook", submit)


def _show_secret(secret: str, title: str) -> None:
    with c.dialog(title):
        c.text("p", "This is the only time that the secret is shown. Store it where your receiver can read it.")
        c.code(secret, label="Secret", classes="wrap")
        c.code(f"export ENPROMPTA_WEBHOOK_SECRET={secret}", label="Shell command", classes="wrap")


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


def open_trigger(control: EmulatorControl, account_id: str, on_sent: Callable[[], Awaitable[None]]) -> None:
    """Open the form to trigger an event for the account's webhooks."""
    with c.dialog("Trigger an event") as opened:
        with c.box("div", "form"):
            event = c.select("Event", tuple(EXAMPLES))
            data = c.field("Data, as JSON", json.dumps(EXAMPLES[event.value], indent=2), lines=9)

        def fill() -> None:
            data.value = json.dumps(EXAMPLES[event.value], indent=2)

        async def send() -> None:
            try:
                values = json.loads(data.value)
            except ValueError as error:
                raise ConfigurationError(f"The data is not valid JSON: {error}") from error
            count = await control.trigger(account_id, event.value, values)
            c.notify(f"{event.value} is sent to {count} webhook{'' if count == 1 else 's'}")
            await on_sent()

        event.changed(fill)
        c.dialog_actions(opened, "Trigger", send)
