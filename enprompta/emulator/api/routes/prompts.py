"""Prompts: create, read, change, delete, list and run them; and what a running program fetches."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from enprompta import templating
from enprompta.emulator.api.request_context import Context, PathId, no_content, ok, page
from enprompta.emulator.api.request_models import Fields
from enprompta.emulator.stores import executions, prompts, teams
from enprompta.emulator.stores.paging import PageRequest

if TYPE_CHECKING:
    from enprompta.emulator.wire import JSONObject

router: APIRouter = APIRouter(prefix="/api/v1")
live_router: APIRouter = APIRouter(prefix="/api/sdk")

_MAX_TITLE = 200
_MAX_SEARCH = 200
_MAX_CONTENT = 100_000
_MAX_DESCRIPTION = 2_000
_MAX_NAME = 100
_MAX_TAGS = 50
_MAX_VARIABLES = 100
_MAX_OPTIONS = 200
_MAX_STOP_SEQUENCES = 16
_MAX_TOKENS = 2**31 - 1


@router.get("/prompts")
async def list_prompts(context: Context) -> Response:
    """List prompts, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    listing = prompts.listing(
        context.account,
        visibility=query.choice("visibility", prompts.VISIBILITIES),
        category=query.text("category", max_length=_MAX_NAME),
        search=query.text("search", max_length=_MAX_SEARCH, allow_empty=True),
        team_id=query.text("teamId", max_length=_MAX_NAME),
    )
    query.check()
    rows, pagination = listing.page(context.services.database, request)
    return page([prompts.wire(row) for row in rows], pagination)


@router.post("/prompts")
async def create_prompt(context: Context) -> Response:
    """Create a prompt."""
    values = _read_prompt(context.fields(), new=True)
    _may_write_in(context, values.get("teamId"))
    row = prompts.create(context.services.database, context.account, values, context.now)
    return ok(prompts.wire(row), status=201)


@router.get("/prompts/{prompt_id}")
async def get_prompt(context: Context, prompt_id: PathId) -> Response:
    """Fetch a prompt."""
    return ok(prompts.wire(prompts.get(context.services.database, context.account, prompt_id)))


@router.put("/prompts/{prompt_id}")
async def update_prompt(context: Context, prompt_id: PathId) -> Response:
    """Update the given fields; null clears an optional one."""
    database = context.services.database
    prompts.get_writable(database, context.account, prompt_id)  # a 404 takes precedence over invalid fields
    values = _read_prompt(context.fields(required=True), new=False)
    _may_write_in(context, values.get("teamId"))
    return ok(prompts.wire(prompts.update(database, context.account, prompt_id, values, context.now)))


@router.delete("/prompts/{prompt_id}")
async def delete_prompt(context: Context, prompt_id: PathId) -> Response:
    """Delete a prompt."""
    prompts.delete(context.services.database, context.account, prompt_id)
    return no_content()


@router.post("/prompts/{prompt_id}/execute")
async def execute_prompt(context: Context, prompt_id: PathId) -> Response:
    """Execute a prompt."""
    prompt = prompts.get_writable(context.services.database, context.account, prompt_id)
    fields = context.fields()
    provider = fields.text("provider", nullable=False, max_length=_MAX_NAME)
    model = fields.text("model", nullable=False, max_length=_MAX_NAME)
    variables = fields.mapping("variables")
    options = read_options(fields)
    fields.check()
    row = await context.services.executor.execute(
        context.account,
        prompt,
        variables=variables,
        provider=provider,
        model=model,
        options=options,
        now=context.now,
    )
    return ok(executions.wire(row), status=201)


