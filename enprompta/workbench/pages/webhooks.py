"""Webhooks: subscriptions and a live inbox of deliveries."""

from __future__ import annotations

import functools

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import keep_fresh
from enprompta.workbench.session import current
from enprompta.workbench.webhooks.inbox import Inbox
from enprompta.workbench.webhooks.subscriptions import Subscriptions
from enprompta.workbench.webhooks.trigger import open_trigger

_POLL_EMULATOR = 1.0


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
