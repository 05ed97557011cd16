"""A form for the values of a prompt's variables, and a preview of the text with them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.workbench import components as c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enprompta.models import PromptVariable


def segments(content: str) -> list[tuple[str, str | None]]:
    """Split a text into pieces of plain text and variables; the second value is the variable's name, or None."""
    names = templating.variables(content)
    mark = secrets.token_hex(12)
    marked = templating.render(content, {name: f"{mark}{index}{mark}" for index, name in enumerate(names)})
    pieces = marked.split(mark)
    return [
        (names[int(piece)], names[int(piece)]) if place % 2 else (piece, None) for place, piece in enumerate(pieces)
    ]


class VariableForm:
    """One field for each variable, made from its declaration."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._controls: dict[str, c.Control] = {}
        self._variables: list[PromptVariable] = []
        self._kept: dict[str, str] = {}
        self._place = c.box("div", "form-row values")

    def show(self, variables: Sequence[PromptVariable]) -> None:
        """Show the fields of these variables, and keep values that were entered."""
        if list(variables) == self._variables:
            return
        self._kept |= {name: control.value for name, control in self._controls.items()}
        self._variables, self._controls = list(variables), {}
        self._place.clear()
        with self._place:
            for variable in variables:
                control = _control(variable, self._kept.get(variable.name, ""))
                control.changed(self._on_change)
                self._controls[variable.name] = control

    def values(self) -> dict[str, str]:
        """Return the values that were entered; empty fields count as not given."""
        return {name: control.value for name, control in self._controls.items() if control.value}


def _control(variable: PromptVariable, value: str) -> c.Control:
    default = None if variable.default is None else _shown(variable.default)
    hint = variable.description or ""
    choices = [_shown(one) for one in variable.options] if variable.type == "select" else []
    if variable.type == "boolean":
        choices = ["true", "false"]
    if choices:
        unset = "Not set" if default is None else f"Default: {default}"
        chosen = value if value in choices else ""
        return c.select(variable.name, {"": unset, **{one: one for one in choices}}, value=chosen)
    attributes = {"inputmode": "decimal"} if variable.type == "number" else None
    placeholder = "" if default is None else f"Default: {default}"
    return c.field(variable.name, value, lines=1, hint=hint, placeholder=placeholder, attributes=attributes)


class Preview:
    """The text with the values filled in, and what is missing or wrong."""

    def __init__(self) -> None:
        self._place = c.box("div", "stack")

    def show(self, content: str, variables: Sequence[PromptVariable], values: dict[str, str]) -> None:
        """Render the text again."""
        declared = {one.name: one for one in variables}
        problems = {one.field: one.message for one in templating.validate(variables, values, content)}
        self._place.clear()
        with self._place:
            with c.box("div", "preview", {"role": "region", "aria-label": "Preview", "tabindex": "0"}):
                for piece, name in segments(content):
                    if name is None:
                        c.text("span", piece)
                        continue
                    default = declared[name].default if name in declared else None
                    value = values.get(name) or ("" if default is None else _shown(default))
                    missing = name in problems
                    c.text("mark", f"{{{{{name}}}}}" if missing else value, "missing" if missing else "")
            with c.box("div", "stack", {"role": "status"}):
                for name, message in problems.items():
                    c.text("p", f"{name}: {message}", "note warn")


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