@live_router.get("/prompts/{slug}")
async def get_live_prompt(context: Context, slug: PathId) -> Response:
    """Fetch the version of a prompt that a label points at; a 304 if the client's copy is current."""
    query = context.query()
    label = query.text("label", max_length=_MAX_NAME) or prompts.DEFAULT_LABEL
    query.text("project", max_length=_MAX_NAME)  # validated only: each account of the emulator is one project
    query.check()
    response = JSONResponse(prompts.live(context.services.database, context.account, slug, label))
    etag = f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    if _matches(context.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return response


def read_options(fields: Fields, prefix: str = "") -> JSONObject:
    """Read the given model options of an execution.

    Errors name an option without a prefix, such as `temperature`, as the reference's example does, unless one is given.
    """
    nested = Fields(fields.mapping("options"), fields.details, prefix)
    options: JSONObject = {
        "temperature": nested.number("temperature", 0, 2),
        "maxTokens": nested.integer("maxTokens", 1, _MAX_TOKENS),
        "topP": nested.number("topP", 0, 1),
        "stopSequences": nested.texts("stopSequences", max_items=_MAX_STOP_SEQUENCES, max_length=_MAX_NAME),
    }
    return {name: value for name, value in options.items() if value is not None}


def _read_prompt(fields: Fields, *, new: bool) -> dict[str, Any]:
    """Read the fields of a prompt: all fields for a new prompt, else those given."""
    values: dict[str, Any] = {
        "title": fields.text("title", required=new, nullable=False, max_length=_MAX_TITLE),
        "content": fields.text("content", required=new, nullable=False, max_length=_MAX_CONTENT),
        "description": fields.text("description", max_length=_MAX_DESCRIPTION, allow_empty=True),
        "category": fields.text("category", max_length=_MAX_NAME, allow_empty=True),
        "tags": fields.texts("tags", max_items=_MAX_TAGS, max_length=_MAX_NAME),
        "variables": _read_variables(fields),
        "visibility": fields.choice("visibility", prompts.VISIBILITIES),
        "teamId": fields.text("teamId", max_length=_MAX_NAME),
    }
    fields.check()
    return {name: value for name, value in values.items() if new or fields.given(name)}


def _may_write_in(context: Context, team_id: str | None) -> None:
    """Raise a 404 if the account is not in the team, a 403 if it may only read there."""
    if team_id is not None:
        teams.require(context.services.database, context.account, team_id, teams.WRITERS)


def _read_variables(fields: Fields) -> list[JSONObject] | None:
    items = fields.items("variables", max_items=_MAX_VARIABLES)
    if items is None:
        return None
    declared: dict[str, JSONObject] = {}
    for index, item in enumerate(items):
        where = f"variables[{index}]"
        if not isinstance(item, dict):
            fields.fail(where, "Must be an object")
            continue
        nested = Fields(cast("dict[str, object]", item), fields.details, f"{where}.")
        name = nested.text("name", required=True, max_length=_MAX_NAME)
        default = _scalar(nested, "default")
        required = nested.boolean("required")
        given: JSONObject = {
            "type": nested.text("type", nullable=False, max_length=_MAX_NAME) or "text",
            "required": default is None if required is None else required,
            "default": default,
            "description": nested.text("description", max_length=_MAX_DESCRIPTION, allow_empty=True),
            "options": nested.texts("options", max_items=_MAX_OPTIONS, max_length=_MAX_DESCRIPTION, allow_empty=True)
            or [],
        }
        if name is None:
            continue
        name = name.strip()  # whitespace inside the braces is ignored
        if templating.variables(f"{{{{{name}}}}}") != [name]:
            nested.fail("name", "Must be letters, digits, _ or -, in parts separated by dots")
        elif name in declared:
            nested.fail("name", f"{name!r} is declared twice")
        declared[name] = prompts.variable(name, **given)
    return list(declared.values())


def _scalar(fields: Fields, name: str) -> object:
    value = fields.value(name)
    if isinstance(value, (dict, list)):
        fields.fail(name, "Must be text, a number, true, false or null")
        return None
    return value


def _matches(if_none_match: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110, section 13.1.2, requires for GET."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")}
    return etag in candidates or "*" in candidates
