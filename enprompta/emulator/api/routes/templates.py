"""Routes of community templates."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation at run time)

from enprompta.emulator.api.request_context import Context, PathId, ok, page
from enprompta.emulator.stores import templates
from enprompta.emulator.stores.paging import PageRequest

router: APIRouter = APIRouter(prefix="/api/v1")

_MAX_NAME = 100
_MAX_TITLE = 200


@router.get("/templates")
async def list_templates(context: Context) -> Response:
    """List templates, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    listing = templates.listing(
        category=query.text("category", max_length=_MAX_NAME),
        search=query.text("search", max_length=_MAX_TITLE, allow_empty=True),
    )
    query.check()
    rows, pagination = listing.page(context.services.database, request)
    return page([templates.wire(row) for row in rows], pagination)


@router.get("/templates/{template_id}")
async def get_template(context: Context, template_id: PathId) -> Response:
    """Fetch a template."""
    return ok(templates.wire(templates.get(context.services.database, template_id)))


@router.post("/templates/{template_id}/fork")
async def fork_template(context: Context, template_id: PathId) -> Response:
    """Create a prompt from a template."""
    database = context.services.database
    templates.get(database, template_id)
    fields = context.fields()
    title = fields.text("title", nullable=False, max_length=_MAX_TITLE)
    fields.check()
    prompt_id = templates.fork(database, context.account, template_id, title, context.now)
    return ok({"promptId": prompt_id}, status=201)
