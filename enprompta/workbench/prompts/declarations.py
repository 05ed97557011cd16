"""Read and write the declarations of a prompt's variables as form fields."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.models import PromptVariable
from enprompta.workbench import components as c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TYPES = {"": "Any", "text": "Text", "number": "Number", "boolean": "Boolean", "select": "Select"}
_REQUIRED = {"": "If used", "yes": "Required", "no": "Optional"}
_READ_REQUIRED = {"yes": True, "no": False}


def merged(content: str, declared: Sequence[PromptVariable]) -> list[PromptVariable]:
    """List the variables of a text, in order of use, with their declarations; then declared ones that it lacks."""
    known = {one.name: one for one in declared}
    names = dict.fromkeys([*templating.variables(content), *known])
    return [known.get(name) or PromptVariable(name=name) for name in names]


class DeclarationForm:
    """One row of fields for each variable of the content."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._variables: list[PromptVariable] = []
        self._rows: list[dict[str, c.Control]] = []
        self._place = c.box("div", "stack")

    def show(self, variables: list[PromptVariable], *, rebuild: bool = False) -> None:
        """Show the fields of these variables, and rebuild those that are shown already if that is asked for."""
        if self._rows and not rebuild and [one.name for one in variables] == [one.name for one in self._variables]:
            return
        self._variables, self._rows = variables, []
        self._place.clear()
        with self._place:
            if not variables:
                c.text("p", "The content has no variables. Add one as {{name}}.", "muted")
            for variable in variables:
                self._rows.append(self._row(variable))

    def _row(self, variable: PromptVariable) -> dict[str, c.Control]:
        texts = _texts(variable)
        kind = texts["type"]
        with c.box("fieldset", "declaration"):
            c.text("legend", variable.name, "mono")
            with c.box("div", "form-row"):
                row = {
                    # A type that this version does not know is one of the choices too.
                    "type": c.select("Type", {**_TYPES, kind: _TYPES.get(kind, kind)}, value=kind),
                    "required": c.select("Value", _REQUIRED, value=texts["required"]),
                    "default": c.field("Default", texts["default"]),
                    "options": c.field("Options", texts["options"], placeholder="For select"),
                }
        for control in row.values():
            control.changed(self._on_change)
        return row

    def value(self) -> list[PromptVariable]:
        """Return the declarations as they stand in the form; what was not changed is returned as it was."""
        return [_changed(variable, row) for variable, row in zip(self._variables, self._rows, strict=True)]


def _texts(variable: PromptVariable) -> dict[str, str]:
    return {
        "type": variable.type or "",
        "required": {True: "yes", False: "no", None: ""}[variable.required],
        "default": "" if variable.default is None else str(variable.default),
        "options": ", ".join(map(str, variable.options)),
    }


def _changed(variable: PromptVariable, row: dict[str, c.Control]) -> PromptVariable:
    texts = {name: control.value for name, control in row.items()}
    read = {
        "type": texts["type"] or None,
        "required": _READ_REQUIRED.get(texts["required"]),
        "default": _default(texts["default"], texts["type"]),
        "options": [one.strip() for one in texts["options"].split(",") if one.strip()],
    }
    before = _texts(variable)
    return variable.model_copy(update={name: value for name, value in read.items() if texts[name] != before[name]})


def _default(text: str, kind: str) -> object:
    if not text:
        return None
    if kind == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "number":
        for read in (int, float):
            with suppress(ValueError):
                return read(text)
    return text
