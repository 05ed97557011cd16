"""Prompts: create, read, change, delete, list and run them; and what a running program fetches."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from enprompta import templating
from enprompta.emulator.api.request_context import NO_CONTENT, Context, JSONResponse, PathId, Response, ok, page
from enprompta.emulator.api.request_models import (
    Description,
    NotNull,
    Omittable,
    PageQuery,
    RequestModel,
    Search,
    Text100,
    Text200,
    TextItem,
    between,
    item,
    once,
    one_of,
    scalar,
    whole,
)
from enprompta.emulator.stores import executions, prompts, teams

if TYPE_CHECKING:
    from enprompta.emulator.wire import JSONObject

router: APIRouter = APIRouter(prefix="/api/v1")
live_router: APIRouter = APIRouter(prefix="/api/sdk")

Content = Annotated[str, Field(min_length=1, max_length=100_000)]
Visibility = Annotated[str, one_of(prompts.VISIBILITIES)]


class _Prompts(PageQuery, frozen=True):
    visibility: Visibility | None = None
    category: Text100 | None = None
    search: Search | None = None
    team_id: Text100 | None = None


class _LiveQuery(RequestModel, frozen=True):
    label: Text100 = prompts.DEFAULT_LABEL
    project: Text100 | None = None  # validated only: each account of the emulator is one project


def _name(text: str) -> str:
    name = text.strip()  # whitespace inside the braces is ignored
    if templating.variables(f"{{{{{name}}}}}") != [name]:
        raise ValueError("Must be letters, digits, _ or -, in parts separated by dots")
    return name


class _Variable(RequestModel, frozen=True):
    name: Annotated[NotNull[Text100], AfterValidator(_name), once("declared")]
    type: NotNull[Text100] = "text"
    required: Omittable[bool] = None
    default: Annotated[object, scalar] = None
    description: Description | None = None
    options: NotNull[Annotated[list[Annotated[str, item(0, 2_000)]], Field(max_length=200)]] = Field([])

    def declaration(self) -> JSONObject:
        return {**vars(self), "required": self.default is None if self.required is None else self.required}


class _PromptChanges(RequestModel, frozen=True):
    title: Omittable[Text200] = None
    content: Omittable[Content] = None
    description: Description | None = None
    category: Annotated[str, Field(max_length=100)] | None = None
    tags: Omittable[Annotated[list[TextItem], Field(max_length=50)]] = None
    variables: Omittable[Annotated[list[_Variable], Field(max_length=100)]] = None
    visibility: Omittable[Visibility] = None
    team_id: Text100 | None = None

    def values(self) -> dict[str, Any]:
        values = super().values()
        if self.variables is not None:
            values["variables"] = [it.declaration() for it in self.variables]
        return values


class _NewPrompt(_PromptChanges, frozen=True):
    title: NotNull[Text200] = Field()
    content: NotNull[Content] = Field()


class ExecutionOptions(RequestModel, frozen=True):
    """The model options of an execution."""

    temperature: Omittable[Annotated[float, between(0, 2)]] = None
    max_tokens: Omittable[Annotated[int, whole(1, 2**31 - 1)]] = None
    top_p: Omittable[Annotated[float, between(0, 1)]] = None
    stop_sequences: Omittable[Annotated[list[TextItem], Field(max_length=16)]] = None

    def as_json(self) -> JSONObject:
        """Return the given options by the API's names."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class _Execution(RequestModel, frozen=True):
    provider: Omittable[Text100] = None
    model: Omittable[Text100] = None
    variables: NotNull[dict[str, object]] = Field({})
    options: NotNull[ExecutionOptions] = ExecutionOptions()


@router.get("/prompts")
async def list_prompts(context: Context) -> Response:
    """List prompts, newest first."""
    query = context.query(_Prompts)
    return page(context, prompts.listing(context.account, **query.filters()), query, prompts.wire)


@router.post("/prompts")
async def create_prompt(context: Context) -> Response:
    """Create a prompt."""
    database, body = context.services.database, context.read(_NewPrompt, set[str]())
    teams.require_writer(database, context.account, body.team_id)
    row = prompts.create(database, context.account, body.values(), context.now)
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
    body = context.read(_PromptChanges, set[str](), required=True)
    teams.require_writer(database, context.account, body.team_id)
    return ok(prompts.wire(prompts.update(database, context.account, prompt_id, body.values(), context.now)))


@router.delete("/prompts/{prompt_id}", **NO_CONTENT)
async def delete_prompt(context: Context, prompt_id: PathId) -> None:
    """Delete a prompt."""
    prompts.delete(context.services.database, context.account, prompt_id)


@router.post("/prompts/{prompt_id}/execute")
async def execute_prompt(context: Context, prompt_id: PathId) -> Response:
    """Execute a prompt."""
    prompt = prompts.get_writable(context.services.database, context.account, prompt_id)
    body = context.read(_Execution)
    row = await context.services.executor.execute(
        context.account,
        prompt,
        variables=body.variables,
        provider=body.provider,
        model=body.model,
        options=body.options.as_json(),
        now=context.now,
    )
    return ok(executions.wire(row), status=201)


@live_router.get("/prompts/{slug}")
async def get_live_prompt(context: Context, slug: PathId) -> Response:
    """Fetch the version of a prompt that a label points at; a 304 if the client's copy is current."""
    label = context.query(_LiveQuery).label
    response = JSONResponse(prompts.live(context.services.database, context.account, slug, label))
    etag = f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    known = {one.strip().removeprefix("W/") for one in context.headers.get("if-none-match", "").split(",")}
    if known & {etag, "*"}:  # a weak comparison, as RFC 9110, section 13.1.2, requires for GET
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return response
