"""Parts of a page that load data and stay up to date without a reload."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from nicegui import ui

from enprompta.errors import EnpromptaError
from enprompta.workbench.components import loading, problem
from enprompta.workbench.controls import box, button, text
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.exchanges import Exchange
    from enprompta.pagination import AsyncPager
    from enprompta.workbench.controls import Control

T = TypeVar("T")
TYPING_DELAY = 0.3
"""Seconds without a key after which a filter applies."""
_TICK = 0.5
_LIVE_INTERVAL = 30.0
"""Seconds between refreshes on the live service, where each costs requests of the rate limit."""


class Region(Generic[T]):
    """A part of a page: `load` fetches its data, and `show` adds the elements for it, or for an `EnpromptaError`.

    The elements are replaced only when the data has changed, so that nothing flickers and the focus stays.
    """

    def __init__(self, load: Callable[[], Awaitable[T]], show: Callable[[T], None], *, name: str = "data") -> None:
        self._fetch = load
        self._add = show
        self._shown: tuple[T] | None = None
        self._requested = 0
        self._latest_shown = asyncio.Event()
        self._container = box("div", "region", {"aria-live": "off"})
        with self._container:
            loading(name)

    @property
    def data(self) -> T | None:
        """The data that is shown; None before the first, and after an error."""
        return self._shown[0] if self._shown else None

    async def start(self, *, every: float | None = None) -> None:
        """Load the data, and keep it up to date as `keep_fresh` does."""
        keep_fresh(self.refresh, every=every)
        await self.refresh()

    async def refresh(self, *, rebuild: bool = False) -> None:
        """Load the data again, and show it if it has changed or must be rebuilt; it is not older than the call."""
        self._requested += 1
        request = self._requested
        self._latest_shown.clear()
        try:
            await self._refresh(request, rebuild=rebuild)
        finally:
            if request == self._requested:
                self._latest_shown.set()
        await self._latest_shown.wait()

    async def _refresh(self, request: int, *, rebuild: bool) -> None:
        try:
            loaded: T | EnpromptaError = await self._fetch()
        except EnpromptaError as error:
            loaded = error
        if request != self._requested or self._container.is_deleted:  # a later refresh, or the user has left
            return
        if isinstance(loaded, EnpromptaError):
            self._shown = None
            self._container.clear()
            with self._container:
                problem(loaded, retry=self.refresh)
        elif self._shown is None or rebuild or self._shown[0] != loaded:
            self._shown = (loaded,)
            self._container.clear()
            with self._container:
                self._add(loaded)

    def redraw(self) -> None:
        """Show the data that is loaded again, after a filter that needs no request has changed."""
        for data in self._shown or ():
            self._container.clear()
            with self._container:
                self._add(data)


def keep_fresh(refresh: Callable[[], Awaitable[object]], *, every: float | None = None) -> None:
    """Call `refresh` after any program has changed something, or regularly on the live service and as given."""
    session = current()
    is_due = False
    interval = every if session.control is not None else _LIVE_INTERVAL
    refreshed_at = time.monotonic()
    running: asyncio.Lock = asyncio.Lock()

    def observe(exchange: Exchange) -> None:
        nonlocal is_due
        is_due = is_due or exchange.method not in {"GET", "HEAD", "OPTIONS"}

    async def tick() -> None:
        nonlocal is_due, refreshed_at
        is_late = interval is not None and time.monotonic() - refreshed_at >= interval
        if running.locked() or not (is_due or is_late):
            return
        async with running:
            is_due, refreshed_at = False, time.monotonic()
            await refresh()

    unsubscribe = session.log.subscribe(observe)
    when_left(unsubscribe)
    ui.timer(_TICK, tick)


def when_left(handler: Callable[[], None]) -> None:
    """Call a handler after the user has left the current page."""
    ui.context.client.on_delete(handler)  # pyright: ignore[reportUnknownMemberType] (partly untyped)


class Listing(Region[tuple[list[T], int | None, bool]], Generic[T]):
    """A list that shows its first pages, and more on request; the whole is loaded again on each refresh."""

    def __init__(self, pager: Callable[[], AsyncPager[T]], show: Callable[[list[T]], None], *, name: str) -> None:
        super().__init__(self._load_pages, self._show_pages, name=name)
        self._pager = pager
        self._show_items = show
        self._name = name
        self._pages = 1

    def restart_on(self, *filters: Control) -> None:
        """Load the first page again after one of these fields has changed."""
        for one in filters:
            one.changed(self._restart, delay=TYPING_DELAY)

    async def _restart(self) -> None:
        self._pages = 1
        await self.refresh()

    async def _load_pages(self) -> tuple[list[T], int | None, bool]:
        page = await self._pager()
        items = list(page.data)
        wanted = self._pages - 1
        while wanted and page.has_next_page():
            page, wanted = await page.next_page(), wanted - 1
            items += page.data
        return items, page.pagination.total_count, page.has_next_page()

    def _show_pages(self, loaded: tuple[list[T], int | None, bool]) -> None:
        items, total, has_more = loaded
        self._show_items(items)
        if items:
            with box("div", "list-end"):
                shown = f"{len(items):,} {self._name}" if total is None else f"{len(items):,} of {total:,} {self._name}"
                text("span", shown, "muted small", {"role": "status"})
                if has_more:
                    button("Load more", self._more)

    async def _more(self) -> None:
        self._pages += 1
        await self.refresh()
