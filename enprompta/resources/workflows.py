"""`client.workflows`: prompts chained into steps, run and waited for."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from enprompta._common.clock import monotonic
from enprompta._core import arguments
from enprompta._core.body import body
from enprompta._core.call import Call, check_id, path
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
from enprompta._core.unset import UNSET, Unset
from enprompta.errors import APITimeoutError, ConfigurationError, WorkflowFailedError
from enprompta.models.workflows import Workflow, WorkflowExecution, WorkflowStep
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta._core.operation import Flow
    from enprompta.models.workflows import WorkflowStatus, WorkflowStepParam

    Steps = Sequence[WorkflowStep | WorkflowStepParam]
    Progress = Callable[[WorkflowExecution], None]

FIRST_POLL = 0.5  # seconds; a short workflow is seen soon
LONGEST_POLL = 5.0  # seconds; a long one costs a request every five
POLL_GROWTH = 1.5


class WorkflowCalls(Resource):
    """The calls on workflows (reference: "Workflows")."""

    __slots__ = ()

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
            name: What people find it by.
            steps: Models, or dicts of the same fields. A variable of a step may hold `{{input.NAME}}` and
                `{{steps.STEPID.output}}`; the latter also orders the steps.
            description: What it is for.
            team_id: The team to give it to; not given, or None, makes it personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            BadRequestError: The steps go in a circle or refer to an unknown step; `details` names it.
            APIError: What any call may raise.
        """
        fields = body(name=name, steps=_steps(steps), description=description, teamId=team_id)
        return Call("POST", "/workflows", Workflow, json=fields, options=options)

    @operation
    def get(self, workflow_id: str, /, **options: Unpack[RequestOptions]) -> Call[Workflow]:
        """Fetch one workflow by its id.

        Raises:
            NotFoundError: There is no such workflow, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("GET", path("/workflows/{}", workflow_id), Workflow, options=options)

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
        """Change the fields that are given; None clears one.

        Args:
            workflow_id: Which workflow.
            name: What people find it by.
            steps: All steps anew, as for `create`.
            description: What it is for.
            team_id: The team to give it to; None makes it personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: There is no such workflow, or this key may not see it.
            BadRequestError: A field is invalid; `details` names it.
            APIError: What any call may raise.
        """
        fields = body(
            name=name, steps=steps if steps is UNSET else _steps(steps), description=description, teamId=team_id
        )
        return Call("PUT", path("/workflows/{}", workflow_id), Workflow, json=fields, options=options)

    @operation
    def delete(self, workflow_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a workflow.

        Raises:
            NotFoundError: There is no such workflow, or this key may not see it.
            APIError: What any call may raise.
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
        """List workflows; iterating the result walks every page.

        Args:
            limit: Workflows a page, 1 to 100; the API's default is 20.
            cursor: Where to go on, from a page's `pagination.next_cursor`.
            search: Only those that hold this text.
            team_id: Only those of this team.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: What any call may raise.
        """
        params = body(limit=limit, cursor=cursor, search=search, teamId=team_id)
        return Call("GET", "/workflows", Page[Workflow], params=params, options=options)

    @operation
    def execute(
        self,
        workflow_id: str,
        /,
        *,
        input: Mapping[str, Any] | Unset = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[WorkflowExecution]:
        """Start a run and return at once; each step that runs costs one token of the plan.

        Args:
            workflow_id: Which workflow.
            input: Values for `{{input.NAME}}`, by name.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Returns:
            The run, `pending` or `running`; `wait` gives it when it has ended.

        Raises:
            NotFoundError: There is no such workflow, or this key may not see it.
            InsufficientTokensError: The plan's tokens are used up.
            APIError: What any call may raise.
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
        """List a workflow's runs, the newest first; iterating the result walks every page.

        Args:
            workflow_id: Which workflow.
            limit: Runs a page, 1 to 100; the API's default is 20.
            cursor: Where to go on, from a page's `pagination.next_cursor`.
            status: Only those that stand so.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            NotFoundError: There is no such workflow, or this key may not see it.
            APIError: What any call may raise.
        """
        params = body(limit=limit, cursor=cursor, status=status)
        address = path("/workflows/{}/executions", workflow_id)
        return Call("GET", address, Page[WorkflowExecution], params=params, options=options)

    @operation
    def get_execution(
        self, workflow_id: str, execution_id: str, /, **options: Unpack[RequestOptions]
    ) -> Call[WorkflowExecution]:
        """Fetch one run.

        Raises:
            NotFoundError: There is no such run, or this key may not see it.
            APIError: What any call may raise.
        """
        return _get_execution(workflow_id, execution_id, options)

    @operation
    def cancel_execution(
        self, workflow_id: str, execution_id: str, /, **options: Unpack[WriteOptions]
    ) -> Call[WorkflowExecution]:
        """Stop what has not started of a run; steps that run are left to end.

        Raises:
            ConflictError: The run has ended already.
            NotFoundError: There is no such run, or this key may not see it.
            APIError: What any call may raise.
        """
        address = path("/workflows/{}/executions/{}/cancel", workflow_id, execution_id)
        return Call("POST", address, WorkflowExecution, options=options)

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
        """Wait until a run has ended: asks after 0.5 s, then less and less often, every 5 s at the most.

        Args:
            workflow_id: Which workflow.
            execution_id: Which run.
            wait_timeout: Seconds to wait at most, all requests included; None waits without end. The run goes on.
            on_progress: Called with the run each time its status or a step's has changed, in the thread or task that
                waits.
            raise_on_failure: Raise when the run has failed or was cancelled, instead of returning it.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Returns:
            The run as it ended: look at `status`, and at `failed_step` and `error` when it failed.

        Raises:
            WorkflowFailedError: The run has failed or was cancelled, and `raise_on_failure` is true.
            APITimeoutError: `wait_timeout` has passed; the run goes on at the service.
            APIError: What any call may raise.
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
        """Start a run and wait until it has ended; `execute` and `wait` in one.

        Args:
            workflow_id: Which workflow.
            input: Values for `{{input.NAME}}`, by name.
            wait_timeout: Seconds to wait at most, all requests included; None waits without end. The run goes on.
            on_progress: Called with the run each time its status or a step's has changed.
            raise_on_failure: Raise when the run has failed or was cancelled, instead of returning it.
            **options: `timeout`, `deadline`, `max_retries`, `headers` of each request, `idempotency_key` of the first.

        Returns:
            The run as it ended: look at `status`, and at `failed_step` and `error` when it failed.

        Raises:
            WorkflowFailedError: The run has failed or was cancelled, and `raise_on_failure` is true.
            APITimeoutError: `wait_timeout` has passed; the run goes on at the service.
            InsufficientTokensError: The plan's tokens are used up.
            APIError: What any call may raise.
        """
        ends = _end_of_wait(wait_timeout)
        started: WorkflowExecution = yield _execute(workflow_id, input, options)
        polling = {name: value for name, value in options.items() if name != "idempotency_key"}
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


def _execute(workflow_id: str, values: object, options: Any) -> Call[WorkflowExecution]:  # noqa: ANN401
    address = path("/workflows/{}/execute", workflow_id)
    return Call("POST", address, WorkflowExecution, json=body(input=values), options=options)


def _get_execution(workflow_id: str, execution_id: str, options: Any) -> Call[WorkflowExecution]:  # noqa: ANN401
    address = path("/workflows/{}/executions/{}", workflow_id, execution_id)
    return Call("GET", address, WorkflowExecution, options=options)


def _steps(given: object) -> list[dict[str, object]]:
    """Check steps and write them in wire names.

    Raises:
        ConfigurationError: A value of a step cannot be sent; the text names it, such as `steps[2].options.temperature`.
    """
    example = '{"id": "draft", "prompt_id": "…"}'
    return [_step(f"steps[{at}]", step) for at, step in enumerate(arguments.items("steps", given, example))]


def _step(place: str, step: Any) -> dict[str, object]:  # noqa: ANN401 (any item of a list)
    if isinstance(step, WorkflowStep):
        step = step.model_dump(by_alias=True, exclude_unset=True)
    if not isinstance(step, Mapping):
        raise ConfigurationError(f"{place} must be a WorkflowStep or a dict of its fields, not {type(step).__name__}")
    written: dict[str, object] = {}
    for name, value in cast("Mapping[str, object]", step).items():
        field = f"{place}.{name}"
        if value is not None and name in _STEP_FIELDS:
            check, name = _STEP_FIELDS[name]  # noqa: PLW2901 (the wire name of the same field)
            value = check(field, value)  # noqa: PLW2901 (the plain form of the same value)
        written[name] = value
    return written


def _options(place: str, options: Any) -> object:  # noqa: ANN401 (any value)
    """Check a step's model options; those that this version does not know are sent as they are."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{place} must be a mapping of names to values, not {type(options).__name__}")
    return {
        name: _OPTIONS[name](f"{place}.{name}", value) if name in _OPTIONS and value is not None else value
        for name, value in cast("Mapping[str, object]", options).items()
    }


