"""`enprompta workflows`: manage and run workflows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from enprompta.cli import options
from enprompta.cli.console import FAILED, err, line, out
from enprompta.cli.error_handling import connected, show_error
from enprompta.cli.options import EPILOG, All, Json, Limit, Search, Team, Values, ValuesFile, Yes
from enprompta.cli.output import show_listing, show_object, show_rows, write_json, write_text
from enprompta.cli.shared_options import shared

if TYPE_CHECKING:
    from enprompta.models import WorkflowExecution

group: typer.Typer = typer.Typer(help="Manage and run workflows.", no_args_is_help=True)

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's id.", show_default=False)]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]
Definition = Annotated[
    str, typer.Option("--file", metavar="FILE", help='JSON file: {"name": …, "steps": […]}; - for standard input.')
]
Status = Literal["pending", "running", "completed", "failed", "cancelled"]

_FIELDS = {"name": "name", "description": "description", "steps": "steps", "teamId": "team_id"}
_RUNS = {
    "id": "id", "status": "status", "tokens": "tokens", "cost": "cost", "created": "created_at",
    "completed": "completed_at",
}  # fmt: skip


@group.command("list", epilog=EPILOG)
def list_workflows(
    *, search: Search = None, team: Team = None, limit: Limit = 20, all_: All = False, as_json: Json = False
) -> None:
    """List workflows."""
    with connected() as client:
        columns = {"id": "id", "name": "name", "steps": "steps", "updated": "updated_at"}
        filters = {"search": search, "team_id": team}
        show_listing(client.workflows.list, columns, limit=None if all_ else limit, as_json=as_json, **filters)


@group.command(epilog=EPILOG)
def get(workflow: WorkflowId, *, as_json: Json = False) -> None:
    """Show a workflow and its steps."""
    with connected() as client:
        found = client.workflows.get(workflow)
    show_object(found, as_json=as_json, hidden=() if as_json else ("steps",))
    if not (as_json or shared.quiet):
        out.print()
        steps = {"step": "id", "prompt": "prompt_id", "model": "model", "variables": "variables", "after": "depends_on"}
        show_rows(found.steps, steps, as_json=False)


@group.command(epilog=EPILOG)
def create(*, file: Definition, as_json: Json = False) -> None:
    """Create a workflow from a file."""
    fields = _definition(file)
    if "name" not in fields or "steps" not in fields:
        raise typer.BadParameter("A new workflow needs a name and steps", param_hint="--file")
    with connected() as client:
        show_object(client.workflows.create(**fields), as_json=as_json)


@group.command(epilog=EPILOG)
def update(workflow: WorkflowId, *, file: Definition, as_json: Json = False) -> None:
    """Update the fields of a workflow that a file contains."""
    fields = _definition(file)
    with connected() as client:
        show_object(client.workflows.update(workflow, **fields), as_json=as_json)


@group.command(epilog=EPILOG)
def delete(workflow: WorkflowId, *, yes: Yes = False) -> None:
    """Delete a workflow."""
    options.confirm(f"Delete {workflow}?", yes=yes)
    with connected() as client:
        client.workflows.delete(workflow)
    out.print(line(f"Deleted {workflow}."))


@group.command(epilog=EPILOG)
def execute(
    workflow: WorkflowId,
    *,
    var: Values = None,
    vars_: ValuesFile = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run ends and print its output.")] = False,
    as_json: Json = False,
) -> None:
    """Start a run; each step uses one credit."""
    values = options.values_of(var, vars_)
    with connected() as client:
        run = client.workflows.execute(workflow, input=values)
        if wait:
            err.print(line((f"Started {run.id}; `enprompta workflows run` shows its state.", "dim")))
            run = client.workflows.wait(workflow, run.id, on_progress=_say_progress)
    _show_run(run, as_json=as_json)
    if run.status in {"failed", "cancelled"}:
        raise typer.Exit(FAILED)


@group.command(epilog=EPILOG)
def runs(
    workflow: WorkflowId,
    *,
    status: Annotated[Status | None, typer.Option(help="Only runs with this status.")] = None,
    limit: Limit = 20,
    all_: All = False,
    as_json: Json = False,
) -> None:
    """List a workflow's runs, newest first."""
    with connected() as client:
        listing = partial(client.workflows.list_executions, workflow)
        show_listing(listing, _RUNS, limit=None if all_ else limit, as_json=as_json, status=status)


@group.command(epilog=EPILOG)
def run(workflow: WorkflowId, run: RunId, *, as_json: Json = False) -> None:
    """Show the state and output of a run."""
    with connected() as client:
        _show_run(client.workflows.get_execution(workflow, run), as_json=as_json)


@group.command(epilog=EPILOG)
def cancel(workflow: WorkflowId, run: RunId, *, as_json: Json = False) -> None:
    """Cancel a run; steps that have started are finished."""
    with connected() as client:
        _show_run(client.workflows.cancel_execution(workflow, run), as_json=as_json)


def _definition(file: str) -> dict[str, Any]:
    values = options.read_object(file)
    if unknown := values.keys() - _FIELDS.keys():
        raise typer.BadParameter(f"{file} has the unknown field {min(unknown)!r}: use {', '.join(_FIELDS)}")
    return {_FIELDS[name]: value for name, value in values.items()}


def _say_progress(run: WorkflowExecution) -> None:
    steps = ", ".join(f"{step.step_id} {step.status}" for step in run.steps)
    err.print(line((f"{run.status}  {steps}", "dim")))


def _show_run(run: WorkflowExecution, *, as_json: bool) -> None:
    if as_json:
        write_json(run)
        return
    if shared.quiet:
        write_text(run.id)
        return
    show_object(run, as_json=False, hidden=("steps", "output"))
    if run.steps:
        out.print()
        steps = {"step": "step_id", "status": "status", "execution": "execution_id", "tokens": "tokens", "cost": "cost"}
        show_rows(run.steps, steps, as_json=False)
    for step in run.steps:
        if step.error:
            show_error(f"{step.step_id}: {step.error}")
    if run.output is not None:
        out.print()
        write_text(str(run.output))
