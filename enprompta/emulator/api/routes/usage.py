"""Routes of usage and billing."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation at run time)

from enprompta.emulator.api.request_context import Context, ok, page
from enprompta.emulator.stores import executions, usage
from enprompta.emulator.stores.paging import PageRequest

router: APIRouter = APIRouter(prefix="/api/v1")


@router.get("/usage")
async def get_usage(context: Context) -> Response:
    """Fetch the usage of this month."""
    services = context.services
    return ok(usage.usage(services.database, services.accounts, services.limiter, context.account, context.now))


@router.get("/usage/history")
async def usage_history(context: Context) -> Response:
    """Fetch usage by day, prompt or model."""
    query = context.query()
    group_by = query.choice("groupBy", executions.GROUPINGS) or "day"
    start, end = query.time("startDate"), query.time("endDate", end=True)
    query.check()
    return ok(usage.history(context.services.database, context.account, group_by=group_by, start=start, end=end))


@router.get("/billing")
async def get_billing(context: Context) -> Response:
    """Fetch the subscription."""
    return ok(usage.billing(context.account, context.now))


@router.get("/billing/invoices")
async def list_invoices(context: Context) -> Response:
    """List invoices, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    query.check()
    database = context.services.database
    rows, pagination = usage.invoices(database, context.account, context.now).page(database, request)
    return page([usage.invoice_wire(row) for row in rows], pagination)
