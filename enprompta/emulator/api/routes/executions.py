"""Routes of executions."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation at run time)

from enprompta.emulator.api.request_context import Context, PathId, ok, page
from enprompta.emulator.stores import executions
from enprompta.emulator.stores.paging import PageRequest

router: APIRouter = APIRouter(prefix="/api/v1")

_MAX_NAME = 100


@router.get("/executions")
async def list_executions(context: Context) -> Response:
    """List executions, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    listing = executions.listing(
        context.account,
        prompt_id=query.text("promptId", max_length=_MAX_NAME),
        provider=query.text("provider", max_length=_MAX_NAME),
        start=query.time("startDate"),
        end=query.time("endDate", end=True),
    )
    query.check()
    rows, pagination = listing.page(context.services.database, request)
    return page([executions.wire(row) for row in rows], pagination)


@router.get("/executions/stats")  # must precede the next route, which would match `stats` as an id
async def execution_stats(context: Context) -> Response:
    """Return statistics of executions by day, prompt or model."""
    query = context.query()
    group_by = query.choice("groupBy", executions.GROUPINGS) or "day"
    start, end = query.time("startDate"), query.time("endDate", end=True)
    query.check()
    return ok(executions.stats(context.services.database, context.account, group_by=group_by, start=start, end=end))


@router.get("/executions/{execution_id}")
async def get_execution(context: Context, execution_id: PathId) -> Response:
    """Fetch an execution."""
    return ok(executions.wire(executions.get(context.services.database, context.account, execution_id)))
