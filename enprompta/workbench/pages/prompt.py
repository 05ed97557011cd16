"""One prompt: edit, preview, run on several models, versions, and history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing
from enprompta.workbench.prompts.editor import Editor
from enprompta.workbench.prompts.history import execution_table
from enprompta.workbench.prompts.runner import Runner
from enprompta.workbench.prompts.versions import Versions
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from enprompta.models import Execution, Prompt


@frame.page("/prompts/{prompt_id}", "Prompt")
async def _show(prompt_id: str) -> None:
    prompt = await current().client.prompts.get(prompt_id)
    ui.page_title(f"{prompt.title} · Enprompta Workbench")
    subtitle = " · ".join(part for part in (prompt.id, prompt.slug) if part)
    with c.header(prompt.title, subtitle, back=("Prompts", "/prompts")):
        c.button("Delete", lambda: _confirm_delete(prompt), kind="danger")

    async def saved(_: Prompt) -> None:
        await versions.refresh()

    with c.box("div", "columns"):
        with c.box("div", "stack"):
            editor = Editor(prompt, saved)
        with c.box("div", "stack"):
            with c.section("Preview"), c.box("div", "stack"):
                editor.add_preview()
            runner = Runner(editor)
    runner.add_results()
    versions = Versions(prompt)
    with c.section("History"):
        history: Listing[Execution] = Listing(
            lambda: current().client.executions.list(prompt_id=prompt_id, limit=10), _history, name="executions"
        )
    await versions.refresh()
    await history.start()


def _history(executions: list[Execution]) -> None:
    if executions:
        execution_table(executions)
    else:
        c.empty("Not executed yet", "Fill in the variables above and run the prompt.")


def _confirm_delete(prompt: Prompt) -> None:
    async def delete() -> None:
        await current().client.prompts.delete(prompt.id)
        ui.navigate.to("/prompts")

    c.confirm(
        f"Delete {prompt.title}?",
        "The prompt, its versions and its labels are deleted. Executions stay.",
        "Delete prompt",
        delete,
    )
