"""Workflows: the list, and one workflow with its graph and runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from nicegui import ui

from enprompta import UNSET
from enprompta.errors import ConfigurationError
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing
from enprompta.workbench.session import current
from enprompta.workbench.workflows.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from enprompta.models import Prompt, Workflow, WorkflowStepParam

_PROMPTS = 100  # titles to show in a graph


@frame.page("/workflows", "Workflows")
async def _show_list() -> None:
    with c.header("Workflows", "Prompts chained into steps: the output of one is a variable of the next."):
        c.button("New workflow", _create, kind="primary", icon_name="add")
    with c.box("div", "toolbar", {"role": "search"}):
        search = c.field("Search", kind="search", placeholder="Name", classes="search", is_search=True)

    def show(workflows: list[Workflow]) -> None:
        if workflows:
            rows = [
                (one.name, one.description, str(len(one.steps)), c.when(one.updated_at or one.created_at))
                for one in workflows
            ]
            hrefs = [f"/workflows/{c.quote(one.id)}" for one in workflows]
            c.table(["Name", "Description", ">Steps", ">Changed"], rows, label="Workflows", hrefs=hrefs)
        elif search.value:
            c.empty("No workflow matches", "Change the search.")
        else:
            with c.empty("No workflows yet", "Create prompts first, then chain them into a workflow."):
                c.button("New workflow", _create, kind="primary")

    listing: Listing[Workflow] = Listing(
        lambda: current().client.workflows.list(limit=50, search=search.given),
        show,
        name="workflows",
    )
    listing.restart_on(search)
    await listing.start()


@frame.page("/workflows/{workflow_id}", "Workflow")
async def _show_one(workflow_id: str) -> None:
    client = current().client
    workflow = await client.workflows.get(workflow_id)
    prompts = (await client.prompts.list(limit=_PROMPTS)).data
    ui.page_title(f"{workflow.name} · Enprompta Workbench")
    with c.header(workflow.name, workflow.description or workflow.id, back=("Workflows", "/workflows")):
        c.button("Edit", lambda: _edit(workflow))
        c.button("Delete", lambda: _confirm_delete(workflow), kind="danger")
    await Runs(workflow, {one.id: one.title for one in prompts}).start()


async def _create() -> None:
    prompts = (await current().client.prompts.list(limit=2)).data

    async def create(name: str, description: str, steps: list[WorkflowStepParam]) -> None:
        client = current().client
        workflow = await client.workflows.create(name=name, steps=steps, description=description or UNSET)
        ui.navigate.to(f"/workflows/{c.quote(workflow.id)}")

    _form("New workflow", "", "", _example(prompts), create)


def _edit(workflow: Workflow) -> None:
    async def save(name: str, description: str, steps: list[WorkflowStepParam]) -> None:
        await current().client.workflows.update(workflow.id, name=name, description=description or None, steps=steps)
        ui.navigate.reload()

    steps = [step.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True) for step in workflow.steps]
    _form("Edit workflow", workflow.name, workflow.description or "", steps, save)


def _form(
    heading: str,
    name: str,
    description: str,
    steps: Sequence[Mapping[str, object]],
    save: Callable[[str, str, list[WorkflowStepParam]], Awaitable[None]],
) -> None:
    hint = "A variable can contain {{input.NAME}} and {{steps.STEPID.output}}; the latter also orders the steps."
    with c.dialog(heading, wide=True) as opened:
        with c.box("div", "form"):
            name_field = c.field("Name", name, placeholder="Launch announcement")
            description_field = c.field("Description", description, placeholder="Optional")
            steps_field = c.field("Steps, as JSON", json.dumps(steps, indent=2), lines=14, hint=hint)

        async def submit() -> None:
            await save(name_field.value, description_field.value, _read_steps(steps_field.value))

        c.dialog_actions(opened, "Save workflow", submit)


def _read_steps(text: str) -> list[WorkflowStepParam]:
    """Read the steps; what is in them is checked by the API, whose error names the step and the field."""
    try:
        steps: object = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"The steps are not valid JSON: {error}") from error
    if not isinstance(steps, list):
        raise ConfigurationError("The steps must be a JSON list of objects")
    return cast("list[WorkflowStepParam]", steps)


def _example(prompts: list[Prompt]) -> Sequence[Mapping[str, object]]:
    """Chain the newest prompts, to start from."""
    ids = [one.id for one in prompts] or ["PROMPT_ID"]
    names = [[variable.name for variable in one.variables] for one in prompts] or [["topic"]]
    first = {"id": "draft", "promptId": ids[0], "variables": {name: f"{{{{input.{name}}}}}" for name in names[0]}}
    second_names = names[-1] or ["text"]
    second = {
        "id": "review",
        "promptId": ids[-1],
        "variables": {
            name: "{{steps.draft.output}}" if place == 0 else f"{{{{input.{name}}}}}"
            for place, name in enumerate(second_names)
        },
    }
    return [first, second]


def _confirm_delete(workflow: Workflow) -> None:
    async def delete() -> None:
        await current().client.workflows.delete(workflow.id)
        ui.navigate.to("/workflows")

    c.confirm(f"Delete {workflow.name}?", "The workflow and its runs are deleted.", "Delete workflow", delete)
