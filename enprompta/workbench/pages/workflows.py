"""Workflows: the list, and one workflow with its graph and runs."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from nicegui import ui

from enprompta import UNSET, templating
from enprompta.errors import ConfigurationError, EnpromptaError
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.controls import box, text
from enprompta.workbench.live import Listing
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from enprompta.models import (
        Prompt,
        Workflow,
        WorkflowExecution,
        WorkflowStep,
        WorkflowStepParam,
        WorkflowStepResult,
    )

_PROMPTS = 100  # titles to show in a graph
_NODE_WIDTH, _NODE_HEIGHT = 168, 50
_GAP_X, _GAP_Y = 20, 38
_MAX_LABEL = 20
_MIN_SCALE = 0.75  # a wider graph scrolls
_STATES = {"pending", "running", "completed", "failed", "cancelled"}
_POLL_EMULATOR = 0.25
_POLL_LIVE = 2.0
"""Seconds between looks at a running workflow; on the live service each costs a request of the rate limit."""


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
        lambda: current().client.workflows.list(limit=50, search=search.given), show, name="workflows"
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


@dataclass(frozen=True, slots=True)
class _Node:
    """A step and its place, in pixels."""

    step: WorkflowStep
    x: float
    y: float


def dependencies(step: WorkflowStep) -> list[str]:
    """List the ids of the steps that must finish before a step starts."""
    names = [name for value in step.variables.values() for name in templating.variables(str(value))]
    outputs = [
        name.removeprefix("steps.").removesuffix(".output")
        for name in names
        if name.startswith("steps.") and name.endswith(".output")
    ]
    return list(dict.fromkeys([*step.depends_on, *outputs]))


def inputs(steps: Sequence[WorkflowStep]) -> list[str]:
    """List the names of the inputs that the steps refer to."""
    names = [name for step in steps for value in step.variables.values() for name in templating.variables(str(value))]
    return list(dict.fromkeys(name.removeprefix("input.") for name in names if name.startswith("input.")))


def layers(steps: Sequence[WorkflowStep]) -> list[list[WorkflowStep]]:
    """Arrange steps so that each comes after those it depends on; steps of a cycle share the last layer."""
    known = {step.id for step in steps}
    waiting = {step.id: {one for one in dependencies(step) if one in known} for step in steps}
    found: list[list[WorkflowStep]] = []
    while waiting:
        free = [name for name, needed in waiting.items() if not needed & waiting.keys()] or list(waiting)
        found.append([step for step in steps if step.id in free])
        for name in free:
            del waiting[name]
    return found


def draw(steps: Sequence[WorkflowStep], states: Mapping[str, str | None], titles: Mapping[str, str]) -> None:
    """Add the graph, from top to bottom; steps without a state are drawn as pending."""
    rows = layers(steps)
    width = max((len(row) for row in rows), default=1) * (_NODE_WIDTH + _GAP_X) + _GAP_X
    height = len(rows) * (_NODE_HEIGHT + _GAP_Y) - _GAP_Y + 8
    nodes = {
        step.id: _Node(
            step,
            width / 2 + (place - (len(row) - 1) / 2) * (_NODE_WIDTH + _GAP_X) - _NODE_WIDTH / 2,
            depth * (_NODE_HEIGHT + _GAP_Y) + 4,
        )
        for depth, row in enumerate(rows)
        for place, step in enumerate(row)
    }
    described = "; ".join(f"{step.id}: {_state(states, step.id)}, {_after(step)}" for step in steps)
    attributes = {
        "width": width,
        "height": height,
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-label": f"Steps of the workflow. {described}",
    }
    with (
        box("div", "graph", {"tabindex": "0", "role": "region", "aria-label": "Graph"}),
        box("svg", "", attributes).style(f"min-width: {width * _MIN_SCALE:.0f}px"),
    ):
        for node in nodes.values():
            for needed in dependencies(node.step):
                if needed in nodes:
                    _edge(nodes[needed], node)
        for node in nodes.values():
            _draw_node(node, _state(states, node.step.id), titles.get(node.step.prompt_id, node.step.prompt_id))


def _state(states: Mapping[str, str | None], step_id: str) -> str:
    state = states.get(step_id) or "pending"
    return state if state in _STATES else "pending"


def _after(step: WorkflowStep) -> str:
    needed = dependencies(step)
    return f"after {', '.join(needed)}" if needed else "first"


def _edge(start: _Node, end: _Node) -> None:
    x1, y1 = start.x + _NODE_WIDTH / 2, start.y + _NODE_HEIGHT
    x2, y2 = end.x + _NODE_WIDTH / 2, end.y - 5
    middle = (y1 + y2) / 2
    box("path", "edge", {"d": f"M {x1} {y1} C {x1} {middle}, {x2} {middle}, {x2} {y2}"})
    box("path", "arrow", {"d": f"M {x2 - 4} {y2 - 3} L {x2 + 4} {y2 - 3} L {x2} {y2 + 4} Z"})


def _draw_node(node: _Node, state: str, title: str) -> None:
    place = {"x": node.x, "y": node.y, "width": _NODE_WIDTH, "height": _NODE_HEIGHT, "rx": 8}
    with box("g", f"node node-{state}"):
        text("title", f"{node.step.id}: {state}")
        box("rect", "", place)
        box("circle", "dot", {"cx": node.x + 17, "cy": node.y + 19, "r": 5})
        text("text", _short(node.step.id), "", {"x": node.x + 30, "y": node.y + 23.5})
        text("text", _short(title), "node-detail", {"x": node.x + 30, "y": node.y + 40})


def _short(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}…"


class Runs:
    """The graph, the results of its steps, a form to run it, and the list of runs."""

    def __init__(self, workflow: Workflow, titles: dict[str, str]) -> None:
        self._workflow = workflow
        self._titles = titles
        self._run: WorkflowExecution | None = None
        self._cancellable: str | None = None
        self._watched = ""
        with c.box("div", "columns even"):
            with c.section("Steps") as actions:
                with actions:
                    self._status = c.box("span")
                    self._cancel_place = c.box("span")
                self._graph = c.box("div", "region")
            with c.box("div", "stack"):
                self._add_form()
                with c.section("Result"):
                    self._result = c.box("div", "stack", {"aria-live": "polite"})
        with c.section("Runs"):
            self._runs: Listing[WorkflowExecution] = Listing(
                lambda: current().client.workflows.list_executions(workflow.id, limit=20), self._table, name="runs"
            )
        self._show(None)

    async def start(self) -> None:
        """Load the runs, and keep them up to date."""
        await self._runs.start()

    def _add_form(self) -> None:
        with c.section("Run") as actions:
            with actions:
                c.button("Run workflow", self._execute, kind="primary", icon_name="play_arrow")
            names = inputs(self._workflow.steps)
            if not names:
                c.text("p", "The steps use no {{input.NAME}}: the workflow takes no input.", "muted")
            with c.box("div", "form-row values"):
                self._inputs = {name: c.field(name, lines=1) for name in names}

    async def _execute(self) -> None:
        values = {name: control.value for name, control in self._inputs.items() if control.value}
        started = await current().client.workflows.execute(self._workflow.id, input=values)
        self._watch(started)
        await self._runs.refresh()

    def _watch(self, run: WorkflowExecution) -> None:
        """Show a run, and follow it until it has ended or another is chosen."""
        self._watched = run.id
        self._show(run)
        if not run.is_finished:
            self._task = asyncio.create_task(self._follow(run.id))

    async def _follow(self, run_id: str) -> None:
        session = current()
        while True:
            await asyncio.sleep(_POLL_LIVE if session.is_live else _POLL_EMULATOR)
            if self._watched != run_id or self._graph.is_deleted:  # another run is watched, or the user has left
                return
            try:
                run = await session.client.workflows.get_execution(self._workflow.id, run_id)
            except EnpromptaError as error:
                with self._result:
                    c.problem(error)
                return
            if run != self._run:
                self._show(run)
            if run.is_finished:
                await self._runs.refresh()
                return

    async def _cancel(self, run_id: str) -> None:
        self._watch(await current().client.workflows.cancel_execution(self._workflow.id, run_id))

    def _show(self, run: WorkflowExecution | None) -> None:
        self._run = run
        states = {step.step_id: step.status for step in run.steps} if run else {}
        for place in (self._graph, self._result, self._status):
            place.clear()
        with self._graph:
            draw(self._workflow.steps, states, self._titles)
        with self._status:
            if run is not None:
                c.status(run.status)()
        cancellable = None if run is None or run.is_finished else run.id
        if cancellable != self._cancellable:  # not on each look at the run: a click on it would be lost
            self._cancellable = cancellable
            self._cancel_place.clear()
            if cancellable is not None:
                with self._cancel_place:
                    c.button("Cancel run", functools.partial(self._cancel, cancellable), kind="danger")
        with self._result:
            if run is None:
                c.text("p", "Run the workflow, or open one of the runs below.", "muted")
            else:
                _outcome(run)

    def _table(self, runs: list[WorkflowExecution]) -> None:
        if not runs:
            c.empty("Not run yet", "Fill in the inputs and run the workflow.")
            return
        rows = [
            (
                lambda one=one: c.button(c.when(one.created_at), lambda: self._watch(one), kind="quiet"),
                c.status(one.status),
                f"{sum(step.status == 'completed' for step in one.steps)} of {len(self._workflow.steps)}",
                c.number(one.tokens),
                c.money(one.cost),
                c.seconds_between(one.started_at, one.completed_at),
            )
            for one in runs
        ]
        c.table(["When", "Status", "Steps", ">Tokens", ">Cost", ">Duration"], rows, label="Runs")


def _outcome(run: WorkflowExecution) -> None:
    if run.error:
        c.text("p", run.error, "note bad")
    if not run.is_finished:
        c.loading("run")
    for step in run.steps:
        if step.status not in {None, "pending"}:
            _step(step)
    c.facts(
        [
            ("Tokens", c.number(run.tokens)),
            ("Cost", c.money(run.cost)),
            ("Duration", c.seconds_between(run.started_at, run.completed_at)),
        ]
    )
    if run.input:
        with c.box("details", "details"):
            c.text("summary", "Input")
            with c.box("div", "stack"):
                c.code(c.pretty(run.input), label="Input")


def _step(step: WorkflowStepResult) -> None:
    with c.box("div", "stack tight"):
        with c.box("div", "row-line"):
            c.text("h3", step.step_id)
            c.status(step.status)()
            if step.tokens is not None:
                c.text("span", f"{c.number(step.tokens)} tokens, {c.money(step.cost)}", "muted small")
        if step.error:
            c.text("p", step.error, "note bad")
        if step.output:
            attributes = {"tabindex": "0", "role": "region", "aria-label": f"Output of {step.step_id}"}
            c.text("div", step.output, "preview output short", attributes)
