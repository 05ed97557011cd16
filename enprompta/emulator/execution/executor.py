"""Runs a prompt: fills it in, takes a credit, asks the provider, keeps what came of it.

Its own part because a workflow's step is an execution like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.emulator.errors import invalid
from enprompta.emulator.execution.providers import CompletionRequest
from enprompta.emulator.stores import executions, prompts
from enprompta.emulator.webhooks import event_publisher

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.api.request_context import JSONObject
    from enprompta.emulator.services import Services


async def execute(
    services: Services,
    account: Account,
    prompt: sqlite3.Row,
    *,
    variables: Mapping[str, object],
    provider: str | None,
    model: str | None,
    options: Mapping[str, object],
    now: float,
    also: Callable[[sqlite3.Row], object] = lambda _: None,
) -> sqlite3.Row:
    """Run a prompt and give its execution, completed or failed.

    An execution that fails is recorded and costs no credit: the credit that was taken is given back. Either way it has
    ended, and `prompt.executed` tells so.

    Args:
        services: The emulator's parts.
        account: Who pays.
        prompt: The prompt.
        variables: A value for each of its variables.
        provider: Who shall run it; None for the emulator's choice.
        model: On what; None for the provider's choice.
        options: `temperature` and the others, by their wire names.
        now: When.
        also: What else to note of the execution, in the transaction that records it.

    Raises:
        ApiError: 400 for a variable that is missing, unknown or unfit, or for an unknown provider or model; 402 when no
            credit is left, with nothing run.
    """
    rendered = _render(prompt, variables)
    services.providers.check(provider, model)
    services.accounts.charge(account, now)
    completed = False
    try:
        outcome = await services.providers.complete(CompletionRequest(rendered, provider, model, options))
        with services.database.transaction():
            row = executions.record(
                services.database, account, outcome, prompt_id=prompt["id"], variables=variables, now=now
            )
            also(row)
            event_publisher.fire(services, account, "prompt.executed", _event_of(row))
        completed = outcome.error is None
    finally:
        if not completed:
            services.accounts.refund(account, now)
    return row


def _render(prompt: sqlite3.Row, variables: Mapping[str, object]) -> str:
    declared = prompts.variables_of(prompt)
    problems = templating.validate(declared, variables, prompt["content"])
    if problems:
        raise invalid([{"field": f"variables.{it.field}", "message": it.message} for it in problems])
    return templating.render(prompt["content"], variables, declared)


def _event_of(row: sqlite3.Row) -> JSONObject:
    return {
        "execution_id": row["id"],
        "prompt_id": row["prompt_id"],
        "status": row["status"],
        "tokens_used": row["tokens"],
        "cost": row["cost"],
    }
