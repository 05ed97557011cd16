"""Routes of webhooks, their deliveries and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from enprompta.emulator.api.request_context import Context, PathId, no_content, ok, page
from enprompta.emulator.errors import CONFLICT, ApiError
from enprompta.emulator.stores import deliveries, webhooks
from enprompta.emulator.stores.paging import PageRequest
from enprompta.emulator.webhooks.untrusted_post import can_be_sent_to

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.api.request_models import Fields

router: APIRouter = APIRouter(prefix="/api/v1")

_MAX_NAME = 200
_MAX_DESCRIPTION = 2_000
_MAX_URL = 2_000


@router.get("/webhooks")
async def list_webhooks(context: Context) -> Response:
    """List all webhooks, newest first; this list is not paged."""
    return ok([webhooks.wire(row) for row in webhooks.all_of(context.services.database, context.account)])


@router.post("/webhooks")
async def create_webhook(context: Context) -> Response:
    """Create a webhook; only this response and that of `rotate_secret` contain its secret."""
    values = _read_webhook(context.fields(), new=True)
    row = webhooks.create(context.services.database, context.account, values, context.now)
    return ok({**webhooks.wire(row), "secret": row["secret"]}, status=201)


@router.get("/webhooks/{webhook_id}")
async def get_webhook(context: Context, webhook_id: PathId) -> Response:
    """Fetch a webhook."""
    return ok(webhooks.wire(webhooks.get(context.services.database, context.account, webhook_id)))


@router.put("/webhooks/{webhook_id}")
async def update_webhook(context: Context, webhook_id: PathId) -> Response:
    """Update the given fields; pending deliveries use the new URL, and fail if the webhook is disabled."""
    database = context.services.database
    webhooks.get(database, context.account, webhook_id)  # a 404 takes precedence over invalid fields
    values = _read_webhook(context.fields(required=True), new=False)
    return ok(webhooks.wire(webhooks.update(database, context.account, webhook_id, values, context.now)))


@router.delete("/webhooks/{webhook_id}")
async def delete_webhook(context: Context, webhook_id: PathId) -> Response:
    """Delete a webhook with its deliveries."""
    webhooks.delete(context.services.database, context.account, webhook_id)
    return no_content()


@router.get("/webhooks/{webhook_id}/deliveries")
async def list_deliveries(context: Context, webhook_id: PathId) -> Response:
    """List a webhook's deliveries, newest first."""
    database = context.services.database
    webhooks.get(database, context.account, webhook_id)
    query = context.query()
    request = PageRequest.read(query)
    query.check()
    rows, pagination = deliveries.listing(webhook_id).page(database, request)
    return page([deliveries.wire(row) for row in rows], pagination)


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/retry")
async def retry_delivery(context: Context, webhook_id: PathId, delivery_id: PathId) -> Response:
    """Retry a delivery that failed, waits for its next attempt or was delivered.

    The event is unchanged and signed with the current secret. The response has the state before the attempt.
    """
    services = context.services
    webhook = webhooks.get(services.database, context.account, webhook_id)
    deliveries.get(services.database, webhook_id, delivery_id)
    _require_active(webhook)
    if services.delivery_queue.is_in_progress(delivery_id):
        raise ApiError(CONFLICT, f"Delivery {delivery_id!r} is already being sent")
    row = deliveries.restart(services.database, webhook_id, delivery_id)
    services.delivery_queue.send(delivery_id, webhook["url"])
    return ok(deliveries.wire(row))


@router.post("/webhooks/{webhook_id}/test")
async def test_webhook(context: Context, webhook_id: PathId) -> Response:
    """Send a test event; the response has the delivery before its first attempt."""
    webhook = webhooks.get(context.services.database, context.account, webhook_id)
    _require_active(webhook)
    return ok(deliveries.wire(context.services.events.publish_test(webhook)))


@router.post("/webhooks/{webhook_id}/rotate-secret")
async def rotate_secret(context: Context, webhook_id: PathId) -> Response:
    """Replace a webhook's secret; the new one signs everything from now on."""
    secret = {"secret": webhooks.rotate_secret(context.services.database, context.account, webhook_id, context.now)}
    return JSONResponse({"success": True, "data": secret, **secret})  # both documented formats: enveloped and bare


def _require_active(webhook: sqlite3.Row) -> None:
    if not webhook["is_active"]:
        raise ApiError(CONFLICT, f"Webhook {webhook['id']!r} is disabled; enable it first")


def _read_webhook(fields: Fields, *, new: bool) -> dict[str, Any]:
    """Read the fields of a webhook: all fields for a new webhook, else those given."""
    values: dict[str, Any] = {
        "name": fields.text("name", required=new, nullable=False, max_length=_MAX_NAME),
        "description": fields.text("description", max_length=_MAX_DESCRIPTION, allow_empty=True),
        "url": _read_url(fields, required=new),
        "events": _read_events(fields, required=new),
    }
    if not new:  # a new webhook is always active
        values["isActive"] = fields.boolean("isActive")
    fields.check()
    return {name: value for name, value in values.items() if new or fields.given(name)}


def _read_url(fields: Fields, *, required: bool) -> str | None:
    url = fields.text("url", required=required, nullable=False, max_length=_MAX_URL)
    if url is not None and not can_be_sent_to(url):
        fields.fail("url", "Must be an http:// or https:// URL")
    return url


def _read_events(fields: Fields, *, required: bool) -> list[object] | None:
    items = fields.items("events", max_items=len(webhooks.EVENTS), required=required)
    if items is None:
        return None
    if not items:
        fields.fail("events", "Must name at least one event")
    for index, event in enumerate(items):
        if event not in webhooks.EVENTS:
            fields.fail(f"events[{index}]", f"Must be one of {', '.join(webhooks.EVENTS)}")
        elif event in items[:index]:
            fields.fail(f"events[{index}]", f"{event!r} is listed twice")
    return items
