"""`enprompta prompts`: manage and execute prompts."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from enprompta.cli import options
from enprompta.cli.console import FAILED, err, line, out
from enprompta.cli.error_handling import connected, show_error
from enprompta.cli.options import EPILOG, All, Category, Json, Limit, Search, Team, Values, ValuesFile, Yes
from enprompta.cli.output import show_listing, show_object, write_json, write_text
from enprompta.cli.shared_options import shared
from enprompta.cli.template_checks import of_target

if TYPE_CHECKING:
    from enprompta.models.executions import Execution
    from enprompta.outputs import OutputReader

group: typer.Typer = typer.Typer(help="Manage and execute prompts.", no_args_is_help=True)

PromptId = Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt's id.", show_default=False)]
Visibility = Annotated[Literal["PRIVATE", "TEAM", "PUBLIC"] | None, typer.Option(help="Who can see the prompt.")]
Content = Annotated[str | None, typer.Option(help="The text, with variables such as {{name}}.")]
File = Annotated[str | None, typer.Option(metavar="FILE", help="Read the text from a file; - for standard input.")]
Description = Annotated[str | None, typer.Option(help="Description.")]
OfCategory = Annotated[str | None, typer.Option("--category", help="Category.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A tag; can be repeated.")]
OfTeam = Annotated[str | None, typer.Option("--team", metavar="ID", help="The team that owns the prompt.")]
Provider = Annotated[str | None, typer.Option(help="The model's provider, such as openai.")]
Model = Annotated[str | None, typer.Option(help="The model.")]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature, 0 to 2; higher is more varied.")]
MaxTokens = Annotated[int | None, typer.Option(help="Maximum number of output tokens.")]
TopP = Annotated[float | None, typer.Option(help="Nucleus-sampling threshold, 0 to 1.")]
ExpectVersion = Annotated[
    str | None,
    typer.Option("--expect-version", metavar="VERSION", help="Refuse to execute another version of the prompt."),
]
OutputSchema = Annotated[
    str | None,
    typer.Option(
        "--output-schema",
        metavar="FILE",
        help="Read outputs as JSON that matches the JSON Schema in this file; - for standard input.",
    ),
]
Repair = Annotated[
    int,
    typer.Option(
        min=0, max=3, help="Number of further executions, each charged, if an output does not match --output-schema."
    ),
]
Stop = Annotated[
    list[str] | None, typer.Option("--stop", help="A stop sequence that ends the output; can be repeated.")
]
Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        help="Prompt files, directories of them, other text files, - for standard input, or ids of prompts.",
        show_default=False,
    ),
]


class Clearable(str, Enum):
    """Fields that can be cleared."""

    description = "description"
    category = "category"
    tags = "tags"
    team = "team_id"


_COLUMNS = {"id": "id", "title": "title", "slug": "slug", "tags": "tags", "version": "version", "updated": "updated_at"}


@group.command("list", epilog=EPILOG)
def list_prompts(
    *,
    search: Search = None,
    category: Category = None,
    team: Team = None,
    visibility: Visibility = None,
    limit: Limit = 20,
    all_: All = False,
    as_json: Json = False,
) -> None:
    """List prompts."""
    filters = {"search": search, "category": category, "team_id": team, "visibility": visibility}
    with connected() as client:
        show_listing(client.prompts.list, _COLUMNS, limit=None if all_ else limit, as_json=as_json, **filters)


@group.command(epilog=EPILOG)
def get(prompt: PromptId, *, as_json: Json = False) -> None:
    """Show a prompt and its text."""
    with connected() as client:
        show_object(client.prompts.get(prompt), as_json=as_json, text="content")


@group.command(epilog=EPILOG)
def create(
    *,
    title: Annotated[str, typer.Option(help="Title.")],
    content: Content = None,
    file: File = None,
    description: Description = None,
    category: OfCategory = None,
    tag: Tags = None,
    visibility: Visibility = None,
    team: OfTeam = None,
    as_json: Json = False,
) -> None:
    """Create a prompt."""
    text = _text(content, file)
    if text is None:
        raise typer.BadParameter("Pass the text with --content or --file")
    fields = options.given_only(
        description=description, category=category, tags=tag, visibility=visibility, team_id=team
    )
    with connected() as client:
        show_object(client.prompts.create(title=title, content=text, **fields), as_json=as_json)


@group.command(epilog=EPILOG)
def update(
    prompt: PromptId,
    *,
    title: Annotated[str | None, typer.Option(help="Title.")] = None,
    content: Content = None,
    file: File = None,
    description: Description = None,
    category: OfCategory = None,
    tag: Tags = None,
    visibility: Visibility = None,
    team: OfTeam = None,
    clear: Annotated[list[Clearable] | None, typer.Option(help="Clear this field; can be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Update the given fields of a prompt; a new text creates a new version."""
    sent = options.given_only(description=description, category=category, tags=tag, visibility=visibility, team_id=team)
    sent |= options.given_only(title=title, content=_text(content, file))
    sent |= {field.value: [] if field is Clearable.tags else None for field in clear or ()}
    if not sent:
        raise typer.BadParameter("Pass at least one field to change")
    with connected() as client:
        show_object(client.prompts.update(prompt, **sent), as_json=as_json)


