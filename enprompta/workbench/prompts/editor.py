"""Edit a prompt with a preview that follows every key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enprompta.workbench import components as c
from enprompta.workbench.prompts.declarations import DeclarationForm, merged
from enprompta.workbench.prompts.variable_form import Preview, VariableForm
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.models import Prompt, PromptVariable

_TYPING_DELAY = 0.12


class Editor:
    """The draft of a prompt: its fields, the values of its variables, and a preview."""

    def __init__(self, prompt: Prompt, on_save: Callable[[Prompt], Awaitable[None]]) -> None:
        self.prompt: Prompt = prompt
        self._on_save = on_save
        with c.section("Edit") as actions:
            with actions:
                self._state = c.text("span", "", "muted small", {"role": "status"})
                c.button("Save", self.save, kind="primary")
            with c.box("div", "form"):
                self._title = c.field("Title", prompt.title)
                self._content = c.field("Content", prompt.content, lines=9)
                with c.box("div", "form-row"):
                    self._category = c.field("Category", prompt.category or "")
                    self._tags = c.field("Tags", ", ".join(prompt.tags), placeholder="Separated by commas")
                self._description = c.field("Description", prompt.description or "")
                with c.box("details", "details"):
                    c.text("summary", "Variable declarations")
                    self._declarations = DeclarationForm(self._changed)
        for control in (self._title, self._category, self._tags, self._description):
            control.changed(self._mark)
        self._content.changed(self._changed, delay=_TYPING_DELAY)

    def add_preview(self) -> None:
        """Add the fields for the variables' values and the preview, at the current place."""
        self._values = VariableForm(self._show_preview)
        self._preview = Preview()
        self._declarations.show(merged(self.prompt.content, self.prompt.variables))
        self._changed()

    @property
    def values(self) -> dict[str, str]:
        """The values that were entered for the variables."""
        return self._values.values()

    @property
    def is_changed(self) -> bool:
        """True if the draft differs from the stored prompt."""
        return bool(self._changes())

    async def save(self) -> None:
        """Send what has changed; changed content becomes a new version."""
        changes = self._changes()
        if not changes:
            c.notify("Nothing has changed.")
            return
        saved = await current().client.prompts.update(self.prompt.id, **changes)
        is_new = saved.version != self.prompt.version
        self.prompt = saved
        self._declarations.show(merged(saved.content, saved.variables), rebuild=True)
        self._changed()
        c.notify(f"Saved as version {saved.version}" if is_new else "Saved")
        await self._on_save(saved)

    def _variables(self) -> list[PromptVariable]:
        return merged(self._content.value, self._declarations.value())

    def _changed(self) -> None:
        used = [one for one in self._variables() if one.name in self._names()]
        self._declarations.show(used)
        self._values.show(self._declarations.value())
        self._show_preview()
        self._mark()

    def _names(self) -> set[str]:
        """Name the variables of the draft, and those that are declared although the stored content lacks them."""
        stored = {one.name for one in self.prompt.variables}
        return {one.name for one in merged(self._content.value, [])} | stored

    def _show_preview(self) -> None:
        self._preview.show(self._content.value, self._declarations.value(), self.values)

    def _mark(self) -> None:
        self._state.set_text("Unsaved changes" if self.is_changed else "")

    def _changes(self) -> dict[str, Any]:
        prompt = self.prompt
        tags = [one.strip() for one in self._tags.value.split(",") if one.strip()]
        pairs: dict[str, tuple[object, object]] = {
            "title": (self._title.value, prompt.title),
            "content": (self._content.value, prompt.content),
            "category": (self._category.value or None, prompt.category or None),
            "description": (self._description.value or None, prompt.description or None),
            "tags": (tags, prompt.tags),
        }
        changes = {name: new for name, (new, old) in pairs.items() if new != old}
        declared = [_plain(one) for one in self._declarations.value()]
        if declared != [_plain(one) for one in merged(prompt.content, prompt.variables)]:
            changes["variables"] = declared
        return changes


def _plain(variable: PromptVariable) -> dict[str, object]:
    return {name: value for name, value in variable.model_dump().items() if value not in (None, [])}
