"""Routes of workflows and their executions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation at run time)

from enprompta.emulator.api.request_context import Context, PathId, RequestContext, no_content, ok, page
from enprompta.emulator.api.request_models import Fields
from enprompta.emulator.api.routes.prompts import read_options
from enprompta.emulator.errors import CONFLICT, ApiError
from enprompta.emulator.execution import workflow_graph
from enprompta.emulator.stores import prompts, runs, teams, workflows
from enprompta.emulator.stores.paging import PageRequest

if TYPE_CHECKING:
    from enprompta.emulator.wire import JSONObject

router: APIRouter = APIRouter(prefix="/api/v1")

_MAX_TITLE = 200
_MAX_SEARCH = 200
_MAX_DESCRIPTION = 2_000
_MAX_NAME = 100
_MAX_TEXT = 100_000
_MAX_STEPS = 200


@router.get("/workflows")
async def list_workflows(context: Context) -> Response:
    """List workflows, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    listing = workflows.listing(
        context.account,
        search=query.text("search", max_length=_MAX_SEARCH, allow_empty=True),
        team_id=query.text("teamId", max_length=_MAX_NAME),
    )
    query.check()
    rows, pagination = listing.page(context.services.database, request)
    return page([workflows.wire(row) for row in rows], pagination)


@router.post("/workflows")
async def create_workflow(context: Context) -> Response:
    """Create a workflow."""
    values = _read_workflow(context, new=True)
    _may_write_in(context, values.get("teamId"))
    row = workflows.create(context.services.database, context.account, values, context.now)
    return ok(workflows.wire(row), status=201)


@router.get("/workflows/{workflow_id}")
async def get_workflow(context: Context, workflow_id: PathId) -> Response:
    """Fetch a workflow."""
    return ok(workflows.wire(workflows.get(context.services.database, context.account, workflow_id)))


@router.put("/workflows/{workflow_id}")
async def update_workflow(context: Context, workflow_id: PathId) -> Response:
    """Update the given fields; null clears an optional one."""
    database = context.services.database
    workflows.get_writable(database, context.account, workflow_id)  # a 404 takes precedence over invalid fields
    values = _read_workflow(context, new=False)
    _may_write_in(context, values.get("teamId"))
    return ok(workflows.wire(workflows.update(database, context.account, workflow_id, values, context.now)))


@router.delete("/workflows/{workflow_id}")
async def delete_workflow(context: Context, workflow_id: PathId) -> Response:
    """Delete a workflow with its executions; a running execution starts no further step."""
    services = context.services
    running = [row["id"] for row in runs.unfinished(services.database) if row["workflow_id"] == workflow_id]
    workflows.delete(services.database, context.account, workflow_id)
    for run_id in running:
        services.runner.halt(run_id)
    return no_content()


@router.post("/workflows/{workflow_id}/execute")
async def execute_workflow(context: Context, workflow_id: PathId) -> Response:
    """Start an execution of a workflow; the response has the pending execution."""
    services = context.services
    workflow = workflows.get_writable(services.database, context.account, workflow_id)
    fields = context.fields()
    given = fields.mapping("input")
    _check_input(fields, given, workflows.steps_of(workflow))
    fields.check()
    services.accounts.require_credit(context.account, context.now)
    row = runs.create(services.database, context.account, workflow, given, context.now)
    services.runner.run(row)
    return ok(runs.wire(services.database, row), status=202)


@router.get("/workflows/{workflow_id}/executions")
async def list_workflow_executions(context: Context, workflow_id: PathId) -> Response:
    """List a workflow's executions, newest first."""
    database = context.services.database
    workflows.get(database, context.account, workflow_id)
    query = context.query()
    request = PageRequest.read(query)
    listing = runs.listing(workflow_id, status=query.choice("status", runs.STATUSES))
    query.check()
    rows, pagination = listing.page(database, request)
    return page([runs.wire(database, row) for row in rows], pagination)


@router.get("/workflows/{workflow_id}/executions/{execution_id}")
async def get_workflow_execution(context: Context, workflow_id: PathId, execution_id: PathId) -> Response:
    """Fetch a workflow's execution."""
    database = context.services.database
    workflows.get(database, context.account, workflow_id)
    return ok(runs.wire(database, runs.get(database, workflow_id, execution_id)))


