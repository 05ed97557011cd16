"""Start a run of a workflow, watch its steps, cancel it, and look at earlier runs."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from enprompta.errors import EnpromptaError
from enprompta.workbench import components as c
from enprompta.workbench.live import Listing
from enprompta.workbench.session import current
from enprompta.workbench.workflows import graph

if TYPE_CHECKING:
    from enprompta.models import Workflow, WorkflowExecution, WorkflowStepResult

_POLL_EMULATOR = 0.25
_POLL_LIVE = 2.0
"""Seconds between looks at a running workflow; on the live service each costs a request of the rate limit."""


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
            names = graph.inputs(self._workflow.steps)
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
            graph.draw(self._workflow.steps, states, self._titles)
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
