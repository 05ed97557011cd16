"""Where a page stands in its listing."""

from __future__ import annotations

from enprompta.models.base import Model


class Pagination(Model):
    """The `pagination` object of a listing; every field is None when the API does not tell it."""

    has_more: bool | None = None
    """Whether there are pages after this one."""
    next_cursor: str | None = None
    """What asks for the next page; opaque."""
    previous_cursor: str | None = None
    """What asks for the page before; opaque."""
    total_count: int | None = None
    """Objects in the whole listing."""
    limit: int | None = None
    """Objects a page holds at most."""