@router.post("/workflows/{workflow_id}/executions/{execution_id}/cancel")
async def cancel_workflow_execution(context: Context, workflow_id: PathId, execution_id: PathId) -> Response:
    """Cancel an execution: no further step starts; a running step finishes and its result is recorded."""
    services, database = context.services, context.services.database
    workflows.get_writable(database, context.account, workflow_id)
    row = runs.get(database, workflow_id, execution_id)
    if not runs.finish(database, execution_id, status=runs.CANCELLED, now=context.now):
        raise ApiError(CONFLICT, f"Workflow execution {execution_id!r} has already ended: it is {row['status']}")
    services.runner.halt(execution_id)
    return ok(runs.wire(database, runs.get(database, workflow_id, execution_id)))


def _read_workflow(context: RequestContext, *, new: bool) -> dict[str, Any]:
    """Read the fields of a workflow: all fields for a new workflow, else those given."""
    fields = context.fields(required=not new)
    values: dict[str, Any] = {
        "name": fields.text("name", required=new, nullable=False, max_length=_MAX_TITLE),
        "description": fields.text("description", max_length=_MAX_DESCRIPTION, allow_empty=True),
        "steps": _read_steps(context, fields, required=new),
        "teamId": fields.text("teamId", max_length=_MAX_NAME),
    }
    fields.check()
    return {name: value for name, value in values.items() if new or fields.given(name)}


def _read_steps(context: RequestContext, fields: Fields, *, required: bool) -> list[JSONObject] | None:
    items = fields.items("steps", max_items=_MAX_STEPS, required=required)
    if items is None:
        return None
    if not items:
        fields.fail("steps", "Must have at least one step")
    known = len(fields.details)
    steps: list[JSONObject] = []
    for index, item in enumerate(items):
        where = f"steps[{index}]"
        if isinstance(item, dict):
            steps.append(_read_step(Fields(cast("dict[str, object]", item), fields.details, f"{where}."), where))
        else:
            fields.fail(where, "Must be an object")
    if len(fields.details) == known:  # references can only be checked in valid steps
        fields.details += workflow_graph.problems(steps)
        for index, step in enumerate(steps):
            if not _has_prompt(context, str(step["promptId"])):
                fields.fail(f"steps[{index}].promptId", f"There is no prompt {step['promptId']!r}")
    return steps


def _read_step(fields: Fields, where: str) -> JSONObject:
    return {
        "id": fields.text("id", required=True, max_length=_MAX_NAME),
        "promptId": fields.text("promptId", required=True, max_length=_MAX_NAME),
        "provider": fields.text("provider", max_length=_MAX_NAME),
        "model": fields.text("model", max_length=_MAX_NAME),
        "variables": _read_texts(fields, "variables"),
        "options": read_options(fields, f"{where}.options."),
        "dependsOn": fields.texts("dependsOn", max_items=_MAX_STEPS, max_length=_MAX_NAME) or [],
    }


def _read_texts(fields: Fields, name: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in fields.mapping(name).items():
        if not isinstance(value, str):
            fields.fail(f"{name}.{key}", "Must be text")
        elif len(value) > _MAX_TEXT:
            fields.fail(f"{name}.{key}", f"Must be at most {_MAX_TEXT} characters")
        else:
            texts[key] = value
    return texts


def _has_prompt(context: RequestContext, prompt_id: str) -> bool:
    try:
        prompts.get(context.services.database, context.account, prompt_id)
    except ApiError:
        return False
    return True


def _may_write_in(context: RequestContext, team_id: str | None) -> None:
    """Raise a 404 if the account is not in the team, a 403 if it may only read there."""
    if team_id is not None:
        teams.require(context.services.database, context.account, team_id, teams.WRITERS)


def _check_input(fields: Fields, given: dict[str, object], steps: list[JSONObject]) -> None:
    """Validate the input that the steps refer to; further input is allowed."""
    for name, step in workflow_graph.inputs(steps).items():
        value = given.get(name)
        if value is None:
            fields.fail(f"input.{name}", f"Required by step {step!r}")
        elif isinstance(value, (dict, list)):
            fields.fail(f"input.{name}", "Must be text, a number or a boolean")
