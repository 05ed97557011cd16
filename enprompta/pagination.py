"""Pagination: pages that fetch the following ones, blocking or async, with one pure rule for the next call."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar, overload

from typing_extensions import ParamSpec

from enprompta._core.operation import AsyncRawResource, AsyncResource, Described, RawResource, Resource, SyncResource
from enprompta._core.page import Paged
from enprompta._core.tracebacks import shorten
from enprompta.errors import APIResponseError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

    import pandas as pd  # pyright: ignore[reportMissingTypeStubs, reportMissingImports]
    import polars as pl  # pyright: ignore[reportMissingImports]

    from enprompta._core.call import Call
    from enprompta._core.operation import AnyResource, Method
    from enprompta._core.response import APIResponse
    from enprompta.models.pagination import Pagination
    from enprompta.tables import Records

__all__ = ["AsyncPage", "AsyncPager", "Page"]

P = ParamSpec("P")
T = TypeVar("T")


def next_call(call: Call[Page[T]], pagination: Pagination) -> Call[Page[T]] | None:
    """Return the call for the page after the one that `call` returned; None after the last page.

    Raises:
        APIResponseError: The API reports more pages but no cursor, or returns the same cursor again.
    """
    if call.within:
        offset: int | None = getattr(pagination, "next_offset", None)
        return None if offset is None else replace(call, params={**call.params, "offset": offset})
    cursor = pagination.next_cursor
    if pagination.has_more is False or (pagination.has_more is None and not cursor):
        return None
    if not cursor:
        raise APIResponseError(
            f"the API reports more pages of {call.path} but no cursor for them; the listing is incomplete",
            status_code=200,
        )
    if cursor == call.params.get("cursor"):
        raise APIResponseError(
            f"the API answered {call.path} with the same cursor as in the request, so the listing would never end",
            status_code=200,
        )
    return replace(call, params={**call.params, "cursor": cursor})


def _position(call: Call[Any]) -> object:
    """Return where the page of a call begins: its cursor or its offset."""
    return call.params.get("cursor", call.params.get("offset"))


class _BasePage(Paged[T]):
    """The common part of both page types, without I/O."""

    _call: Call[Page[T]]

    def has_next_page(self) -> bool:
        """Return True if the API has pages after this one."""
        return next_call(self._call, self.pagination) is not None

    def _next_of_walk(self, followed: set[object]) -> Call[Page[T]] | None:
        """Return the call for the next page of a walk; refuse a cursor or offset that was followed before."""
        followed.add(_position(self._call))
        call = next_call(self._call, self.pagination)
        if call is not None and _position(call) in followed:
            kind = "a cursor" if "cursor" in call.params else "an offset"
            raise APIResponseError(
                f"the API answered {call.path} with {kind} that was followed before, so the listing would never end",
                status_code=200,
            )
        return call

    def _next_call(self) -> Call[Page[T]]:
        call = next_call(self._call, self.pagination)
        if call is None:
            raise EnpromptaError("this is the last page: check has_next_page() before calling next_page()")
        return call

    if not TYPE_CHECKING:  # type checkers report these uses themselves

        def __len__(self) -> int:
            raise TypeError(
                "a page has no len(): use len(page.data) for this page, or page.pagination.total_count for the listing"
            )

        def __getitem__(self, index: object) -> object:
            raise TypeError(
                "a page cannot be indexed: use page.data[0] for this page, or iterate to walk the whole listing"
            )

        def __bool__(self) -> bool:
            return True  # without this, `if page:` would call `__len__`

    def to_pandas(self) -> pd.DataFrame:
        """Return the items of this page as a pandas data frame; `tables.to_pandas(list(page))` has all pages.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        return self._records().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Return the items of this page as a polars data frame; `tables.to_polars(list(page))` has all pages.

        Raises:
            ConfigurationError: polars is not installed.
        """
        return self._records().to_polars()

    def _repr_html_(self) -> str:
        from enprompta.tables import to_html  # noqa: PLC0415 (as in `_records`)

        return to_html(self.data, caption=repr(self).strip("<>"))

    def _records(self) -> Records[T]:
        from enprompta.tables import Records  # noqa: PLC0415 (most programs make no tables)

        return Records(self.data, self._model)

    def __repr__(self) -> str:
        total, has_more = self.pagination.total_count, self.pagination.has_more
        of = "" if total is None else f" of {total}"
        more = "more to come" if has_more or (has_more is None and self.pagination.next_cursor) else "the last page"
        return f"<{type(self).__name__}: {len(self.data)}{of} items, {more}>"


class Page(_BasePage[T]):
    """One page of a listing; iterating over it yields every item of this page and all following ones.

    Raises (while iterating):
        APIResponseError: A cursor is repeated or missing, which would mean an endless loop or lost pages.
        APIError: The request for the next page failed.
    """

    _fetch: Callable[[Call[Page[T]]], Page[T]]

    def bind(self, call: Call[Page[T]], fetch: Callable[[Call[Page[T]]], Page[T]]) -> Page[T]:
        """Set the call that returned this page and the function that fetches others; clients do this."""
        self._call = call
        self._fetch = fetch
        return self

    def next_page(self) -> Page[T]:
        """Fetch the page after this one.

        Raises:
            EnpromptaError: This is the last page.
        """
        try:
            return self._fetch(self._next_call())
        except EnpromptaError as error:
            shorten(error)
            raise error

    def pages(self) -> Iterator[Page[T]]:
        """Iterate over this page and all following ones."""
        try:
            page, followed = self, set[object]()
            yield page
            while (call := page._next_of_walk(followed)) is not None:
                page = self._fetch(call)
                yield page
        except EnpromptaError as error:
            shorten(error)
            raise error

    def __iter__(self) -> Iterator[T]:
        """Iterate over every item of this page and all following ones."""
        try:
            for page in self.pages():
                yield from page.data
        except EnpromptaError as error:
            shorten(error)
            raise error


class AsyncPage(_BasePage[T]):
    """`Page` of the async client; iterate it with `async for`."""

    _fetch: Callable[[Call[Page[T]]], Awaitable[AsyncPage[T]]]

    if not TYPE_CHECKING:
        __iter__ = None  # without this, `__getitem__` would make the page look iterable

    def __init__(
        self, page: Page[T], call: Call[Page[T]], fetch: Callable[[Call[Page[T]]], Awaitable[AsyncPage[T]]]
    ) -> None:
        super().__init__(page.data, page.pagination, page._model)  # noqa: SLF001 (same base class)
        self._call = call
        self._fetch = fetch

    async def next_page(self) -> AsyncPage[T]:
        """Fetch the page after this one.

        Raises:
            EnpromptaError: This is the last page.
        """
        try:
            return await self._fetch(self._next_call())
        except EnpromptaError as error:
            shorten(error)
            raise error

    async def follow(self, followed: set[object]) -> AsyncPage[T] | None:
        """Fetch the page after this one; None after the last page. `followed` has the cursors used so far."""
        call = self._next_of_walk(followed)
        return None if call is None else await self._fetch(call)

    def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Iterate over this page and all following ones."""
        return _AsyncPages(self)

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over every item of this page and all following ones."""
        return _AsyncItems(self.pages())


class AsyncPager(Generic[T]):
    """A listing that was not requested yet: `await` it for its first page, or use `async for` for every item."""

    def __init__(self, call: Call[Page[T]], fetch: Callable[[Call[Page[T]]], Awaitable[AsyncPage[T]]]) -> None:
        self._call = call
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, AsyncPage[T]]:
        return self._fetch(self._call).__await__()

    def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Iterate over all pages."""
        return _AsyncPages(self)

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over every item of all pages."""
        return _AsyncItems(self.pages())

    def __repr__(self) -> str:
        return f"<AsyncPager of {self._call.path}: `await` it for a page, or use `async for` for every item>"


class _AsyncPages(Generic[T]):
    """Iterates over pages. An async generator would stay suspended after `break`, which trio warns about."""

    def __init__(self, start: AsyncPage[T] | AsyncPager[T]) -> None:
        self._start = start
        self._page: AsyncPage[T] | None = None
        self._followed: set[object] = set()

    def __aiter__(self) -> AsyncIterator[AsyncPage[T]]:
        return self

    async def __anext__(self) -> AsyncPage[T]:
        try:
            if self._page is None:
                self._page = self._start if isinstance(self._start, AsyncPage) else await self._start
            else:
                page = await self._page.follow(self._followed)
                if page is None:
                    raise StopAsyncIteration
                self._page = page
        except EnpromptaError as error:
            shorten(error)
            raise error
        return self._page


class _AsyncItems(Generic[T]):
    """Iterates over the items of pages."""

    def __init__(self, pages: AsyncIterator[AsyncPage[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            while True:
                for item in self._items:
                    return item
                self._items = iter((await self._pages.__anext__()).data)
        except EnpromptaError as error:
            shorten(error)
            raise error


class listing(Described[P, "Call[Page[T]]"], Generic[P, T]):
    """Turn a described call into a method that returns `Page[T]`, or `AsyncPager[T]` in the async client."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[Page[T]]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, obj: SyncResource, owner: type, /) -> Callable[P, Page[T]]: ...
    @overload
    def __get__(self, obj: AsyncResource, owner: type, /) -> Callable[P, AsyncPager[T]]: ...
    @overload
    def __get__(self, obj: RawResource, owner: type, /) -> Callable[P, APIResponse[Page[T]]]: ...
    @overload
    def __get__(self, obj: AsyncRawResource, owner: type, /) -> Callable[P, Awaitable[APIResponse[AsyncPage[T]]]]: ...
    @overload
    def __get__(self, obj: None, owner: type, /) -> Callable[..., Any]: ...
    def __get__(self, obj: Resource | None, owner: type, /) -> Any:
        return self._bind(obj, owner)

    def _result(self, annotation: str, owner: type[Resource], /) -> str:
        if owner.is_raw:
            return f"APIResponse[{'Async' if owner.is_async else ''}{annotation}]"
        return annotation.replace("Page[", "AsyncPager[", 1) if owner.is_async else annotation

    def _make(self, owner: type[Resource]) -> Method:
        if owner.is_raw or not owner.is_async:
            return super()._make(owner)
        describe, parameters = self.describe, self.parameters(owner)

        @functools.wraps(describe)
        def method(self: AnyResource, /, *args: object, **kwargs: object) -> object:
            try:
                checked = parameters.checked(args, kwargs)
                if isinstance(checked, TypeError):
                    raise checked
                return AsyncPager(describe(self, *checked, **kwargs), self._client.run)
            except EnpromptaError as error:
                shorten(error)
                raise error

        return method
