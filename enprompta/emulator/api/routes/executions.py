"""Routes of executions, and of usage and billing, which sum them up."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from enprompta.emulator.api.request_context import Context, PathId, Response, ok, page
from enprompta.emulator.api.request_models import FirstSecond, LastSecond, PageQuery, RequestModel, Text100, one_of
from enprompta.emulator.stores import executions, usage

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


@router.get("/usage")
async def get_usage(context: Context) -> Response:
    """Fetch the usage of this month."""
    services = context.services
    return ok(usage.usage(services.database, services.accounts, services.limiter, context.account, context.now))


@router.get("/usage/history")
async def usage_history(context: Context) -> Response:
    """Fetch usage by day, prompt or model."""
    query = context.query(StatsQuery)
    return ok(usage.history(context.services.database, context.account, **dict(query)))


@router.get("/billing")
async def get_billing(context: Context) -> Response:
    """Fetch the subscription."""
    return ok(usage.billing(context.account, context.now))


@router.get("/billing/invoices")
async def list_invoices(context: Context) -> Response:
    """List invoices, newest first."""
    listing = usage.invoices(context.services.database, context.account, context.now)
    return page(context, listing, context.query(PageQuery), usage.invoice_wire)
