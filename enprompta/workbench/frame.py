"""The frame of every page: navigation, header, theme, keyboard, and how errors of a page are shown."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nicegui import app, ui

from enprompta.errors import EnpromptaError
from enprompta.workbench import components as c
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    _Show = Callable[..., Awaitable[None]]

STATIC = Path(__file__).parent / "static"
STATIC_URL = "/workbench-static"
FAVICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='7' fill='#4f46e5'/>"
    "<path d='M10 9h12M10 16h8M10 23h12' stroke='#fff' stroke-width='3' stroke-linecap='round'/></svg>"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the navigation."""

    path: str
    title: str
    icon: str
    emulator_only: bool = False


NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    ("", (Entry("/", "Home", "o_home"), Entry("/requests", "Requests", "o_swap_vert"))),
    (
        "Build",
        (
            Entry("/prompts", "Prompts", "o_article"),
            Entry("/templates", "Templates", "o_dashboard_customize"),
            Entry("/workflows", "Workflows", "o_account_tree"),
        ),
    ),
    (
        "Observe",
        (
            Entry("/executions", "Executions", "o_query_stats"),
            Entry("/traces", "Traces", "o_segment"),
            Entry("/webhooks", "Webhooks", "o_webhook"),
        ),
    ),
    (
        "Account",
        (
            Entry("/teams", "Teams", "o_group"),
            Entry("/keys", "Keys", "o_key", emulator_only=True),
            Entry("/faults", "Faults", "o_bolt", emulator_only=True),
            Entry("/explorer", "API explorer", "o_terminal"),
        ),
    ),
)


def install() -> None:
    """Serve the style sheets and the script, and load them on every page; call it once."""
    app.add_static_files(STATIC_URL, STATIC)
    sheets = (f'<link rel="stylesheet" href="{STATIC_URL}/{one.name}">' for one in sorted(STATIC.glob("*.css")))
    ui.add_head_html(f'<script src="{STATIC_URL}/workbench.js"></script>{"".join(sheets)}', shared=True)


def page(path: str, title: str, *, emulator_only: bool = False) -> Callable[[_Show], _Show]:
    """Register an async function as a page; it adds the page's content, after the browser has connected.

    Path parameters are passed by name. An `EnpromptaError` that the function raises is shown in place of the content.

    A page for the emulator only shows a hint in place of its content on the live service.
    """

    def decorate(show: _Show) -> _Show:
        names = list(inspect.signature(show).parameters)

        async def build() -> None:
            client = ui.context.client
            with _shell(path) as main:
                progress = c.box()
            with progress:
                c.loading(title)
            await client.connected()
            with main:
                if emulator_only and current().control is None:
                    c.header(title)
                    c.empty(
                        "This page needs the emulator",
                        "Keys and faults of the live service cannot be changed through the API. "
                        "Start the Workbench without an API key to work on an emulator.",
                    )
                else:
                    await _contents(title, show, {name: client.request.path_params[name] for name in names})
                progress.clear()  # does nothing if the user has left meanwhile

        ui.page(path, title=f"{title} · Enprompta Workbench", language="en-US")(build)
        return show

    return decorate


async def _contents(title: str, show: _Show, arguments: dict[str, str]) -> None:
    try:
        await show(**arguments)
    except EnpromptaError as error:
        c.header(title)
        c.problem(error, retry=ui.navigate.reload)


def _shell(path: str) -> ui.element:
    """Add everything around the content, and return the element for the content."""
    ui.query("body").classes("workbench")
    c.text("a", "Skip to content", "skip-link").props["href"] = "#content"
    with c.box("header", "topbar"):
        menu = c.box("button", "icon-button menu-button").props('type=button aria-label="Menu" aria-expanded=false')
        menu.props["aria-controls"] = "navigation"
        menu.on("click", js_handler="() => workbench.toggleMenu()")
        with menu:
            c.icon("menu")
        with c.box("a", "brand").props('href="/"'):
            c.box("span", "brand-mark").props("aria-hidden=true")
            c.text("span", "Enprompta Workbench")
        _mode()
        c.box("span", "spacer")
        _accounts(path)
        theme = c.box("button", "icon-button").props('type=button aria-label="Switch between light and dark"')
        theme.on("click", js_handler="() => workbench.toggleTheme()")
        with theme:
            c.icon("o_dark_mode")
    with c.box("div", "shell"):
        with c.box("nav", "navigation").props('id=navigation aria-label="Pages"'):
            _navigation(path)
        return c.box("main", "content").props('id=content tabindex="-1"')


def _mode() -> None:
    session = current()
    name, kind = ("Live", "live") if session.is_live else ("Emulator", "emulator")
    with c.box("span", f"mode mode-{kind}"):
        c.text("span", name, "mode-name")
        c.text("span", session.base_url, "mode-url mono")


def _accounts(path: str) -> None:
    session = current()
    if session.is_live:
        return
    picker = c.select("Account", session.accounts, value=session.account, classes="account", hide_label=True)

    async def use() -> None:
        await session.use(picker.value)
        above, separator, _ = path.partition("/{")
        if separator:  # the other account has no object with this id
            ui.navigate.to(above)
        else:
            ui.navigate.reload()

    picker.changed(use)


def _navigation(path: str) -> None:
    is_emulator = current().control is not None
    for section, entries in NAVIGATION:
        shown = [entry for entry in entries if is_emulator or not entry.emulator_only]
        if section:
            c.text("div", section, "nav-section")
        with c.box("ul", "nav-list"):
            for entry in shown:
                with c.box("li"), c.box("a", "nav-link") as link:
                    link.props["href"] = entry.path
                    if path == entry.path or path.startswith(f"{entry.path}/"):
                        link.props["aria-current"] = "page"
                    c.icon(entry.icon)
                    c.text("span", entry.title)
