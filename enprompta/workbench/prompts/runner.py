"""Run a prompt on one or several models, side by side; show executions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from enprompta import UNSET
from enprompta.errors import EnpromptaError
from enprompta.workbench import components as c
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from nicegui import ui

    from enprompta.models import Execution
    from enprompta.workbench.prompts.editor import Editor

_PROVIDERS = ("openai", "anthropic", "google")
_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "gemini-2.0-flash")


class _Options(TypedDict, total=False):
    """Options of an execution."""

    temperature: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class _Target:
    """The fields of one model to run on."""

    row: ui.element
    provider: c.Control
    model: c.Control


class Runner:
    """Choose models, run the stored version on all of them, and compare the results."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._targets: list[_Target] = []
        with c.section("Run") as actions:
            with actions:
                c.button("Add model", self._add, icon_name="add")
                c.button("Run", self._run, kind="primary", icon_name="play_arrow")
            with c.box("div", "stack"):
                self._rows = c.box("div", "stack")
                with c.box("div", "form-row narrow"):
                    attributes = {"inputmode": "decimal"}
                    self._temperature = c.field("Temperature", placeholder="0 to 2", attributes=attributes)
                    self._max_tokens = c.field("Max. tokens", placeholder="No limit", attributes=attributes)
                self._note = c.text("p", "", "muted small", {"role": "status"})
        self._add()

    def add_results(self) -> None:
        """Add the place for the results."""
        self._results = c.box("div", "results", {"aria-live": "polite"})

    def _add(self) -> None:
        used = len(self._targets)
        with self._rows, c.box("div", "model-row") as row:
            provider = c.field("Provider", _PROVIDERS[used % len(_PROVIDERS)], suggestions=_PROVIDERS)
            defaults = (_MODELS[0], _MODELS[2], _MODELS[3])
            model = c.field("Model", defaults[used % len(defaults)], suggestions=_MODELS)
            target = _Target(row, provider, model)
            c.icon_button("Remove this model", "close", lambda: self._remove(target), classes="align-end")
        self._targets.append(target)

    def _remove(self, target: _Target) -> None:
        if len(self._targets) > 1:
            self._targets.remove(target)
            target.row.delete()

    async def _run(self) -> None:
        if self._editor.is_changed:
            await self._editor.save()
        self._editor.prompt.render(self._editor.values)  # names what is missing before anything is sent
        options = _options(self._temperature.value, self._max_tokens.value)
        self._note.set_text(f"Running version {self._editor.prompt.version}: one credit for each model")
        self._results.clear()
        with self._results:
            places = [_Result(target.provider.value, target.model.value) for target in self._targets]
        try:
            await asyncio.gather(*(self._run_one(place, options) for place in places))
        finally:
            self._note.set_text("")

    async def _run_one(self, place: _Result, options: _Options) -> None:
        try:
            execution = await current().client.prompts.execute(
                self._editor.prompt.id,
                variables=self._editor.values,
                provider=place.provider or UNSET,
                model=place.model or UNSET,
                **options,
            )
        except EnpromptaError as error:
            place.show_error(error)
        else:
            place.show(execution)


class _Result:
    """The card of one model's result."""

    def __init__(self, provider: str, model: str) -> None:
        self.provider = provider
        self.model = model
        with c.section(" / ".join(one for one in (provider, model) if one) or "Default model", classes="result"):
            self._place = c.box("div", "stack")
        with self._place:
            c.loading("result")

    def show(self, execution: Execution) -> None:
        """Show a finished execution."""
        self._place.clear()
        with self._place:
            show_execution(execution)

    def show_error(self, error: EnpromptaError) -> None:
        """Show why there is no execution."""
        self._place.clear()
        with self._place:
            c.problem(error)


def show_execution(execution: Execution) -> None:
    """Add the output of an execution and its figures."""
    if execution.error:
        c.text("p", execution.error, "note bad")
    if execution.output is not None:
        c.text("div", execution.output, "preview output", {"tabindex": "0", "role": "region", "aria-label": "Output"})
    c.facts(
        [
            ("Status", c.status(execution.status)),
            ("Tokens", c.number(execution.tokens)),
            ("Cost", c.money(execution.cost)),
            ("Latency", c.milliseconds(execution.latency)),
        ]
    )


def _options(temperature: str, max_tokens: str) -> _Options:
    """Read the options that are given."""
    found = _Options()
    if temperature.strip():
        found["temperature"] = c.read_number("Temperature", temperature)
    if max_tokens.strip():
        found["max_tokens"] = int(c.read_number("Max. tokens", max_tokens))
    return found


def execution_table(executions: list[Execution], *, prompts: dict[str, str] | None = None) -> None:
    """Add a table of executions; each opens with its variables and output. Titles by id add a column for the prompt."""
    rows = [
        (
            lambda one=one: c.button(c.when(one.created_at), lambda: open_execution(one), kind="quiet"),
            *([(prompts.get(one.prompt_id or "") or one.prompt_id)] if prompts is not None else []),
            c.status(one.status),
            " / ".join(part for part in (one.provider, one.model) if part),
            c.number(one.tokens),
            c.money(one.cost),
            c.milliseconds(one.latency),
        )
        for one in executions
    ]
    columns = ["When", *(["Prompt"] if prompts is not None else []), "Status", "Model", ">Tokens", ">Cost", ">Latency"]
    c.table(columns, rows, label="Executions")


def open_execution(execution: Execution) -> None:
    """Open a dialog with everything about an execution."""
    with c.dialog("Execution", wide=True):
        show_execution(execution)
        c.facts([("ID", execution.id), ("Provider", execution.provider), ("Model", execution.model)])
        if execution.variables:
            c.text("h3", "Variables")
            c.code(c.pretty(execution.variables), label="Variables")
