"""`client.executions`: what came of executing prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enprompta._core.body import body
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset
from enprompta.models.executions import Execution, ExecutionStats
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from datetime import date, datetime

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions
    from enprompta.models.executions import GroupBy


class ExecutionCalls(Resource):
    """The calls on executions (reference: "Prompts")."""

    __slots__ = ()

    @operation
    def get(self, execution_id: str, /, **options: Unpack[RequestOptions]) -> Call[Execution]:
        """Fetch one execution by its id.

        Raises:
            NotFoundError: There is no such execution, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("GET", path("/executions/{}", execution_id), Execution, options=options)

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
        """List executions, the newest first; iterating the result walks every page.

        Args:
            limit: Executions a page, 1 to 100; the API's default is 20.
            cursor: Where to go on, from a page's `pagination.next_cursor`.
            prompt_id: Only those of this prompt.
            provider: Only those run there.
            start_date: Only those from this moment on; a naive one is taken as UTC, text is sent as it is.
            end_date: Only those up to this moment.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: What any call may raise.
        """
        params = body(
            limit=limit, cursor=cursor, promptId=prompt_id, provider=provider, startDate=start_date, endDate=end_date,
        )  # fmt: skip
        return Call("GET", "/executions", Page[Execution], params=params, options=options)

    @operation
    def stats(
        self,
        *,
        group_by: GroupBy | Unset = UNSET,
        start_date: datetime | date | str | Unset = UNSET,
        end_date: datetime | date | str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Sequence[ExecutionStats]]:
        """Sum up executions by day, prompt or model.

        Args:
            group_by: `day`, `prompt` or `model`.
            start_date: Only executions from this moment on; a naive one is taken as UTC, text is sent as it is.
            end_date: Only executions up to this moment.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: What any call may raise.
        """
        params = body(groupBy=group_by, startDate=start_date, endDate=end_date)
        return Call("GET", "/executions/stats", Sequence[ExecutionStats], params=params, options=options)


class Executions(ExecutionCalls, SyncResource):
    """`client.executions`."""

    __slots__ = ()


class AsyncExecutions(ExecutionCalls, AsyncResource):
    """`async_client.executions`."""

    __slots__ = ()


class RawExecutions(ExecutionCalls, RawResource):
    """`client.with_raw_response.executions`."""

    __slots__ = ()


class AsyncRawExecutions(ExecutionCalls, AsyncRawResource):
    """`async_client.with_raw_response.executions`."""

    __slots__ = ()
