"""`client.webhooks`: subscriptions to events; verify deliveries with `enprompta.webhooks`."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from enprompta import models
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset, body
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta.models.webhooks import CreatedWebhook, EventType, Webhook, WebhookDelivery, WebhookSecret


class WebhookCalls(Resource):
    """Calls on webhooks (API reference: "Webhooks")."""

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
            name: The name shown to people.
            url: The address that events are POSTed to.
            events: The events to send, such as `prompt.executed`.
            description: A description of its purpose.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Returns:
            The webhook and its `secret`. The API shows the secret only once: store it.

        Raises:
            BadRequestError: A field is invalid; `details` names it.
            APIError: The call failed in another way.
        """
        fields = body(name=name, url=url, events=events, description=description)
        return Call("POST", "/webhooks", models.CreatedWebhook, json=fields, options=options)

    @operation
    def get(self, webhook_id: str, /, **options: Unpack[RequestOptions]) -> Call[Webhook]:
        """Fetch one webhook by its id, without its secret.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/webhooks/{}", webhook_id), models.Webhook, options=options)

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
        """Change the given fields; None clears a field.

        Args:
            webhook_id: The webhook's id.
            name: The name shown to people.
            url: The address that events are POSTed to.
            events: The events to send.
            description: A description of its purpose.
            is_active: True to send events, False to pause them.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            BadRequestError: A field is invalid; `details` names it.
            APIError: The call failed in another way.
        """
        fields = body(name=name, url=url, events=events, description=description, isActive=is_active)
        return Call("PUT", path("/webhooks/{}", webhook_id), models.Webhook, json=fields, options=options)

    @operation
    def enable(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[Webhook]:
        """Resume sending events to a webhook.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("PUT", path("/webhooks/{}", webhook_id), models.Webhook, json={"isActive": True}, options=options)

    @operation
    def disable(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[Webhook]:
        """Pause a webhook: no events are sent to it until `enable`.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("PUT", path("/webhooks/{}", webhook_id), models.Webhook, json={"isActive": False}, options=options)

    @operation
    def delete(self, webhook_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a webhook.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("DELETE", path("/webhooks/{}", webhook_id), NoneType, options=options)

    @listing
    def list(self, **options: Unpack[RequestOptions]) -> Call[Page[Webhook]]:
        """List all webhooks.

        Raises:
            APIError: The call failed.
        """
        return Call("GET", "/webhooks", Page[models.Webhook], options=options)

    @operation
    def test(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[WebhookDelivery]:
        """Send a test event to a webhook.

        Returns:
            The delivery of that event.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("POST", path("/webhooks/{}/test", webhook_id), models.WebhookDelivery, options=options)

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
        """List the deliveries of a webhook, newest first; iterating over the result fetches all pages.

        Args:
            webhook_id: The webhook's id.
            limit: Deliveries per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        params = body(limit=limit, cursor=cursor)
        address = path("/webhooks/{}/deliveries", webhook_id)
        return Call("GET", address, Page[models.WebhookDelivery], params=params, options=options)

    @operation
    def retry_delivery(
        self, webhook_id: str, delivery_id: str, /, **options: Unpack[WriteOptions]
    ) -> Call[WebhookDelivery]:
        """Send a delivery's event again, unchanged.

        Raises:
            NotFoundError: The delivery does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        address = path("/webhooks/{}/deliveries/{}/retry", webhook_id, delivery_id)
        return Call("POST", address, models.WebhookDelivery, options=options)

    @operation
    def rotate_secret(self, webhook_id: str, /, **options: Unpack[WriteOptions]) -> Call[WebhookSecret]:
        """Replace a webhook's secret; accept both until all deliveries signed with the old one have arrived.

        Returns:
            The new secret. The API shows it only once: store it.

        Raises:
            NotFoundError: The webhook does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("POST", path("/webhooks/{}/rotate-secret", webhook_id), models.WebhookSecret, options=options)


class Webhooks(WebhookCalls, SyncResource):
    """`client.webhooks`."""


class AsyncWebhooks(WebhookCalls, AsyncResource):
    """`async_client.webhooks`."""


class RawWebhooks(WebhookCalls, RawResource):
    """`client.with_raw_response.webhooks`."""


class AsyncRawWebhooks(WebhookCalls, AsyncRawResource):
    """`async_client.with_raw_response.webhooks`."""
