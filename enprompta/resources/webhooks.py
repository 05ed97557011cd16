"""`client.webhooks`: where events are sent; what arrives is verified with `enprompta.webhooks`."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from enprompta._core.body import body
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset
from enprompta.models.webhooks import CreatedWebhook, Webhook, WebhookDelivery, WebhookSecret
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta.models.webhooks import EventType


class WebhookCalls(Resource):
    """The calls on webhooks (reference: "Webhooks")."""

    __slots__ = ()

    @operation
    def create(
        self,
        *,
        name: str,
        url: str,
        events: Sequence[EventType | str],
        description: str | Unset | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[CreatedWebhook]:
        """Subscribe an address to events.

        Args:
            name: What people find it by.
            url: Where events are POSTed to.
            events: Which events, such as `prompt.executed`.
            description: What it is for.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Returns:
            The webhook with its `secret`, which the API shows only here: store it.

        Raises:
            BadRequestError: A field is invalid; `details` names it.
            APIError: What any call may raise.
        """
        fields = body(name=name, url=url, events=events, description=description)
        return Call("POST", "/webhooks", CreatedWebhook, json=fields, options=options)

    @operation
    def get(self, webhook_id: str, /, **options: Unpack[RequestOptions]) -> Call[Webhook]:
        """Fetch one webhook by its id, without its secret.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("GET", path("/webhooks/{}", webhook_id), Webhook, options=options)

    @operation
    def update(
        self,
        webhook_id: str,
        /,
        *,
        name: str | Unset = UNSET,
        url: str | Unset = UNSET,
        events: Sequence[EventType | str] | Unset = UNSET,
        description: str | Unset | None = UNSET,
        is_active: bool | Unset = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Webhook]:
        """Change the fields that are given; None clears one.

        Args:
            webhook_id: Which webhook.
            name: What people find it by.
            url: Where events are POSTed to.
            events: Which events.
            description: What it is for.
            is_active: Whether events are sent.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            BadRequestError: A field is invalid; `details` names it.
            APIError: What any call may raise.
        """
        fields = body(name=name, url=url, events=events, description=description, isActive=is_active)
        return Call("PUT", path("/webhooks/{}", webhook_id), Webhook, json=fields, options=options)

    @operation
    def enable(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[Webhook]:
        """Send events to this webhook again.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("PUT", path("/webhooks/{}", webhook_id), Webhook, json={"isActive": True}, options=options)

    @operation
    def disable(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[Webhook]:
        """Send no more events to this webhook, and keep it.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("PUT", path("/webhooks/{}", webhook_id), Webhook, json={"isActive": False}, options=options)

    @operation
    def delete(self, webhook_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a webhook.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("DELETE", path("/webhooks/{}", webhook_id), NoneType, options=options)

    @listing
    def list(self, **options: Unpack[RequestOptions]) -> Call[Page[Webhook]]:
        """List all webhooks.

        Raises:
            APIError: What any call may raise.
        """
        return Call("GET", "/webhooks", Page[Webhook], options=options)

    @operation
    def test(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[WebhookDelivery]:
        """Send a test event to a webhook.

        Returns:
            The delivery of that event.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("POST", path("/webhooks/{}/test", webhook_id), WebhookDelivery, options=options)

    @listing
    def list_deliveries(
        self,
        webhook_id: str,
        /,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[WebhookDelivery]]:
        """List what was sent to a webhook, the newest first; iterating the result walks every page.

        Args:
            webhook_id: Which webhook.
            limit: Deliveries a page, 1 to 100; the API's default is 20.
            cursor: Where to go on, from a page's `pagination.next_cursor`.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        params = body(limit=limit, cursor=cursor)
        address = path("/webhooks/{}/deliveries", webhook_id)
        return Call("GET", address, Page[WebhookDelivery], params=params, options=options)

    @operation
    def retry_delivery(
        self, webhook_id: str, delivery_id: str, /, **options: Unpack[WriteOptions]
    ) -> Call[WebhookDelivery]:
        """Send an event once more, unchanged.

        Raises:
            NotFoundError: There is no such delivery, or this key may not see it.
            APIError: What any call may raise.
        """
        address = path("/webhooks/{}/deliveries/{}/retry", webhook_id, delivery_id)
        return Call("POST", address, WebhookDelivery, options=options)

    @operation
    def rotate_secret(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[WebhookSecret]:
        """Give a webhook a new secret; verify with both until deliveries signed with the old one have arrived.

        Returns:
            The new secret, which the API shows only here: store it.

        Raises:
            NotFoundError: There is no such webhook, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("POST", path("/webhooks/{}/rotate-secret", webhook_id), WebhookSecret, options=options)


class Webhooks(WebhookCalls, SyncResource):
    """`client.webhooks`."""

    __slots__ = ()


class AsyncWebhooks(WebhookCalls, AsyncResource):
    """`async_client.webhooks`."""

    __slots__ = ()


class RawWebhooks(WebhookCalls, RawResource):
    """`client.with_raw_response.webhooks`."""

    __slots__ = ()


class AsyncRawWebhooks(WebhookCalls, AsyncRawResource):
    """`async_client.with_raw_response.webhooks`."""

    __slots__ = ()
