"""Read and write the declarations of a prompt's variables as form fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    """One row of fields for each variable of the content.

    Args:
        on_change: Called after the user has changed a declaration.
    """

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._variables: list[PromptVariable] = []
        self._rows: list[dict[str, c.Control]] = []
        self._place = c.box("div", "stack")

    def show(self, variables: list[PromptVariable]) -> None:
        """Show the fields of these variables; does nothing if they are shown already."""
        if [one.name for one in variables] == [one.name for one in self._variables] and self._rows:
            return
        self._variables, self._rows = variables, []
        self._place.clear()
        with self._place:
            if not variables:
                c.text("p", "The content has no variables. Add one as {{name}}.", "muted")
            for variable in variables:
                self._rows.append(self._row(variable))

    def _row(self, variable: PromptVariable) -> dict[str, c.Control]:
        required = {True: "yes", False: "no", None: ""}[variable.required]
        with c.box("fieldset", "declaration"):
            c.text("legend", variable.name, "mono")
            with c.box("div", "form-row"):
                row = {
                    "type": c.select("Type", _with(_TYPES, variable.type or ""), value=variable.type or ""),
                    "required": c.select("Value", _REQUIRED, value=required),
                    "default": c.field("Default", "" if variable.default is None else str(variable.default)),
                    "options": c.field("Options", ", ".join(map(str, variable.options)), placeholder="For select"),
                }
        for control in row.values():
            control.changed(self._on_change)
        return row

    def value(self) -> list[PromptVariable]:
        """Return the declarations as they stand in the form."""
        return [
            variable.model_copy(
                update={
                    "type": row["type"].value or None,
                    "required": _READ_REQUIRED.get(row["required"].value),
                    "default": _default(row["default"].value, row["type"].value),
                    "options": [one.strip() for one in row["options"].value.split(",") if one.strip()],
                }
            )
            for variable, row in zip(self._variables, self._rows, strict=True)
        ]


def _with(known: dict[str, str], value: str) -> dict[str, str]:
    """Add a type that this version does not know to the choices."""
    return known if value in known else {**known, value: value}


def _default(text: str, kind: str) -> Any:  # noqa: ANN401 (any JSON value)
    if not text:
        return None
    if kind == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "number":
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            return text
    return text