@group.command(epilog=EPILOG)
def delete(prompt: PromptId, *, yes: Yes = False) -> None:
    """Delete a prompt."""
    options.confirm(f"Delete {prompt}?", yes=yes)
    with connected() as client:
        client.prompts.delete(prompt)
    out.print(line(f"Deleted {prompt}."))


@group.command(epilog=EPILOG)
def execute(
    prompt: PromptId,
    *,
    var: Values = None,
    vars_: ValuesFile = None,
    provider: Provider = None,
    model: Model = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    top_p: TopP = None,
    stop: Stop = None,
    expect_version: ExpectVersion = None,
    output_schema: OutputSchema = None,
    repair: Repair = 0,
    as_json: Json = False,
) -> None:
    """Execute a prompt on a model and print the output; uses one credit, and one for each repair."""
    values = options.values_of(var, vars_)
    reader = reader_for(output_schema, repair)
    chosen = options.given_only(provider=provider, model=model, temperature=temperature, max_tokens=max_tokens)
    chosen |= options.given_only(top_p=top_p, stop_sequences=stop, expect_version=expect_version)
    with connected() as client:
        # A reader is accepted as a type, but is not part of the public interface.
        execute_typed: Any = client.prompts.execute
        done: Execution = execute_typed(prompt, variables=values, output=reader, repair=repair, **chosen)
    parsed: object = None if reader is None else cast("Any", done).parsed
    if as_json:
        write_json(done if reader is None else with_parsed(done, parsed))
    elif shared.quiet:
        write_text(done.id)
    elif reader is not None:
        write_text(json.dumps(parsed, ensure_ascii=False, indent=2))
    elif done.output is not None:
        write_text(done.output)
    if done.status == "failed":
        show_error(f"Execution {done.id} failed: {done.error}")
        raise typer.Exit(FAILED)
    if not (as_json or shared.quiet):
        cost = "" if done.cost is None else f", ${done.cost:.4f}"
        err.print(line((f"{done.id}  {done.provider}/{done.model}, {done.tokens} tokens{cost}", "dim")))


@group.command(epilog=EPILOG)
def live(
    slug: Annotated[str, typer.Argument(help="The prompt's slug.", show_default=False)],
    *,
    label: Annotated[str, typer.Option(help="The label, such as staging.")] = "production",
    as_json: Json = False,
) -> None:
    """Show the live version of a prompt, the one that a label points at."""
    with connected() as client:
        show_object(client.prompts.get_live(slug, label=label), as_json=as_json, text="content")


def reader_for(output_schema: str | None, repair: int) -> OutputReader[object] | None:
    """Return the reader of a schema file; None without one.

    Raises:
        typer.BadParameter: The file is not a JSON Schema, or there is nothing to repair.
    """
    if output_schema is None:
        if repair:
            raise typer.BadParameter(
                "Pass --output-schema too: without it, every output is accepted", param_hint="--repair"
            )
        return None
    from enprompta.cli.output_schema import reader_of  # noqa: PLC0415 (--help needs nothing of it)

    return reader_of(output_schema)


def with_parsed(done: Execution, parsed: object) -> dict[str, object]:
    """Return an execution as JSON, with its parsed output and the costs of all its executions."""
    fields: dict[str, object] = done.model_dump(mode="json", by_alias=True)
    executions: Any = cast("Any", done).executions
    total: Any = cast("Any", done).total_cost
    return {**fields, "parsed": parsed, "executionIds": [one.id for one in executions], "totalCost": total}


def _text(content: str | None, file: str | None) -> str | None:
    if content is not None and file is not None:
        raise typer.BadParameter("Use either --content or --file, not both")
    return content if file is None else options.read_text(file)


@group.command(epilog="Exit status: 0 no problems, 1 problems or failure, 2 wrong usage, 3 no credentials.")
def check(targets: Targets, *, as_json: Json = False) -> None:
    """Find template syntax that stays in the text, and declarations that do not match it; files are checked offline."""
    found = [one for target in targets for one in of_target(target)]
    for place, problem in found:
        if as_json:
            write_json({"place": place, "message": problem.message})
        else:
            out.print(line(f"{place}: {problem.message}"))
    if found:
        raise typer.Exit(FAILED)
    if not as_json:
        out.print(line("No problems."))
