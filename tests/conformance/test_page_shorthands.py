"""A page is not a list: `page[0]` and `len(page)` say what to use instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

from enprompta import Call
from enprompta.models import Pagination
from enprompta.pagination import AsyncPage, Page

PAGE = Page([1, 2], Pagination(has_more=False)).bind(Call("GET", "/numbers", Page[int]), cast("Any", None))
PAGES = [PAGE, AsyncPage(PAGE, cast("Any", None), cast("Any", None))]


@pytest.mark.parametrize("page", PAGES)
def test_len_names_both_counts(page: Any) -> None:
    """`len` could mean this page or the whole listing, so the error names both."""
    with pytest.raises(TypeError, match=r"len\(page\.data\).*page\.pagination\.total_count"):
        len(page)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("index", [0, -1, slice(2), "id"])
def test_indexing_names_the_data(page: Any, index: object) -> None:
    """The error for `page[0]` names `page.data[0]`."""
    with pytest.raises(TypeError, match=r"page\.data\[0\]"):
        page[index]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_always_true(page: Any) -> None:
    """`if page:` works, although `len(page)` does not."""
    assert page


def test_walking_is_unchanged() -> None:
    """The shorthands do not change iteration: `list(page)` works, and an async page needs `async for`."""
    assert list(PAGE) == [1, 2]
    assert 2 in PAGE
    assert not isinstance(PAGES[1], Iterable)
    with pytest.raises(TypeError, match="not iterable"):
        iter(cast("Any", PAGES[1]))
