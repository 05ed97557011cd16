"""`client.usage`: usage, billing and invoices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enprompta import models
from enprompta._core.call import Call
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset, body
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from datetime import date, datetime

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions
    from enprompta.models.executions import GroupBy
    from enprompta.models.usage import Billing, Invoice, UsageRecord
    from enprompta.models.usage import Usage as UsageModel


class UsageCalls(Resource):
    """Calls on usage and billing (API reference: "Usage & Billing")."""

    @operation
    def get(self, **options: Unpack[RequestOptions]) -> Call[UsageModel]:
        """Fetch the account's usage in the current billing period.

        Raises:
            APIError: The call failed.
        """
        return Call("GET", "/usage", models.Usage, options=options)

    @operation
    def history(
        self,
        *,
        start_date: datetime | date | str | Unset = UNSET,
        end_date: datetime | date | str | Unset = UNSET,
        group_by: GroupBy | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Sequence[UsageRecord]]:
        """Summarize usage by day, prompt or model.

        Args:
            start_date: Only usage from this time on. Times without a zone are UTC; text must be ISO 8601.
            end_date: Only usage up to this time.
            group_by: `day`, `prompt` or `model`.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: The call failed.
        """
        params = body(startDate=start_date, endDate=end_date, groupBy=group_by)
        return Call("GET", "/usage/history", Sequence[models.UsageRecord], params=params, options=options)

    @operation
    def billing(self, **options: Unpack[RequestOptions]) -> Call[Billing]:
        """Fetch the subscription.

        Raises:
            APIError: The call failed.
        """
        return Call("GET", "/billing", models.Billing, options=options)

    @listing
    def invoices(
        self, *, limit: int | Unset = UNSET, cursor: str | Unset = UNSET, **options: Unpack[RequestOptions]
    ) -> Call[Page[Invoice]]:
        """List invoices, newest first; iterating over the result fetches all pages.

        Args:
            limit: Invoices per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        return Call(
            "GET", "/billing/invoices", Page[models.Invoice], params=body(limit=limit, cursor=cursor), options=options
        )


class Usage(UsageCalls, SyncResource):
    """`client.usage`."""


class AsyncUsage(UsageCalls, AsyncResource):
    """`async_client.usage`."""


class RawUsage(UsageCalls, RawResource):
    """`client.with_raw_response.usage`."""


class AsyncRawUsage(UsageCalls, AsyncRawResource):
    """`async_client.with_raw_response.usage`."""
