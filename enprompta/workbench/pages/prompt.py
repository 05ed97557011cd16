"""One prompt: edit, preview, run on several models, versions, and history."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from nicegui import ui

from enprompta.errors import NotFoundError
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing, Region
from enprompta.workbench.prompts.editor import Editor
from enprompta.workbench.prompts.runner import Runner, execution_table
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from datetime import datetime

    from enprompta.emulator import EmulatorControl
    from enprompta.models import Execution, Prompt

_LABEL = "production"


@frame.page("/prompts/{prompt_id}", "Prompt")
async def _show(prompt_id: str) -> None:
    prompt = await current().client.prompts.get(prompt_id)
    ui.page_title(f"{prompt.title} · Enprompta Workbench")
    subtitle = " · ".join(part for part in (prompt.id, prompt.slug) if part)
    with c.header(prompt.title, subtitle, back=("Prompts", "/prompts")):
        c.button("Delete", lambda: _confirm_delete(prompt), kind="danger")

    async def saved(_: Prompt) -> None:
        await versions.refresh()

    with c.box("div", "columns"):
        with c.box("div", "stack"):
            editor = Editor(prompt, saved)
        with c.box("div", "stack"):
            with c.section("Preview"), c.box("div", "stack"):
                editor.add_preview()
            runner = Runner(editor)
    runner.add_results()
    versions = Versions(prompt)
    with c.section("History"):
        history: Listing[Execution] = Listing(
            lambda: current().client.executions.list(prompt_id=prompt_id, limit=10), _history, name="executions"
        )
    await versions.refresh()
    await history.start()


def _history(executions: list[Execution]) -> None:
    if executions:
        execution_table(executions)
    else:
        c.empty("Not executed yet", "Fill in the variables above and run the prompt.")


def _confirm_delete(prompt: Prompt) -> None:
    async def delete() -> None:
        await current().client.prompts.delete(prompt.id)
        ui.navigate.to("/prompts")

    c.confirm(
        f"Delete {prompt.title}?",
        "The prompt, its versions and its labels are deleted. Executions stay.",
        "Delete prompt",
        delete,
    )


class Version(NamedTuple):
    """One version of a prompt's content."""

    number: str
    content: str
    created: datetime | None
    labels: tuple[str, ...]


class Versions(Region[list[Version]]):
    """The list of versions, with a diff."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        with c.section("Versions"):
            super().__init__(self._load, self._show, name="versions")

    async def _load(self) -> list[Version]:
        session = current()
        if session.control is not None:
            return [
                Version(str(one["version"]), one["content"], c.moment(one["createdAt"]), tuple(one["labels"]))
                for one in await session.control.versions(self._prompt.id)
            ]
        return await self._known_to_the_api()

    async def _known_to_the_api(self) -> list[Version]:
        """List the newest version and the one that is live: the API returns no others."""
        client = current().client
        prompt = await client.prompts.get(self._prompt.id)
        newest = Version(str(prompt.version or "newest"), prompt.content, None, ())
        try:
            live = await client.prompts.get_live(prompt.slug or prompt.id, label=_LABEL, ttl=0)
        except NotFoundError:
            return [newest]
        number = str(live.version.number) if live.version else _LABEL
        if number == newest.number:
            return [newest._replace(labels=(_LABEL,))]
        return [newest, Version(number, live.content or "", None, (_LABEL,))]

    def _show(self, versions: list[Version]) -> None:
        by_number = {one.number: one for one in versions}
        with c.box("div", "stack padded"):
            if current().is_live:
                c.text("p", "The API returns the newest version and the live one, but no others.", "muted")
            with c.box("div", "version-list"):
                for one in versions:
                    with c.box("div", "row-line"):
                        c.text("strong", f"v{one.number}")
                        for label in one.labels:
                            c.badge(label, "good")
                        if one.created is not None:
                            c.when(one.created)()
            control = current().control
            if control is not None:
                self._labels(versions, control)
            if len(versions) > 1:
                self._compare(by_number)

    def _labels(self, versions: list[Version], control: EmulatorControl) -> None:
        with c.box("div", "toolbar"):
            label = c.field("Label", _LABEL, suggestions=(_LABEL, "staging"))
            version = c.select("Points at", {one.number: f"v{one.number}" for one in versions})

            async def move() -> None:
                await control.set_label(self._prompt.id, label.value, int(version.value))
                c.notify(f"{label.value} now points at version {version.value}")
                await self.refresh()

            c.button("Move label", move)

    def _compare(self, versions: dict[str, Version]) -> None:
        names = {number: f"v{number}" for number in versions}
        newest, before, *_ = versions
        with c.box("div", "toolbar"):
            old = c.select("Compare", names, value=before)
            new = c.select("With", names, value=newest)
        place = c.box("div", "diff mono", {"role": "region", "aria-label": "Difference", "tabindex": "0"})

        def show() -> None:
            place.clear()
            with place:
                show_diff(versions[old.value].content, versions[new.value].content)

        old.changed(show)
        new.changed(show)
        show()


def show_diff(old: str, new: str) -> None:
    """Add the lines of two texts: removed, added and unchanged."""
    if old == new:
        c.text("div", "No difference", "diff-line muted")
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    for line in (one for one in lines if not one.startswith("?")):  # those mark the differences within a line
        kind = {"+": "diff-add", "-": "diff-remove"}.get(line[0], "")
        c.text("div", line, f"diff-line {kind}")
