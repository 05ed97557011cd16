"""Publish an event on the emulator, without the change that would cause it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError
from enprompta.workbench import components as c
from enprompta.workbench.webhooks.subscriptions import EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from enprompta.emulator import EmulatorControl

_MEMBER = {"team_id": "tem_example", "user_id": "usr_example", "email": "ada@example.com", "role": "MEMBER"}
_RUN = {"execution_id": "wfe_example", "workflow_id": "wfl_example", "tokens_used": 96, "cost": 0.0048}
EXAMPLES: dict[str, Mapping[str, object]] = {
    "prompt.executed": {
        "execution_id": "exe_example",
        "prompt_id": "pmt_example",
        "status": "completed",
        "tokens_used": 48,
        "cost": 0.0024,
    },
    "workflow.completed": {**_RUN, "status": "completed"},
    "workflow.failed": {**_RUN, "status": "failed", "error": "The step draft failed"},
    "team.member_added": _MEMBER,
    "team.member_removed": _MEMBER,
}
"""Data of each event, as the API reference documents it."""


def open_trigger(control: EmulatorControl, account_id: str, on_sent: Callable[[], Awaitable[None]]) -> None:
    """Open the form to trigger an event.

    Args:
        control: Control interface of the emulator.
        account_id: Account whose webhooks receive the event.
        on_sent: Called after the event was published.
    """
    with c.dialog("Trigger an event") as opened:
        with c.box("div", "form"):
            event = c.select("Event", EVENTS)
            data = c.field("Data, as JSON", json.dumps(EXAMPLES[event.value], indent=2), lines=9)

        def fill() -> None:
            data.value = json.dumps(EXAMPLES[event.value], indent=2)

        async def send() -> None:
            try:
                values = json.loads(data.value)
            except ValueError as error:
                raise ConfigurationError(f"The data is not valid JSON: {error}") from error
            count = await control.trigger(account_id, event.value, values)
            opened.close()
            c.notify(f"{event.value} is sent to {count} webhook{'' if count == 1 else 's'}")
            await on_sent()

        event.changed(fill)
        with c.box("div", "dialog-actions"):
            c.button("Cancel", opened.close)
            c.button("Trigger", send, kind="primary")
    opened.open()
