"""Templates: a gallery of community prompts, with a preview, to fork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing
from enprompta.workbench.prompts.declarations import merged
from enprompta.workbench.prompts.variable_form import Preview, VariableForm
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from enprompta.models import Template
    from enprompta.pagination import AsyncPager


@frame.page("/templates", "Templates")
async def _show() -> None:
    c.header("Templates", "Community prompts. Fork one to get a prompt that you can edit and run.")
    with c.box("div", "toolbar", {"role": "search"}):
        search = c.field("Search", kind="search", placeholder="Title or content", classes="search", is_search=True)
        category = c.field("Category", placeholder="Any")

    def start() -> AsyncPager[Template]:
        return current().client.templates.list(limit=24, search=search.given, category=category.given)

    listing = Listing(start, _gallery, name="templates")
    listing.restart_on(search, category)
    await listing.refresh()


def _gallery(templates: list[Template]) -> None:
    if not templates:
        c.empty("No template matches", "Change the search or the category.")
        return
    with c.box("div", "gallery"):
        for one in templates:
            with c.box("article", "tile"):
                with c.box("div", "row-line"):
                    c.text("h2", one.title, "grow")
                    c.badge(one.category or "other")
                c.text("p", one.description or one.content, "muted clip")
                with c.box("div", "actions"):
                    c.text("span", f"{c.number(one.usage_count)} uses", "muted small")
                    c.button("Preview", lambda one=one: _open(one), attributes={"aria-label": f"Preview {one.title}"})


def _open(template: Template) -> None:
    variables = merged(template.content, template.variables)
    with c.dialog(template.title, wide=True) as opened:
        c.text("p", template.description or "", "muted")
        form = VariableForm(lambda: preview.show(template.content, variables, form.values()))
        form.show(variables)
        preview = Preview()
        preview.show(template.content, variables, form.values())
        title = c.field("Title of your prompt", template.title)

        async def fork() -> None:
            forked = await current().client.templates.fork(template.id, title=title.value or template.title)
            ui.navigate.to(f"/prompts/{c.quote(forked.prompt_id)}")

        c.dialog_actions(opened, "Fork", fork, cancel="Close")
