"""API explorer: every operation of the API with a request that works, the response, and the same call as code."""

from __future__ import annotations

from itertools import groupby

from nicegui import ui

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.inspector import sender_form
from enprompta.workbench.operations import Operation, operations, prepare
from enprompta.workbench.session import current

_TYPING_DELAY = 0.15
# Not `scrollIntoView`, which scrolls the page too.
_SHOW_CURRENT = """
const current = document.querySelector(".operations [aria-current]");
const list = current?.closest(".operations");
if (list) list.scrollTop = current.offsetTop - list.clientHeight / 2;
"""


@frame.page("/explorer", "API explorer")
async def _show() -> None:
    known = operations()
    wanted = ui.context.client.request.query_params.get("operation", "")
    chosen = next((one for one in known if one.id == wanted), known[0])
    c.header("API explorer", f"All {len(known)} operations of the API, each with a request that works.")
    with c.box("div", "explorer"):
        with c.box("nav", "card operations", {"aria-label": "Operations"}):
            search = c.field("Search", kind="search", placeholder="Operation", is_search=True, hide_label=True)
            menu = c.box("div")

        def show() -> None:
            wanted = search.value.casefold()
            menu.clear()
            with menu:
                texts = ((one, f"{one.id} {one.method} {one.path} {one.summary}") for one in known)
                _menu([one for one, text in texts if wanted in text.casefold()], chosen)

        search.changed(show, delay=_TYPING_DELAY)
        show()
        with c.box("div", "stack"):
            await _operation(chosen)


def _menu(known: list[Operation], chosen: Operation) -> None:
    if not known:
        c.text("p", "No operation matches.", "muted")
    for tag, group in groupby(known, key=lambda one: one.tag):
        c.text("div", tag, "nav-section")
        with c.box("ul", "nav-list"):
            for one in group:
                with c.box("li"):
                    with c.box("a", "nav-link", {"href": f"/explorer?operation={c.quote(one.id)}"}) as link:
                        c.text("span", one.method, f"method method-{one.method.lower()}")
                        c.text("span", one.summary)
                    if one.id == chosen.id:
                        link.props["aria-current"] = "page"
    ui.run_javascript(_SHOW_CURRENT)


async def _operation(operation: Operation) -> None:
    session = current()
    with c.section(operation.summary):
        c.text("p", f"{operation.method} {operation.path}", "mono break")
        if operation.description:
            c.text("p", " ".join(operation.description.split()), "muted")
        if session.is_live:
            c.text("p", "This is your live account: replace the parts in braces by the ids of your objects.", "note")
        elif "{" in operation.path:
            c.text("p", "What this request needs was created on the emulator for you.", "muted small")
        draft = await prepare(operation, session.client, creates=not session.is_live)
        sender_form(draft)
