"""Listings read every page once, forwards, and end."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from enprompta import APIResponseError, Call, EnpromptaError, InternalServerError, Page
from enprompta.models import Pagination, Prompt
from enprompta.pagination import next_call

LIST = Call("GET", "/prompts", Page[Prompt], params={"limit": 2})


def pagination_of(**pagination: Any) -> Pagination:
    """Build the pagination data of a response."""
    return Pagination.model_validate(pagination)


@pytest.mark.parametrize(
    "pagination",
    [{}, {"has_more": False}, {"has_more": False, "next_cursor": "c"}, {"next_cursor": None}, {"next_cursor": ""}]
)  # fmt: skip
def test_nothing_follows_the_last_page(pagination: dict[str, Any]) -> None:
    """A listing ends if `has_more` is false, or if both it and the cursor are absent."""
    assert next_call(LIST, pagination_of(**pagination)) is None


@pytest.mark.parametrize("pagination", [{"has_more": True, "next_cursor": "c"}, {"next_cursor": "c"}])
def test_the_next_call_is_the_same_with_the_cursor(pagination: dict[str, Any]) -> None:
    """Filters and limit are kept; the original call is unchanged."""
    assert next_call(LIST, pagination_of(**pagination)) == Call(
        "GET", "/prompts", Page[Prompt], params={"limit": 2, "cursor": "c"}
    )
    assert LIST.params == {"limit": 2}


@pytest.mark.parametrize("cursor", [None, ""])
def test_more_without_a_cursor_is_an_error(cursor: str | None) -> None:
    """A truncated listing raises, because it must not look like a complete one."""
    with pytest.raises(APIResponseError, match="/prompts but no cursor for them"):
        next_call(LIST, pagination_of(has_more=True, next_cursor=cursor))


def test_a_repeated_cursor_is_an_error() -> None:
    """A repeated cursor raises, because the listing would never end."""
    call = Call("GET", "/prompts", Page[Prompt], params={"cursor": "c"})
    with pytest.raises(APIResponseError, match="with the same cursor as in the request"):
        next_call(call, pagination_of(has_more=True, next_cursor="c"))


def prompt(number: int) -> dict[str, Any]:
    """Build a prompt in the API's format."""
    return {"id": f"pmt_{number}", "title": "t", "content": "c"}


def page(numbers: list[int], **pagination: Any) -> httpx.Response:
    """Answer with a page of prompts."""
    return httpx.Response(200, json={"success": True, "data": [prompt(n) for n in numbers], "pagination": pagination})


def three_pages() -> list[httpx.Response]:
    """Answer a whole listing, with an empty page in the middle."""
    return [
        page([1, 2], has_more=True, next_cursor="b", total_count=3, limit=2),
        page([], has_more=True, next_cursor="c", total_count=3, limit=2),
        page([3], has_more=False, next_cursor=None, total_count=3, limit=2),
    ]


def numbers(prompts: list[Any]) -> list[int]:
    """Return the numbers in ids."""
    return [int(one.id.removeprefix("pmt_")) for one in prompts]


def test_iterating_walks_every_item_of_every_page(api: Any) -> None:
    """Items come in the API's order, and each page is requested once, with the filters of the call."""
    api.answers(*three_pages())
    assert numbers(api.items(lambda c: c.prompts.list(limit=2, search="x"))) == [1, 2, 3]
    assert [dict(one.url.params) for one in api.requests] == [
        {"limit": "2", "search": "x"},
        {"limit": "2", "search": "x", "cursor": "b"},
        {"limit": "2", "search": "x", "cursor": "c"},
    ]


def test_pages_are_walked_as_pages(api: Any) -> None:
    """`.pages()` yields each page with its position in the listing."""
    api.answers(*three_pages())
    pages = api.items(lambda c: c.prompts.list(limit=2).pages())
    assert [numbers(one.data) for one in pages] == [[1, 2], [], [3]]
    assert [one.pagination.total_count for one in pages] == [3, 3, 3]
    assert [one.has_next_page() for one in pages] == [True, True, False]


def test_pages_are_fetched_one_by_one(api: Any) -> None:
    """A page is requested only when needed."""
    api.answers(*three_pages())
    first = api.run(lambda c: c.prompts.list())
    assert api.sent == 1
    assert first.has_next_page()
    second = api.run(lambda _: first.next_page())
    third = api.run(lambda _: second.next_page())
    assert numbers(third.data) == [3]
    assert not third.has_next_page()
    with pytest.raises(EnpromptaError, match="this is the last page: check has_next_page"):
        api.run(lambda _: third.next_page())
    assert api.sent == 3


