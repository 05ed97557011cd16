"""Subscriptions: create, edit, pause, test and delete webhooks, and rotate their secrets."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypedDict

from enprompta.testing import EXAMPLES
from enprompta.workbench import components as c
from enprompta.workbench.live import Region
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.models import Webhook


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
