"""Routes of workflows and their executions."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from enprompta.emulator.api.request_context import NO_CONTENT, Context, PathId, RequestContext, Response, ok, page
from enprompta.emulator.api.request_models import (
    Description,
    InvalidFieldsError,
    NotNull,
    Omittable,
    PageQuery,
    RequestModel,
    Search,
    Text100,
    Text200,
    TextItem,
    one_of,
)
from enprompta.emulator.api.routes.prompts import ExecutionOptions
from enprompta.emulator.errors import CONFLICT, ApiError
from enprompta.emulator.execution import workflow_graph
from enprompta.emulator.stores import prompts, runs, teams, workflows

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import ValidationInfo

    from enprompta.emulator.errors import Detail
    from enprompta.emulator.execution.workflow_graph import Step
    from enprompta.emulator.wire import JSONObject

router: APIRouter = APIRouter(prefix="/api/v1")


class _Workflows(PageQuery, frozen=True):
    search: Search | None = None
    team_id: Text100 | None = None


class _Runs(PageQuery, frozen=True):
    status: Annotated[str, one_of(runs.STATUSES)] | None = None


class _Step(RequestModel, frozen=True):
    id: NotNull[Text100]
    prompt_id: NotNull[Text100]
    provider: Text100 | None = None
    model: Text100 | None = None
    variables: NotNull[dict[str, Annotated[str, Field(max_length=100_000)]]] = Field({})
    options: NotNull[ExecutionOptions] = ExecutionOptions()
    depends_on: NotNull[Annotated[list[TextItem], Field(max_length=200)]] = Field([])

    def definition(self) -> JSONObject:
        return {**self.model_dump(by_alias=True), "options": self.options.as_json()}


def _complete(steps: list[_Step], info: ValidationInfo[Callable[[str], bool]]) -> list[_Step]:
    """Check that valid steps refer to existing steps and prompts; `known` returns True for the id of a prompt."""
    if not steps:
        raise ValueError("Must have at least one step")
    details = workflow_graph.problems([step.definition() for step in steps])
    details += (
        {"field": f"steps[{index}].promptId", "message": f"There is no prompt {step.prompt_id!r}"}
        for index, step in enumerate(steps)
        if not info.context(step.prompt_id)
    )
    if details:
        raise InvalidFieldsError(details)
    return steps


Steps = Annotated[list[_Step], Field(max_length=200), AfterValidator(_complete)]


class _WorkflowChanges(RequestModel, frozen=True):
    name: Omittable[Text200] = None
    description: Description | None = None
    steps: Omittable[Steps] = None
    team_id: Text100 | None = None

    def values(self) -> dict[str, Any]:
        values = super().values()
        if self.steps is not None:
            values["steps"] = [step.definition() for step in self.steps]
        return values


class _NewWorkflow(_WorkflowChanges, frozen=True):
    name: NotNull[Text200] = Field()
    steps: NotNull[Steps] = Field()


def _has_inputs(given: dict[str, object], info: ValidationInfo[list[Step]]) -> dict[str, object]:
    """Check the input that the steps, in `known`, refer to; further input is allowed."""
    details: list[Detail] = []
    for name, step in workflow_graph.inputs(info.context).items():
        value = given.get(name)
        if value is None:
            details.append({"field": f"input.{name}", "message": f"Required by step {step!r}"})
        elif isinstance(value, (dict, list)):
            details.append({"field": f"input.{name}", "message": "Must be text, a number or a boolean"})
    if details:
        raise InvalidFieldsError(details)
    return given


class _NewRun(RequestModel, frozen=True):
    input: Annotated[NotNull[dict[str, object]], AfterValidator(_has_inputs)] = Field({}, validate_default=True)


@router.get("/workflows")
async def list_workflows(context: Context) -> Response:
    """List workflows, newest first."""
    query = context.query(_Workflows)
    return page(context, workflows.listing(context.account, **query.filters()), query, workflows.wire)


@router.post("/workflows")
async def create_workflow(context: Context) -> Response:
    """Create a workflow."""
    database, body = context.services.database, context.read(_NewWorkflow, _has_prompt(context))
    teams.require_writer(database, context.account, body.team_id)
    row = workflows.create(database, context.account, body.values(), context.now)
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
    body = context.read(_WorkflowChanges, _has_prompt(context), required=True)
    teams.require_writer(database, context.account, body.team_id)
    return ok(workflows.wire(workflows.update(database, context.account, workflow_id, body.values(), context.now)))


@router.delete("/workflows/{workflow_id}", **NO_CONTENT)
async def delete_workflow(context: Context, workflow_id: PathId) -> None:
    """Delete a workflow with its executions; a running execution starts no further step."""
    services = context.services
    running = [row["id"] for row in runs.unfinished(services.database) if row["workflow_id"] == workflow_id]
    workflows.delete(services.database, context.account, workflow_id)
    for run_id in running:
        services.runner.halt(run_id)


@router.post("/workflows/{workflow_id}/execute")
async def execute_workflow(context: Context, workflow_id: PathId) -> Response:
    """Start an execution of a workflow; the response has the pending execution."""
    services = context.services
    workflow = workflows.get_writable(services.database, context.account, workflow_id)
    body = context.read(_NewRun, workflows.steps_of(workflow))
    services.accounts.require_credit(context.account, context.now)
    row = runs.create(services.database, context.account, workflow, body.input, context.now)
    services.runner.run(row)
    return ok(runs.wire(services.database, row), status=202)


@router.get("/workflows/{workflow_id}/executions")
async def list_workflow_executions(context: Context, workflow_id: PathId) -> Response:
    """List a workflow's executions, newest first."""
    database = context.services.database
    workflows.get(database, context.account, workflow_id)
    query = context.query(_Runs)
    return page(context, runs.listing(workflow_id, **query.filters()), query, partial(runs.wire, database))


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


def _has_prompt(context: RequestContext) -> Callable[[str], bool]:
    def has_prompt(prompt_id: str) -> bool:
        with suppress(ApiError):
            prompts.get(context.services.database, context.account, prompt_id)
            return True
        return False

    return has_prompt
