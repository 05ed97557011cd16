"""Routes of executions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from enprompta.emulator.api.request_context import Context, PathId, Response, ok, page
from enprompta.emulator.api.request_models import FirstSecond, LastSecond, PageQuery, RequestModel, Text100, one_of
from enprompta.emulator.stores import executions

router: APIRouter = APIRouter(prefix="/api/v1")


class _Executions(PageQuery, frozen=True):
    prompt_id: Text100 | None = None
    provider: Text100 | None = None
    start_date: FirstSecond | None = None
    end_date: LastSecond | None = None


class StatsQuery(RequestModel, frozen=True):
    """Grouping and period of statistics."""

    group_by: Annotated[str, one_of(executions.GROUPINGS)] = "day"
    start_date: FirstSecond | None = None
    end_date: LastSecond | None = None


@router.get("/executions")
async def list_executions(context: Context) -> Response:
    """List executions, newest first."""
    query = context.query(_Executions)
    return page(context, executions.listing(context.account, **query.filters()), query, executions.wire)


@router.get("/executions/stats")  # must precede the next route, which would match `stats` as an id
async def execution_stats(context: Context) -> Response:
    """Return statistics of executions by day, prompt or model."""
    query = context.query(StatsQuery)
    return ok(executions.stats(context.services.database, context.account, **dict(query)))


@router.get("/executions/{execution_id}")
async def get_execution(context: Context, execution_id: PathId) -> Response:
    """Fetch an execution."""
    return ok(executions.wire(executions.get(context.services.database, context.account, execution_id)))
