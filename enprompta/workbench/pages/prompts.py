"""Prompts: browse, search, filter, and create one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nicegui import ui

from enprompta import UNSET
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from enprompta.models import Prompt, Visibility
    from enprompta.pagination import AsyncPager

_VISIBILITIES: dict[Visibility | Literal[""], str] = {
    "": "All",
    "PRIVATE": "Private",
    "TEAM": "Team",
    "PUBLIC": "Public",
}


@frame.page("/prompts", "Prompts")
async def _show() -> None:
    with c.header("Prompts", "Versioned texts with {{variables}}."):
        c.button("New prompt", _create, kind="primary", icon_name="add")
    with c.box("div", "toolbar", {"role": "search"}):
        search = c.field("Search", kind="search", placeholder="Title or content", classes="search", is_search=True)
        category = c.field("Category", placeholder="Any")
        visibility = c.select("Visibility", _VISIBILITIES)

    def start() -> AsyncPager[Prompt]:
        return current().client.prompts.list(
            limit=50, search=search.given, category=category.given, visibility=visibility.chosen or UNSET
        )

    def show(prompts: list[Prompt]) -> None:
        if prompts:
            _table(prompts)
        elif search.value or category.value or visibility.value:
            c.empty("No prompt matches", "Change the search or the filters.")
        else:
            with c.empty("No prompts yet", "Create a prompt here, or fork one of the community templates."):
                c.button("New prompt", _create, kind="primary")
                c.link("Browse templates", "/templates", "button button-plain")

    listing = Listing(start, show, name="prompts")
    listing.restart_on(search, category, visibility)
    await listing.start()


def _table(prompts: list[Prompt]) -> None:
    rows = [
        (
            one.title,
            one.category,
            lambda one=one: _tags(one.tags),
            f"v{one.version}" if one.version else None,
            c.number(one.usage_count),
            c.when(one.updated_at or one.created_at),
        )
        for one in prompts
    ]
    columns = ["Title", "Category", "Tags", ">Version", ">Executions", ">Changed"]
    c.table(columns, rows, label="Prompts", hrefs=[f"/prompts/{c.quote(one.id)}" for one in prompts])


def _tags(tags: list[str]) -> None:
    with c.box("span", "row-line"):
        for tag in tags:
            c.badge(tag)


def _create() -> None:
    with c.dialog("New prompt") as opened:
        with c.box("div", "form"):
            title = c.field("Title", placeholder="Release note")
            content = c.field("Content", lines=6, placeholder="Write a release note about {{topic}}.")
            category = c.field("Category", placeholder="Optional")

        async def create() -> None:
            prompt = await current().client.prompts.create(
                title=title.value, content=content.value, category=category.given
            )
            ui.navigate.to(f"/prompts/{c.quote(prompt.id)}")

        c.dialog_actions(opened, "Create prompt", create)
