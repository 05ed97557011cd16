"""Templates: browse the community's, and make a prompt of one."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation when it runs)

from enprompta.emulator.api.request_context import Context, PathId, ok, page
from enprompta.emulator.stores import templates
from enprompta.emulator.stores.paging import PageRequest

router: APIRouter = APIRouter(prefix="/api/v1")

_LONGEST_NAME = 100
_LONGEST_TITLE = 200


@router.get("/templates")
async def list_templates(context: Context) -> Response:
    """List templates, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    listing = templates.listing(
        category=query.text("category", longest=_LONGEST_NAME),
        search=query.text("search", longest=_LONGEST_TITLE, empty=True),
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
    """Make a prompt of a template."""
    database = context.services.database
    templates.get(database, template_id)
    fields = context.fields()
    title = fields.text("title", nullable=False, longest=_LONGEST_TITLE)
    fields.check()
    prompt_id = templates.fork(database, context.account, template_id, title, context.now)
    return ok({"promptId": prompt_id}, status=201)
