"""What the two page types have in common, apart from them: reading an answer must not need what walks pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from enprompta.models.pagination import Pagination

T = TypeVar("T")


class Paged(Generic[T]):
    """Base of the page types: what one answer of a listing holds."""

    data: list[T]
    """The objects of this page, in the API's order."""
    pagination: Pagination
    """Where this page stands in the whole listing."""

    def __init__(self, data: list[T], pagination: Pagination, model: type[T] | None = None) -> None:
        self.data = data
        self.pagination = pagination
        self._model = model  # the class of the items, which an empty page cannot tell
