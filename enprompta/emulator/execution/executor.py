"""Executes a prompt: render it, charge a credit, call the provider, record the result.

Both the execute endpoint and the steps of workflows use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.emulator.errors import invalid
from enprompta.emulator.execution.providers import CompletionRequest
from enprompta.emulator.stores import executions, prompts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from enprompta.emulator.access.accounts import Account, AccountStore
    from enprompta.emulator.database import Database
    from enprompta.emulator.execution.providers import Providers
    from enprompta.emulator.webhooks.delivery_queue import EventPublisher
    from enprompta.emulator.wire import JSONObject


@dataclass(frozen=True, slots=True)
class Executor:
    """Executes prompts: charges the credit, runs the rendered prompt, stores the execution and publishes the event."""

    database: Database
    accounts: AccountStore
    providers: Providers
    events: EventPublisher

    async def execute(
        self,
        account: Account,
        prompt: sqlite3.Row,
        *,
        variables: Mapping[str, object],
        provider: str | None,
        model: str | None,
        options: Mapping[str, object],
        now: float,
        on_recorded: Callable[[sqlite3.Row], object] = lambda _: None,
    ) -> sqlite3.Row:
        """Execute a prompt and return the execution, completed or failed.

        A failed execution is recorded and its credit is refunded. Both outcomes publish `prompt.executed`.

        `on_recorded` is called with the execution, in the transaction that records it.

        Raises:
            ApiError: 400 for a missing, unknown or invalid variable, or an unknown provider or model; 402 when no
                credit is left. Nothing was run.
        """
        rendered = _render(prompt, variables)
        self.providers.check(provider, model)
        self.accounts.charge(account, now)
        completed = False
        try:
            result = await self.providers.complete(CompletionRequest(rendered, provider, model, options))
            with self.database.transaction():
                row = executions.record(
                    self.database, account, result, prompt_id=prompt["id"], variables=variables, now=now
                )
                on_recorded(row)
                data: JSONObject = {"execution_id": row["id"], "prompt_id": row["prompt_id"], "status": row["status"]}
                data |= {"tokens_used": row["tokens"], "cost": row["cost"]}
                self.events.publish(account, "prompt.executed", data)
            completed = result.error is None
        finally:
            if not completed:
                self.accounts.refund(account, now)
        return row


def _render(prompt: sqlite3.Row, variables: Mapping[str, object]) -> str:
    declared = prompts.variables_of(prompt)
    problems = templating.validate(declared, variables, prompt["content"])
    if problems:
        raise invalid([{"field": f"variables.{it.field}", "message": it.message} for it in problems])
    return templating.render(prompt["content"], variables, declared)
