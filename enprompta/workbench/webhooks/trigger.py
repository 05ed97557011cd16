"""Publish an event on the emulator, without the change that would cause it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError
from enprompta.testing import EXAMPLES
from enprompta.workbench import components as c

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.emulator import EmulatorControl


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
