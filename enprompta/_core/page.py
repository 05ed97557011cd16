"""Base class of the two page types, in a separate module so that decoding does not import `pagination`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from enprompta.models.pagination import Pagination

T = TypeVar("T")


class Paged(Generic[T]):
    """Base class of the page types: one page of a listing."""

    data: list[T]
    """Objects of this page, in the API's order."""
    pagination: Pagination
    """Position of this page in the listing."""

    def __init__(self, data: list[T], pagination: Pagination, model: type[T] | None = None) -> None:
        self.data = data
        self.pagination = pagination
        self._model = model  # class of the items, needed for an empty page
