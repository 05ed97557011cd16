"""Workflows: the graph, runs that are watched, failures, cancel, and the form."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator.execution.providers import Echo
from enprompta.models import WorkflowStep
from enprompta.workbench.pages.workflows import layers
from tests.workbench.visits import section, visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from enprompta import Enprompta
    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Model answers that wait until the returned function is called."""
    open_ = threading.Event()
    complete = Echo.complete

    async def held(self: Echo, completion: Any) -> Any:
        await asyncio.to_thread(open_.wait, 10)
        return await complete(self, completion)

    monkeypatch.setattr(Echo, "complete", held)
    return open_.set


def diamond(client: Enprompta) -> str:
    """Create a workflow in which one step feeds two, and both feed the last; return its id."""
    prompt = client.prompts.create(title="Say", content="{{what}}")
    step = {"prompt_id": prompt.id}
    workflow = client.workflows.create(
        name="Diamond",
        steps=[
            {**step, "id": "start", "variables": {"what": "{{input.topic}}"}},
            {**step, "id": "left", "variables": {"what": "L {{steps.start.output}}"}},
            {**step, "id": "right", "variables": {"what": "R {{steps.start.output}}"}},
            {**step, "id": "end", "variables": {"what": "{{steps.left.output}}, {{steps.right.output}}"}},
        ],
    )
    return workflow.id


def test_a_run_is_watched_step_by_step(
    page: Page, workbench: Workbench, client: Enprompta, release: Callable[[], None]
) -> None:
    """Each step of the graph changes while the run continues; outputs, figures and earlier runs are shown."""
    visit(page, workbench.origin, f"/workflows/{diamond(client)}")
    assert page.locator(".graph .edge").count() == 4
    expect(page.get_by_role("heading", name="Not run yet")).to_be_visible()
    page.get_by_label("topic").fill("<b>tea</b>")
    page.get_by_role("button", name="Run workflow").click()
    expect(page.locator(".graph .node-running")).to_have_count(1)
    expect(page.locator(".graph .node-pending")).to_have_count(3)
    release()
    expect(page.locator(".graph .node-completed")).to_have_count(4)
    expect(page.get_by_role("region", name="Output of end")).to_have_text("L <b>tea</b>, R <b>tea</b>")
    runs = section(page, "Runs")
    expect(runs.locator("tbody tr")).to_have_count(1)
    expect(runs.locator("tbody tr")).to_contain_text("4 of 4")
    page.reload()
    page.get_by_text("Run the workflow, or open one of the runs below.").wait_for()
    runs.locator("tbody button").first.click()
    expect(page.get_by_role("region", name="Output of end")).to_be_visible()
    page.locator("summary", has_text="Input").click()
    expect(page.get_by_role("region", name="Input")).to_contain_text('"topic": "<b>tea</b>"')


def test_a_run_is_cancelled(page: Page, workbench: Workbench, client: Enprompta, release: Callable[[], None]) -> None:
    """Cancelling skips what has not started, and the graph shows it."""
    workflow_id = diamond(client)
    visit(page, workbench.origin, f"/workflows/{workflow_id}")
    page.get_by_label("topic").fill("tea")
    run = page.get_by_role("button", name="Run workflow")
    run.dblclick()  # starts one run, not two
    expect(section(page, "Runs").locator("tbody tr")).to_have_count(1)
    expect(run).not_to_have_attribute("aria-busy", "true")
    run.dispatch_event("click", {"detail": 2})  # the second click of a double click, after the first was handled
    run.click()
    expect(section(page, "Runs").locator("tbody tr")).to_have_count(2)
    page.wait_for_timeout(400)
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator(".graph .node-cancelled")).to_have_count(3)
    release()
    expect(section(page, "Runs").locator("tbody tr").first).to_contain_text("cancelled")
    assert len(client.workflows.list_executions(workflow_id).data) == 2


def test_a_failed_run_says_why(
    page: Page, workbench: Workbench, client: Enprompta, monkeypatch: pytest.MonkeyPatch, release: Callable[[], None]
) -> None:
    """A refused run shows the SDK's text; the end of a run that can no longer be read is an error, not silence."""
    workflow_id = diamond(client)
    visit(page, workbench.origin, f"/workflows/{workflow_id}")
    page.get_by_role("button", name="Run workflow").click()
    expect(page.get_by_role("alert")).to_contain_text("topic")
    page.get_by_role("button", name="Close").click()
    page.get_by_label("topic").fill("tea")
    page.get_by_role("button", name="Run workflow").click()
    expect(page.locator(".graph .node-running")).to_have_count(1)
    workbench.emulator.faults.add("/workflows/*/executions/*", status=403, times=1)
    expect(section(page, "Result").get_by_role("alert")).to_contain_text("403")
    release()

    prompt = next(iter(client.prompts.list(search="Say")))
    client.prompts.update(prompt.id, content="{{what}} {{more}}")
    page.get_by_role("button", name="Run workflow").click()
    expect(page.locator(".graph .node-failed")).to_have_count(1)
    expect(section(page, "Result").locator(".note.bad").first).to_contain_text("more")


def test_a_workflow_is_created_changed_and_deleted(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The form starts from two prompts, reports bad JSON and the API's findings, and saves."""
    visit(page, workbench.origin, "/workflows")
    page.get_by_role("button", name="New workflow").click()
    dialog = page.get_by_role("dialog", name="New workflow")
    dialog.get_by_label("Name").fill("Mine")
    steps = dialog.get_by_label("Steps, as JSON")
    example = steps.input_value()
    for text, problem in (("[", "not valid JSON"), ("{}", "must be a JSON list"), ('[{"id": "a"}]', "steps[0]")):
        steps.fill(text)
        dialog.get_by_role("button", name="Save workflow").click()
        expect(page.get_by_role("alert").filter(has_text=problem)).to_be_visible()
        page.get_by_role("alert").filter(has_text=problem).get_by_role("button", name="Close").click()
    steps.fill(example)
    dialog.get_by_role("button", name="Save workflow").click()
    page.wait_for_url(re.compile("/workflows/wfl_"))
    expect(page.locator(".graph .node")).to_have_count(2)

    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit workflow")
    changed = json.loads(dialog.get_by_label("Steps, as JSON").input_value())[:1]
    changed[0]["variables"] = dict.fromkeys(changed[0]["variables"], "1")
    dialog.get_by_label("Steps, as JSON").fill(json.dumps(changed))
    dialog.get_by_label("Description").fill("One step")
    dialog.get_by_role("button", name="Save workflow").click()
    expect(page.locator(".graph .node")).to_have_count(1)
    expect(page.get_by_text("takes no input")).to_be_visible()
    expect(page.get_by_text("One step")).to_be_visible()

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete workflow").click()
    page.wait_for_url(f"{workbench.origin}/workflows")
    page.get_by_label("Search").fill("Mine")
    expect(page.get_by_role("heading", name="No workflow matches")).to_be_visible()


def test_the_graph_of_any_answer_is_drawn() -> None:
    """Unknown steps are left out of the order, and the steps of a cycle share the last layer."""
    steps = [
        WorkflowStep(id="a", prompt_id="p", depends_on=["b", "gone"]),
        WorkflowStep(id="b", prompt_id="p", depends_on=["a"]),
        WorkflowStep(id="c", prompt_id="p", variables={"x": "{{steps.gone.output}} {{input.y}}"}),
    ]
    assert [[step.id for step in row] for row in layers(steps)] == [["c"], ["a", "b"]]
