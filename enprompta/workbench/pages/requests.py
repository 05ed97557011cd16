"""Requests: a live list of exchanges with filters, and one opened."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from nicegui import ui

from enprompta.exchanges import ExchangeFilter
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.inspector import open_exchange, open_sender
from enprompta.workbench.live import when_left
from enprompta.workbench.sending import Draft
from enprompta.workbench.session import USER_AGENT, current

if TYPE_CHECKING:
    from nicegui.events import GenericEventArguments

    from enprompta.exchanges import Exchange

_ROWS = 120  # rows that the browser has at a time
_MARGIN = 30  # of them above the visible ones
_TICK = 0.4
_TYPING_DELAY = 0.1
_STATUSES = {
    "": "All statuses",
    "error": "Failed",
    **{one: one for one in ("2xx", "3xx", "4xx", "5xx")},
    "none": "No response",
    **{str(one): str(one) for one in (400, 401, 402, 403, 404, 409, 422, 429, 500, 503)},
}


class RequestList(ui.element, component="request_list.js"):
    """The visible rows of a long list."""

    def __init__(self) -> None:
        super().__init__()
        self.show(0, 0, [])

    def show(self, total: int, first: int, rows: list[dict[str, object]]) -> None:
        """Show a window of rows, from the index of the first one given."""
        self.props.update({"total": total, "first": first, "rows": rows})
        self.update()

    def scroll_to_top(self) -> None:
        """Scroll to the first row."""
        self.run_method("scrollToTop")


@frame.page("/requests", "Requests")
async def _show() -> None:
    session = current()
    with c.header("Requests", "What programs send, and what they get back.") as actions, actions:
        c.button("New request", lambda: open_sender(Draft("GET", "/api/v1/prompts")), icon_name="add")
        c.button("Clear", _clear)
    if session.is_live and session.relay_url is None:
        c.text("p", "To see a program's requests to the live service, start the Workbench with --relay.", "note")
    await _Requests().start()


async def _clear() -> None:
    session = current()
    session.log.clear()
    if session.control is not None:
        await session.control.clear_exchanges()


class _Requests:
    """The filters and the list."""

    def __init__(self) -> None:
        self._log = current().log
        self._found: list[Exchange] = []
        self._kept = 0
        self._top = 0
        self._changed = True
        self._hides_own = True
        self._searching = asyncio.Lock()
        with c.box("div", "card"):
            with c.box("div", "toolbar requests-filters"):
                self._status = c.select("Status", _STATUSES)
                self._path = c.field("Path", placeholder="/prompts")
                self._request_id = c.field("Request id", placeholder="req_…")
                self._text = c.field("Text", placeholder="Any part", classes="search", is_search=True)
                c.checkbox("Hide the Workbench's own", self._toggle_own, is_checked=True)
            self._summary = c.text("p", "", "muted small", {"role": "status"})
            with c.box("div", "requests-head", {"aria-hidden": "true"}):
                for name in ("Method", "Path", "Status"):
                    c.text("span", name)
                for name in ("ms", "attempt", "program", "time"):
                    c.text("span", {"ms": "Duration"}.get(name, name.capitalize()), f"requests-{name}")
            self._list = RequestList()
            self._empty = c.box("div")
        for control in (self._status, self._path, self._request_id, self._text):
            control.changed(self._filter, delay=_TYPING_DELAY)
        self._list.on("window", self._scroll)
        self._list.on("open", self._open)

    async def start(self) -> None:
        """Show the list, keep it up to date, and open the exchange that the address names."""
        unsubscribe = self._log.subscribe(self._note)
        when_left(unsubscribe)
        ui.timer(_TICK, self._tick)
        await self._search()
        wanted = ui.context.client.request.query_params.get("id", "")
        if wanted.isdecimal():
            await self._open_id(int(wanted))

    def _note(self, _: Exchange) -> None:
        self._changed = True  # read by the timer; any thread may set it

    async def _tick(self) -> None:
        if self._changed or (self._found and not len(self._log)):
            await self._search()

    async def _toggle_own(self) -> None:
        self._hides_own = not self._hides_own
        await self._filter()

    async def _filter(self) -> None:
        """Show the newest requests that meet the conditions, after these have changed."""
        self._top = 0
        self._list.scroll_to_top()
        await self._search()

    async def _search(self) -> None:
        """Find the exchanges that meet the conditions, on a thread, and show those in view."""
        async with self._searching:
            self._changed = False
            conditions = ExchangeFilter(
                status=self._status.value,
                path=self._path.value,
                request_id=self._request_id.value,
                text=self._text.value,
            )
            self._found, self._kept = await asyncio.to_thread(self._find, conditions, hides_own=self._hides_own)
            self._show_window()

    def _find(self, conditions: ExchangeFilter, *, hides_own: bool) -> tuple[list[Exchange], int]:
        """Return the matching exchanges, and the number of those without conditions."""
        kept = [one for one in self._log.search() if not (hides_own and one.program == USER_AGENT)]
        return [one for one in kept if conditions.matches(one)], len(kept)

    def _show_window(self) -> None:
        total = len(self._found)
        first = max(0, min(self._top - _MARGIN, total - _ROWS))
        self._list.show(total, first, [_row(one) for one in self._found[first : first + _ROWS]])
        kept = self._kept
        self._summary.text = (
            f"{total:,} of {kept:,} requests"
            if total != kept
            else f"{total:,} {'request' if total == 1 else 'requests'}"
        )
        self._empty.clear()
        if not total:
            with self._empty:
                _show_hint(is_filtered=kept > 0)

    def _scroll(self, event: GenericEventArguments) -> None:
        self._top = int(event.args["top"])
        self._show_window()

    async def _open(self, event: GenericEventArguments) -> None:
        await self._open_id(int(event.args))

    async def _open_id(self, exchange_id: int) -> None:
        exchange = self._log.get(exchange_id)
        if exchange is None:
            c.notify("This request is no longer in the log", is_error=True)
        else:
            open_exchange(exchange)


def _row(one: Exchange) -> dict[str, object]:
    tone = "bad" if one.is_error else "good"
    return {
        "id": one.id,
        "method": one.method,
        "path": f"{one.path}?{one.query}" if one.query else one.path,
        "status": "no response" if one.status is None else str(one.status),
        "tone": "warn" if one.status == HTTPStatus.TOO_MANY_REQUESTS else tone,
        "ms": c.milliseconds(one.ms),
        "attempt": str(one.attempt) if one.call is not None else "",
        "program": one.program,
        "time": f"{c.local_time(one.at):%H:%M:%S}",
    }


def _show_hint(*, is_filtered: bool) -> None:
    session = current()
    if is_filtered:
        c.empty("No request matches", "Change the filters, or show the Workbench's own requests.")
    elif session.is_live and session.relay_url is None:
        c.empty("No requests yet", "Programs report their calls with:", code_example=_export(session.report_url))
    else:
        base_url = session.relay_url or session.base_url
        c.empty(
            "No requests yet",
            "Point a program at this address; its requests appear here at once.",
            code_example=f"export ENPROMPTA_BASE_URL={base_url}\n{_export(session.report_url)}",
        )


def _export(report_url: str) -> str:
    return f"export ENPROMPTA_WORKBENCH={report_url}"
