"""`client.templates`: prompts of the community, to read and to fork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._core.body import body
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset
from enprompta.models.templates import Template, TemplateFork
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions


class TemplateCalls(Resource):
    """The calls on templates (reference: "Templates")."""

    __slots__ = ()

    @listing
    def list(
        self,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        category: str | Unset = UNSET,
        search: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[Template]]:
        """List templates; iterating the result walks every page.

        Args:
            limit: Templates a page, 1 to 100; the API's default is 20.
            cursor: Where to go on, from a page's `pagination.next_cursor`.
            category: Only those of this category.
            search: Only those that hold this text.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: What any call may raise.
        """
        params = body(limit=limit, cursor=cursor, category=category, search=search)
        return Call("GET", "/templates", Page[Template], params=params, options=options)

    @operation
    def get(self, template_id: str, /, **options: Unpack[RequestOptions]) -> Call[Template]:
        """Fetch one template by its id.

        Raises:
            NotFoundError: There is no such template.
            APIError: What any call may raise.
        """
        return Call("GET", path("/templates/{}", template_id), Template, options=options)

    @operation
    def fork(
        self, template_id: str, /, *, title: str | Unset = UNSET, **options: Unpack[WriteOptions]
    ) -> Call[TemplateFork]:
        """Make a prompt of your own from a template.

        Args:
            template_id: Which template.
            title: The new prompt's title; not given is the template's.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: There is no such template.
            APIError: What any call may raise.
        """
        return Call(
            "POST", path("/templates/{}/fork", template_id), TemplateFork, json=body(title=title), options=options
        )


class Templates(TemplateCalls, SyncResource):
    """`client.templates`."""

    __slots__ = ()


class AsyncTemplates(TemplateCalls, AsyncResource):
    """`async_client.templates`."""

    __slots__ = ()


class RawTemplates(TemplateCalls, RawResource):
    """`client.with_raw_response.templates`."""

    __slots__ = ()


class AsyncRawTemplates(TemplateCalls, AsyncRawResource):
    """`async_client.with_raw_response.templates`."""

    __slots__ = ()
