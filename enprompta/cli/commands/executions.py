"""`enprompta executions`: inspect executions of prompts."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Json, Limit, Since, Until, given
from enprompta.cli.output import show_listing, show_object, show_rows

group: typer.Typer = typer.Typer(help="Inspect executions.", no_args_is_help=True)

_COLUMNS = {
    "id": "id", "status": "status", "model": "model", "tokens": "tokens", "cost": "cost", "created": "created_at",
}  # fmt: skip


@group.command("list", epilog=EPILOG)
def list_executions(
    *,
    prompt: Annotated[str | None, typer.Option(metavar="ID", help="Only executions of this prompt.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only executions by this provider.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    all_: All = False,
    as_json: Json = False,
) -> None:
    """List executions, newest first."""
    filters = {"prompt_id": prompt, "provider": provider, "start_date": since, "end_date": until}
    with connected() as client:
        most = None if all_ else limit
        show_listing(client.executions.list, _COLUMNS, limit=most, as_json=as_json, **filters)


@group.command(epilog=EPILOG)
def get(
    execution: Annotated[str, typer.Argument(metavar="EXECUTION", help="The execution's id.", show_default=False)],
    *,
    as_json: Json = False,
) -> None:
    """Show an execution and the model's output."""
    with connected() as client:
        show_object(client.executions.get(execution), as_json=as_json, text="output")


@group.command(epilog=EPILOG)
def stats(
    *,
    by: Annotated[Literal["day", "prompt", "model"], typer.Option(help="How to group the totals.")] = "day",
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Show totals of executions by day, prompt or model."""
    with connected() as client:
        found = client.executions.stats(group_by=by, start_date=given(since), end_date=given(until))
    columns = {by: "key", "executions": "executions", "tokens": "tokens", "cost": "cost"}
    show_rows(found, columns, as_json=as_json)
