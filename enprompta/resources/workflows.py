"""`client.workflows`: prompts chained into steps, and their runs."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from enprompta import models
from enprompta._common.clock import monotonic
from enprompta._core.call import Call, path
from enprompta._core.operation import (
    AsyncRawResource,
    AsyncResource,
    RawResource,
    Resource,
    SyncResource,
    flow,
    operation,
)
from enprompta._core.steps import Sleep
from enprompta._core.unset import UNSET, Unset, body
from enprompta.errors import APITimeoutError, ConfigurationError, WorkflowFailedError
from enprompta.pagination import Page, listing
from enprompta.resources.workflow_steps import checked_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta._core.runner import Flow
    from enprompta.models.workflows import Workflow, WorkflowExecution, WorkflowStatus, WorkflowStep, WorkflowStepParam

    Steps = Sequence[WorkflowStep | WorkflowStepParam]
    Progress = Callable[[WorkflowExecution], None]

FIRST_POLL = 0.5  # seconds, so that the end of a short workflow is noticed soon
LONGEST_POLL = 5.0  # seconds, so that a long workflow costs few requests
POLL_GROWTH = 1.5


class WorkflowCalls(Resource):
    """Calls on workflows (API reference: "Workflows")."""

    @operation
    def create(
        self,
        *,
        name: str,
        steps: Steps,
        description: str | Unset | None = UNSET,
        team_id: str | Unset | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Workflow]:
        """Create a workflow.

        Args:
            name: The name shown to people.
            steps: Models, or dicts with the same fields. The variables of a step may contain `{{input.NAME}}` and
                `{{steps.STEPID.output}}`; the latter makes the step run after that one.
            description: A description of its purpose.
            team_id: The team that owns it; if None or not given, it is personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            BadRequestError: The steps form a cycle or refer to an unknown step; `details` names it.
            APIError: The call failed in another way.
        """
        fields = body(name=name, steps=checked_steps(steps), description=description, teamId=team_id)
        return Call("POST", "/workflows", models.Workflow, json=fields, options=options)

    @operation
    def get(self, workflow_id: str, /, **options: Unpack[RequestOptions]) -> Call[Workflow]:
        """Fetch one workflow by its id.

        Raises:
            NotFoundError: The workflow does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/workflows/{}", workflow_id), models.Workflow, options=options)

    @operation
    def update(
        self,
        workflow_id: str,
        /,
        *,
        name: str | Unset = UNSET,
        steps: Steps | Unset = UNSET,
        description: str | Unset | None = UNSET,
        team_id: str | Unset | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Workflow]:
        """Change the given fields; None clears a field.

        Args:
            workflow_id: The workflow's id.
            name: The name shown to people.
            steps: The new list of all steps, as for `create`.
            description: A description of its purpose.
            team_id: The team that owns it; None makes it personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: The workflow does not exist, or this key cannot access it.
            BadRequestError: A field is invalid; `details` names it.
            APIError: The call failed in another way.
        """
        fields = body(
            name=name, steps=steps if steps is UNSET else checked_steps(steps), description=description, teamId=team_id
        )
        return Call("PUT", path("/workflows/{}", workflow_id), models.Workflow, json=fields, options=options)

    @operation
    def delete(self, workflow_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a workflow.

        Raises:
            NotFoundError: The workflow does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("DELETE", path("/workflows/{}", workflow_id), NoneType, options=options)

    @listing
    def list(
        self,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        search: str | Unset = UNSET,
        team_id: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[Workflow]]:
        """List workflows; iterating over the result fetches all pages.

        Args:
            limit: Workflows per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            search: Only workflows that contain this text.
            team_id: Only workflows of this team.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        params = body(limit=limit, cursor=cursor, search=search, teamId=team_id)
        return Call("GET", "/workflows", Page[models.Workflow], params=params, options=options)

    @operation
    def execute(
        self, workflow_id: str, /, *, input: Mapping[str, Any] | Unset = UNSET, **options: Unpack[WriteOptions]
    ) -> Call[WorkflowExecution]:
        """Start a run and return immediately; each step that runs costs one credit of the plan.

        Args:
            workflow_id: The workflow's id.
            input: Values of `{{input.NAME}}`, by name.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Returns:
            The run, `pending` or `running`; use `wait` to get it when it has ended.

        Raises:
            NotFoundError: The workflow does not exist, or this key cannot access it.
            InsufficientTokensError: The plan has no credits left.
            APIError: The call failed in another way.
        """
        return _execute(workflow_id, input, options)

    @listing
    def list_executions(
        self,
        workflow_id: str,
        /,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        status: WorkflowStatus | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[WorkflowExecution]]:
        """List a workflow's runs, newest first; iterating over the result fetches all pages.

        Args:
            workflow_id: The workflow's id.
            limit: Runs per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            status: Only runs with this status.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            NotFoundError: The workflow does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        params = body(limit=limit, cursor=cursor, status=status)
        address = path("/workflows/{}/executions", workflow_id)
        return Call("GET", address, Page[models.WorkflowExecution], params=params, options=options)

    @operation
    def get_execution(
        self, workflow_id: str, execution_id: str, /, **options: Unpack[RequestOptions]
    ) -> Call[WorkflowExecution]:
        """Fetch one run.

        Raises:
            NotFoundError: The run does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return _get_execution(workflow_id, execution_id, options)

    @operation
    def cancel_execution(
        self, workflow_id: str, execution_id: str, /, **options: Unpack[WriteOptions]
    ) -> Call[WorkflowExecution]:
        """Cancel a run: steps that have not started are skipped, steps that are running complete.

        Raises:
            ConflictError: The run has already ended.
            NotFoundError: The run does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        address = path("/workflows/{}/executions/{}/cancel", workflow_id, execution_id)
        return Call("POST", address, models.WorkflowExecution, options=options)

    @flow
    def wait(
        self,
        workflow_id: str,
        execution_id: str,
        /,
        *,
        wait_timeout: float | None = None,
        on_progress: Progress | None = None,
        raise_on_failure: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Flow[WorkflowExecution]:
        """Wait until a run has ended; polls after 0.5 s, then at growing intervals of up to 5 s.

        Args:
            workflow_id: The workflow's id.
            execution_id: The run's id.
            wait_timeout: Maximum seconds to wait, requests included; None waits indefinitely. The run itself continues.
            on_progress: Called with the run each time its status or the status of a step changes, in the waiting
                thread or task.
            raise_on_failure: True to raise if the run failed or was cancelled, instead of returning it.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Returns:
            The ended run: see `status`, and for a failed run `failed_step` and `error`.

        Raises:
            WorkflowFailedError: The run failed or was cancelled, and `raise_on_failure` is True.
            APITimeoutError: `wait_timeout` has passed; the run continues at the service.
            APIError: The call failed in another way.
        """
        ends = _end_of_wait(wait_timeout)
        return (
            yield from _wait(
                workflow_id,
                execution_id,
                None,
                ends,
                on_progress=on_progress,
                raise_on_failure=raise_on_failure,
                options=options,
            )
        )

    @flow
    def execute_and_wait(
        self,
        workflow_id: str,
        /,
        *,
        input: Mapping[str, Any] | Unset = UNSET,
        wait_timeout: float | None = None,
        on_progress: Progress | None = None,
        raise_on_failure: bool = False,
        **options: Unpack[WriteOptions],
    ) -> Flow[WorkflowExecution]:
        """Start a run and wait until it has ended: `execute` and `wait` in one call.

        Args:
            workflow_id: The workflow's id.
            input: Values of `{{input.NAME}}`, by name.
            wait_timeout: Maximum seconds to wait, requests included; None waits indefinitely. The run itself continues.
            on_progress: Called with the run each time its status or the status of a step changes.
            raise_on_failure: True to raise if the run failed or was cancelled, instead of returning it.
            **options: `timeout`, `deadline`, `max_retries`, `headers` of each request, `idempotency_key` of the first.

        Returns:
            The ended run: see `status`, and for a failed run `failed_step` and `error`.

        Raises:
            WorkflowFailedError: The run failed or was cancelled, and `raise_on_failure` is True.
            APITimeoutError: `wait_timeout` has passed; the run continues at the service.
            InsufficientTokensError: The plan has no credits left.
            APIError: The call failed in another way.
        """
        ends = _end_of_wait(wait_timeout)
        started: WorkflowExecution = yield _execute(workflow_id, input, options)
        polling: Any = {name: value for name, value in options.items() if name != "idempotency_key"}
        return (
            yield from _wait(
                workflow_id,
                started.id,
                started,
                ends,
                on_progress=on_progress,
                raise_on_failure=raise_on_failure,
                options=polling,
            )
        )


def _execute(workflow_id: str, values: object, options: WriteOptions) -> Call[WorkflowExecution]:
    address = path("/workflows/{}/execute", workflow_id)
    return Call("POST", address, models.WorkflowExecution, json=body(input=values), options=options)


def _get_execution(workflow_id: str, execution_id: str, options: RequestOptions) -> Call[WorkflowExecution]:
    address = path("/workflows/{}/executions/{}", workflow_id, execution_id)
    return Call("GET", address, models.WorkflowExecution, options=options)


def _end_of_wait(wait_timeout: float | None) -> float | None:
    if wait_timeout is None:
        return None
    if not wait_timeout >= 0:
        raise ConfigurationError(f"wait_timeout must be 0 seconds or more, or None, not {wait_timeout!r}")
    return monotonic() + wait_timeout


def _wait(
    workflow_id: str,
    execution_id: str,
    known: WorkflowExecution | None,
    ends: float | None,
    *,
    on_progress: Progress | None,
    raise_on_failure: bool,
    options: RequestOptions,
) -> Flow[WorkflowExecution]:
    shown: object = None
    pause = FIRST_POLL
    while True:
        run: WorkflowExecution = known or (yield _get_execution(workflow_id, execution_id, options))
        known = None
        state = (run.status, [(step.step_id, step.status) for step in run.steps])
        if on_progress and state != shown:
            on_progress(run)
        shown = state
        if run.is_finished:
            if raise_on_failure and run.status != "completed":
                raise WorkflowFailedError(_failure(run), execution=run)
            return run
        if ends is not None and monotonic() + pause > ends:
            raise APITimeoutError(
                f"workflow run {run.id} is still {run.status} and wait_timeout has passed. The run continues: "
                f"call wait({workflow_id!r}, {run.id!r}) to wait for it again"
            )
        yield Sleep(pause)
        pause = min(pause * POLL_GROWTH, LONGEST_POLL)


def _failure(run: WorkflowExecution) -> str:
    step = run.failed_step
    where = f" at step {step.step_id!r}: {step.error}" if step else f": {run.error}" if run.error else ""
    return f"workflow run {run.id} ended as {run.status}{where}"


class Workflows(WorkflowCalls, SyncResource):
    """`client.workflows`."""


class AsyncWorkflows(WorkflowCalls, AsyncResource):
    """`async_client.workflows`."""


class RawWorkflows(WorkflowCalls, RawResource):
    """`client.with_raw_response.workflows`."""


class AsyncRawWorkflows(WorkflowCalls, AsyncRawResource):
    """`async_client.with_raw_response.workflows`."""
