"""The executions of a prompt, or of all prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.workbench import components as c
from enprompta.workbench.prompts.runner import show_execution

if TYPE_CHECKING:
    from enprompta.models import Execution


def execution_table(executions: list[Execution], *, prompts: dict[str, str] | None = None) -> None:
    """Add a table of executions; each opens with its variables and output. Titles by id add a column for the prompt."""
    rows = [
        (
            lambda one=one: c.button(c.when(one.created_at), lambda: open_execution(one), kind="quiet"),
            *([(prompts.get(one.prompt_id or "") or one.prompt_id)] if prompts is not None else []),
            c.status(one.status),
            " / ".join(part for part in (one.provider, one.model) if part),
            c.number(one.tokens),
            c.money(one.cost),
            c.milliseconds(one.latency),
        )
        for one in executions
    ]
    columns = ["When", *(["Prompt"] if prompts is not None else []), "Status", "Model", ">Tokens", ">Cost", ">Latency"]
    c.table(columns, rows, label="Executions")


def open_execution(execution: Execution) -> None:
    """Open a dialog with everything about an execution."""
    with c.dialog("Execution", wide=True):
        show_execution(execution)
        c.facts([("ID", execution.id), ("Provider", execution.provider), ("Model", execution.model)])
        if execution.variables:
            c.text("h3", "Variables")
            c.code(c.pretty(execution.variables), label="Variables")
