"""Routes of community templates."""

from __future__ import annotations

from fastapi import APIRouter

from enprompta.emulator.api.request_context import Context, PathId, Response, ok, page
from enprompta.emulator.api.request_models import Omittable, PageQuery, RequestModel, Search, Text100, Text200
from enprompta.emulator.stores import templates

router: APIRouter = APIRouter(prefix="/api/v1")


class _Templates(PageQuery, frozen=True):
    category: Text100 | None = None
    search: Search | None = None


class _Fork(RequestModel, frozen=True):
    title: Omittable[Text200] = None


@router.get("/templates")
async def list_templates(context: Context) -> Response:
    """List templates, newest first."""
    query = context.query(_Templates)
    return page(context, templates.listing(**query.filters()), query, templates.wire)


@router.get("/templates/{template_id}")
async def get_template(context: Context, template_id: PathId) -> Response:
    """Fetch a template."""
    return ok(templates.wire(templates.get(context.services.database, template_id)))


@router.post("/templates/{template_id}/fork")
async def fork_template(context: Context, template_id: PathId) -> Response:
    """Create a prompt from a template."""
    database = context.services.database
    templates.get(database, template_id)
    title = context.read(_Fork).title
    prompt_id = templates.fork(database, context.account, template_id, title, context.now)
    return ok({"promptId": prompt_id}, status=201)
