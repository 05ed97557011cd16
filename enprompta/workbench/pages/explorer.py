"""API explorer: every operation of the API with a request that works, the response, and the same call as code."""

from __future__ import annotations

from itertools import groupby

from nicegui import ui

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.inspector import sender_form
from enprompta.workbench.operations import Operation, operations, prepare
from enprompta.workbench.session import current


def register() -> None:
    """Register the page."""
    frame.page("/explorer", "API explorer")(_show)


async def _show() -> None:
    known = operations()
    wanted = ui.context.client.request.query_params.get("operation", "")
    chosen = next((one for one in known if one.id == wanted), known[0])
    c.header("API explorer", f"All {len(known)} operations of the API, each with a request that works.")
    with c.box("div", "explorer"):
        with c.box("nav", "card", {"aria-label": "Operations"}):
            _menu(known, chosen)
        with c.box("div", "stack"):
            await _operation(chosen)


def _menu(known: list[Operation], chosen: Operation) -> None:
    for tag, group in groupby(known, key=lambda one: one.tag):
        c.text("div", tag, "nav-section")
        with c.box("ul", "nav-list"):
            for one in group:
                with c.box("li"):
                    link = c.link(f"{one.method} {one.summary}", f"/explorer?operation={c.quote(one.id)}", "nav-link")
                    if one.id == chosen.id:
                        link.props["aria-current"] = "page"


async def _operation(operation: Operation) -> None:
    session = current()
    with c.section(operation.summary):
        c.text("p", f"{operation.method} {operation.path}", "mono")
        if operation.description:
            c.text("p", " ".join(operation.description.split()), "muted")
        if session.is_live:
            c.text("p", "This is your live account: replace the parts in braces by the ids of your objects.", "note")
        elif "{" in operation.path:
            c.text("p", "What this request needs was created on the emulator for you.", "muted small")
        draft = await prepare(operation, session.client, creates=not session.is_live)
        sender_form(draft)
