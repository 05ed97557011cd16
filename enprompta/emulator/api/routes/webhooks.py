"""Routes of webhooks, their deliveries and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from enprompta.emulator.api.request_context import NO_CONTENT, Context, JSONResponse, PathId, Response, ok, page
from enprompta.emulator.api.request_models import (
    Description,
    NotNull,
    Omittable,
    PageQuery,
    RequestModel,
    Text200,
    once,
    one_of,
)
from enprompta.emulator.errors import CONFLICT, ApiError
from enprompta.emulator.stores import deliveries, webhooks
from enprompta.emulator.webhooks.untrusted_post import can_be_sent_to

if TYPE_CHECKING:
    import sqlite3

router: APIRouter = APIRouter(prefix="/api/v1")


def _sendable(url: str) -> str:
    if not can_be_sent_to(url):
        raise ValueError("Must be an http:// or https:// URL")
    return url


def _not_empty(events: list[str]) -> list[str]:
    if not events:
        raise ValueError("Must name at least one event")
    return events


Url = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_sendable)]
Event = Annotated[str, one_of(webhooks.EVENTS), once("listed")]
Events = Annotated[list[Event], Field(max_length=len(webhooks.EVENTS)), AfterValidator(_not_empty)]


class _Webhook(RequestModel, frozen=True):
    name: Omittable[Text200] = None
    description: Description | None = None
    url: Omittable[Url] = None
    events: Omittable[Events] = None


class _NewWebhook(_Webhook, frozen=True):  # always active
    name: NotNull[Text200] = Field()
    url: NotNull[Url] = Field()
    events: NotNull[Events] = Field()


class _WebhookChanges(_Webhook, frozen=True):
    is_active: Omittable[bool] = None


@router.get("/webhooks")
async def list_webhooks(context: Context) -> Response:
    """List all webhooks, newest first; this list is not paged."""
    return ok([webhooks.wire(row) for row in webhooks.all_of(context.services.database, context.account)])


@router.post("/webhooks")
async def create_webhook(context: Context) -> Response:
    """Create a webhook; only this response and that of `rotate_secret` contain its secret."""
    body = context.read(_NewWebhook, set[str]())
    row = webhooks.create(context.services.database, context.account, body.values(), context.now)
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
    body = context.read(_WebhookChanges, set[str](), required=True)
    return ok(webhooks.wire(webhooks.update(database, context.account, webhook_id, body.values(), context.now)))


@router.delete("/webhooks/{webhook_id}", **NO_CONTENT)
async def delete_webhook(context: Context, webhook_id: PathId) -> None:
    """Delete a webhook with its deliveries."""
    webhooks.delete(context.services.database, context.account, webhook_id)


@router.get("/webhooks/{webhook_id}/deliveries")
async def list_deliveries(context: Context, webhook_id: PathId) -> Response:
    """List a webhook's deliveries, newest first."""
    webhooks.get(context.services.database, context.account, webhook_id)
    return page(context, deliveries.listing(webhook_id), context.query(PageQuery), deliveries.wire)


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
