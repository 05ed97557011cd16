"""The position of a page in its listing."""

from __future__ import annotations

from typing import ClassVar

from enprompta.models.base import Model


class Pagination(Model):
    """The `pagination` object of a listing; a field is None if the API does not send it."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("has_more", "total_count", "limit")
    _ESSENTIAL_FIELDS: ClassVar[frozenset[str]] = frozenset({"next_cursor"})
    has_more: bool | None = None
    """True if there are more pages after this one."""
    next_cursor: str | None = None
    """Opaque cursor of the next page."""
    previous_cursor: str | None = None
    """Opaque cursor of the previous page."""
    total_count: int | None = None
    """Number of objects in the whole listing."""
    limit: int | None = None
    """Maximum number of objects per page."""


class OffsetPagination(Pagination):
    """The position of a page in a listing that pages by offset instead of a cursor."""

    next_offset: int | None = None
    """Offset of the next page; None after the last one."""
