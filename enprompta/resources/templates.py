"""`client.templates`: prompts of the community, to read and to fork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta import models
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset, body
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta.models.templates import Template, TemplateFork


class TemplateCalls(Resource):
    """Calls on templates (API reference: "Templates")."""

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
        """List templates; iterating over the result fetches all pages.

        Args:
            limit: Templates per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            category: Only templates in this category.
            search: Only templates that contain this text.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        params = body(limit=limit, cursor=cursor, category=category, search=search)
        return Call("GET", "/templates", Page[models.Template], params=params, options=options)

    @operation
    def get(self, template_id: str, /, **options: Unpack[RequestOptions]) -> Call[Template]:
        """Fetch one template by its id.

        Raises:
            NotFoundError: The template does not exist.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/templates/{}", template_id), models.Template, options=options)

    @operation
    def fork(
        self, template_id: str, /, *, title: str | Unset = UNSET, **options: Unpack[WriteOptions]
    ) -> Call[TemplateFork]:
        """Create a prompt from a template.

        Args:
            template_id: The template's id.
            title: The new prompt's title; the template's if not given.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: The template does not exist.
            APIError: The call failed in another way.
        """
        return Call(
            "POST",
            path("/templates/{}/fork", template_id),
            models.TemplateFork,
            json=body(title=title),
            options=options,
        )


class Templates(TemplateCalls, SyncResource):
    """`client.templates`."""


class AsyncTemplates(TemplateCalls, AsyncResource):
    """`async_client.templates`."""


class RawTemplates(TemplateCalls, RawResource):
    """`client.with_raw_response.templates`."""


class AsyncRawTemplates(TemplateCalls, AsyncRawResource):
    """`async_client.with_raw_response.templates`."""