def test_a_page_can_be_walked_from_where_it_stands(api: Any) -> None:
    """Iterating a page starts from that page, every time."""
    api.answers(three_pages()[0])
    first = api.run(lambda c: c.prompts.list())
    for _ in range(2):
        api.answers(*three_pages()[1:])
        assert numbers(api.items(lambda _: first)) == [1, 2, 3]
    api.answers(*three_pages()[1:])
    assert len(api.items(lambda _: first.pages())) == 3


def test_a_walk_may_be_left_early(api: Any) -> None:
    """Leaving a loop fetches no further page, and leaves no generator that an event loop would warn about."""
    api.answers(*three_pages())
    assert numbers(api.items(lambda c: c.prompts.list(), most=2)) == [1, 2]
    assert api.sent == 1
    api.answers(*three_pages())
    assert len(api.items(lambda c: c.prompts.list().pages(), most=2)) == 2
    assert api.sent == 2


def test_an_iterator_continues_where_it_stopped(api: Any) -> None:
    """Several loops can share one iterator."""
    api.answers(*three_pages())
    walk = (lambda page: page.__aiter__()) if api.is_async else iter
    items = walk(api.client.prompts.list())
    assert numbers(api.items(lambda _: items, most=1)) == [1]
    assert numbers(api.items(lambda _: items)) == [2, 3]
    assert api.items(lambda _: items) == []


def test_a_repeated_cursor_ends_the_walk_with_an_error(api: Any) -> None:
    """A repeated cursor raises after the previous items were returned, and never loops."""
    api.answers(page([1], has_more=True, next_cursor="a"), page([2], has_more=True, next_cursor="a"))
    seen: list[Any] = []
    with pytest.raises(APIResponseError, match="the same cursor as in the request, so the listing would never end"):
        api.items(lambda c: c.prompts.list(), then=seen.append)
    assert numbers(seen) == [1, 2]
    assert api.sent == 2


@pytest.mark.parametrize("start", [None, "b"])
def test_a_longer_circle_is_noticed(api: Any, start: str | None) -> None:
    """A cursor used before ends the listing with an error, even if it is the caller's initial cursor."""
    circle = {"b": "c", "c": "d", "d": "b"}

    def answer(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor")
        return page([1], has_more=True, next_cursor="b" if cursor is None else circle[cursor])

    api.always(answer)
    keywords = {"cursor": start} if start else {}
    for do in (lambda c: c.prompts.list(**keywords), lambda c: c.prompts.list(**keywords).pages()):
        api.always(answer)
        with pytest.raises(APIResponseError, match="a cursor that was followed before"):
            api.items(do)
        assert api.sent == (3 if start else 4)


def test_more_without_a_cursor_ends_the_walk_with_an_error(api: Any) -> None:
    """The received items are returned before the error reports that some are missing."""
    api.answers(page([1], has_more=True))
    seen: list[Any] = []
    with pytest.raises(APIResponseError, match="the listing is incomplete"):
        api.items(lambda c: c.prompts.list(), then=seen.append)
    assert numbers(seen) == [1]
    api.answers(page([1], has_more=True))
    first = api.run(lambda c: c.prompts.list())
    with pytest.raises(APIResponseError):
        first.has_next_page()


def test_a_failed_page_raises_the_error_of_its_call(api: Any) -> None:
    """A page that fails permanently raises what any call would; pages are retried like any call."""
    api.answers(three_pages()[0], httpx.Response(503), *three_pages()[1:])
    assert numbers(api.items(lambda c: c.prompts.list())) == [1, 2, 3]
    api.answers(three_pages()[0], *[httpx.Response(503) for _ in range(4)])
    with pytest.raises(InternalServerError):
        api.items(lambda c: c.prompts.list())


def test_a_page_shows_where_it_stands(api: Any) -> None:
    """`repr` shows the number of items, the total, and if more pages follow."""
    kind = "AsyncPage" if api.is_async else "Page"
    for answer, text in (
        (page([1, 2], has_more=True, next_cursor="b", total_count=3), "2 of 3 items, more to come"),
        (page([1], has_more=False, next_cursor="b", total_count=3), "1 of 3 items, the last page"),
        (page([1], next_cursor="b"), "1 items, more to come"),
        (httpx.Response(200, content=json.dumps([]).encode()), "0 items, the last page"),
    ):
        api.answers(answer)
        assert repr(api.run(lambda c: c.prompts.list())) == f"<{kind}: {text}>"


def test_run_walks_a_page_of_any_call(api: Any) -> None:
    """A page of an endpoint that has no method yet walks like any other."""
    api.answers(*three_pages())
    first = api.run(lambda c: c.run(Call("GET", "/beta/prompts", Page[Prompt])))
    assert numbers(api.items(lambda _: first)) == [1, 2, 3]
    assert {one.url.path for one in api.requests} == {"/api/v1/beta/prompts"}
