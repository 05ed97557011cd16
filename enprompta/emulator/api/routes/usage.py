"""Routes of usage and billing."""

from __future__ import annotations

from fastapi import APIRouter

from enprompta.emulator.api.request_context import Context, Response, ok, page
from enprompta.emulator.api.request_models import PageQuery
from enprompta.emulator.api.routes.executions import StatsQuery
from enprompta.emulator.stores import usage

router: APIRouter = APIRouter(prefix="/api/v1")


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
