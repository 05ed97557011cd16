"""`client.executions`: inspect executions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enprompta import models
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset, body
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from datetime import date, datetime

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions
    from enprompta.models.executions import Execution, ExecutionStats, GroupBy


class ExecutionCalls(Resource):
    """Calls on executions (API reference: "Prompts")."""

    @operation
    def get(self, execution_id: str, /, **options: Unpack[RequestOptions]) -> Call[Execution]:
        """Fetch one execution by its id.

        Raises:
            NotFoundError: The execution does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/executions/{}", execution_id), models.Execution, options=options)

    @listing
    def list(
        self,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        prompt_id: str | Unset = UNSET,
        provider: str | Unset = UNSET,
        start_date: datetime | date | str | Unset = UNSET,
        end_date: datetime | date | str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[Execution]]:
        """List executions, newest first; iterating over the result fetches all pages.

        Args:
            limit: Executions per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            prompt_id: Only executions of this prompt.
            provider: Only executions on this provider.
            start_date: Only executions from this time on. Times without a zone are UTC; text must be ISO 8601.
            end_date: Only executions up to this time.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        params = body(
            limit=limit, cursor=cursor, promptId=prompt_id, provider=provider, startDate=start_date, endDate=end_date,
        )  # fmt: skip
        return Call("GET", "/executions", Page[models.Execution], params=params, options=options)

    @operation
    def stats(
        self,
        *,
        group_by: GroupBy | Unset = UNSET,
        start_date: datetime | date | str | Unset = UNSET,
        end_date: datetime | date | str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Sequence[ExecutionStats]]:
        """Summarize executions by day, prompt or model.

        Args:
            group_by: `day`, `prompt` or `model`.
            start_date: Only executions from this time on. Times without a zone are UTC; text must be ISO 8601.
            end_date: Only executions up to this time.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: The call failed.
        """
        params = body(groupBy=group_by, startDate=start_date, endDate=end_date)
        return Call("GET", "/executions/stats", Sequence[models.ExecutionStats], params=params, options=options)


class Executions(ExecutionCalls, SyncResource):
    """`client.executions`."""


class AsyncExecutions(ExecutionCalls, AsyncResource):
    """`async_client.executions`."""


class RawExecutions(ExecutionCalls, RawResource):
    """`client.with_raw_response.executions`."""


class AsyncRawExecutions(ExecutionCalls, AsyncRawResource):
    """`async_client.with_raw_response.executions`."""
