"""The envelope of a page of a listing, which says where the page is.

Imported with the first page, because compiling its models takes a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic

from pydantic import ValidationError, WrapValidator
from typing_extensions import NotRequired, TypedDict

from enprompta._core.page import T  # that of `decode`, in which pydantic 2.8 looks it up
from enprompta.models.pagination import OffsetPagination, Pagination

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LenientPageEnvelope", "PageEnvelope", "Pagination", "by_offset"]


class PageEnvelope(TypedDict, Generic[T]):
    """`{"success": true, "data": …, "pagination": …}`."""

    data: T
    pagination: NotRequired[Pagination | None]


def _unreadable(value: object, read: Callable[[object], Pagination | None]) -> Pagination | None:
    """Read a `pagination`; without a readable cursor, a loop over the listing ends with an error."""
    try:
        return read(value)
    except ValidationError:
        return Pagination(has_more=bool(value))  # an empty list is PHP's empty object


class LenientPageEnvelope(TypedDict, Generic[T]):
    """A `PageEnvelope` whose `pagination` may be malformed."""

    data: T
    pagination: NotRequired[Annotated[Pagination | None, WrapValidator(_unreadable)]]


def by_offset(fields: dict[str, Any], count: int, asked: object) -> Pagination:
    """Return the position of a page that has `total`, `limit` and `offset` next to its items."""
    total, limit = fields.get("total"), fields.get("limit")
    offset = fields.get("offset")
    if offset is None:
        offset = asked if isinstance(asked, int) else 0
    has_more = None if total is None else count > 0 and offset + count < total
    if total is None and limit:
        has_more = count >= limit
    return OffsetPagination(
        has_more=bool(has_more), next_offset=offset + count if has_more else None, total_count=total, limit=limit
    )
