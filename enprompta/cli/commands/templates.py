"""`enprompta templates`: community templates."""

from __future__ import annotations

from typing import Annotated

import typer

from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Category, Json, Limit, Search, given
from enprompta.cli.output import show_listing, show_object

group: typer.Typer = typer.Typer(help="Browse and fork community templates.", no_args_is_help=True)

TemplateId = Annotated[str, typer.Argument(metavar="TEMPLATE", help="The template's id.", show_default=False)]


@group.command("list", epilog=EPILOG)
def list_templates(
    *, search: Search = None, category: Category = None, limit: Limit = 20, all_: All = False, as_json: Json = False
) -> None:
    """List templates."""
    with connected() as client:
        columns = {"id": "id", "title": "title", "category": "category", "tags": "tags", "used": "usage_count"}
        filters = {"search": search, "category": category}
        show_listing(client.templates.list, columns, limit=None if all_ else limit, as_json=as_json, **filters)


@group.command(epilog=EPILOG)
def get(template: TemplateId, *, as_json: Json = False) -> None:
    """Show a template and its text."""
    with connected() as client:
        show_object(client.templates.get(template), as_json=as_json, text="content")


@group.command(epilog=EPILOG)
def fork(
    template: TemplateId,
    *,
    title: Annotated[str | None, typer.Option(help="The new prompt's title.")] = None,
    as_json: Json = False,
) -> None:
    """Create a prompt from a template."""
    with connected() as client:
        show_object(client.templates.fork(template, title=given(title)), as_json=as_json)