_OPTIONS: dict[str, arguments.Check] = {
    "temperature": arguments.number,
    "topP": arguments.number,
    "maxTokens": arguments.whole_number,
    "stopSequences": arguments.texts,
}
# Each field's check and its wire name, under both names.
_STEP_FIELDS: dict[str, tuple[arguments.Check, str]] = {
    "id": (check_id, "id"),
    "prompt_id": (check_id, "promptId"),
    "promptId": (check_id, "promptId"),
    "provider": (arguments.text, "provider"),
    "model": (arguments.text, "model"),
    "variables": (arguments.values, "variables"),
    "options": (_options, "options"),
    "depends_on": (arguments.texts, "dependsOn"),
    "dependsOn": (arguments.texts, "dependsOn"),
}


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
    options: Any,  # noqa: ANN401
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
                f"workflow run {run.id} is still {run.status} and wait_timeout has passed; the run goes on: "
                f"wait({workflow_id!r}, {run.id!r}) waits for it again"
            )
        yield Sleep(pause)
        pause = min(pause * POLL_GROWTH, LONGEST_POLL)


def _failure(run: WorkflowExecution) -> str:
    step = run.failed_step
    where = f" at step {step.step_id!r}: {step.error}" if step else f": {run.error}" if run.error else ""
    return f"workflow run {run.id} ended as {run.status}{where}"


class Workflows(WorkflowCalls, SyncResource):
    """`client.workflows`."""

    __slots__ = ()


class AsyncWorkflows(WorkflowCalls, AsyncResource):
    """`async_client.workflows`."""

    __slots__ = ()


class RawWorkflows(WorkflowCalls, RawResource):
    """`client.with_raw_response.workflows`."""

    __slots__ = ()


class AsyncRawWorkflows(WorkflowCalls, AsyncRawResource):
    """`async_client.with_raw_response.workflows`."""

    __slots__ = ()
