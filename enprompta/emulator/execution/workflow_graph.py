"""The dependency graph of a workflow's steps, and its validation.

Steps are JSON objects of the API. Step A depends on step B if `dependsOn` names B, or if a variable of A contains
`{{steps.B.output}}`. A step starts when all its dependencies have completed. The output of a run is that of its final
step: of the steps that no other step depends on, the last one in the workflow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from enprompta import templating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.emulator.errors import Detail

    Step: TypeAlias = Mapping[str, Any]

_INPUT = re.compile(r"input\.(.+)")
_OUTPUT = re.compile(r"steps\.(.+)\.output")
_ATTEMPT = re.compile(r"\{\{\s*(?:input|steps)\b[^{}]*\}\}")  # text that was meant as a reference, valid or not


def dependencies(step: Step) -> list[str]:
    """List the steps that must complete before a step starts, each once."""
    references = (_OUTPUT.fullmatch(name) for text in step["variables"].values() for name in templating.variables(text))
    return list(dict.fromkeys([*step["dependsOn"], *(match[1] for match in references if match)]))


def inputs(steps: Sequence[Step]) -> dict[str, str]:
    """Map each input that the steps refer to, to the first step that does."""
    found: dict[str, str] = {}
    for step in steps:
        for text in step["variables"].values():
            for name in templating.variables(text):
                if match := _INPUT.fullmatch(name):
                    found.setdefault(match[1], step["id"])
    return found


def final_step(steps: Sequence[Step]) -> str:
    """Return the id of the step whose output is the run's output."""
    needed = {it for step in steps for it in dependencies(step)}
    return next(step["id"] for step in reversed(steps) if step["id"] not in needed)


def fill(text: str, given: Mapping[str, object], outputs: Mapping[str, str | None]) -> str:
    """Replace the references in a variable's text by inputs and outputs.

    Raises:
        TemplateError: An input is missing, or is not a string, number or boolean.
    """
    values: dict[str, object] = {}
    for name in templating.variables(text):
        match = _INPUT.fullmatch(name)
        output_of = name.removeprefix("steps.").removesuffix(".output")  # validation admits only inputs and outputs
        values[name] = given.get(match[1]) if match else outputs.get(output_of)
    return templating.render(text, values)


def problems(steps: Sequence[Step]) -> list[Detail]:
    """List invalid ids, references and cycles, as the details of a 400."""
    found: list[Detail] = []
    ids: list[str] = [step["id"] for step in steps]
    for index, step in enumerate(steps):
        where = f"steps[{index}]"
        if step["id"] in ids[:index]:
            found.append({"field": f"{where}.id", "message": f"{step['id']!r} is the id of an earlier step too"})
        for number, needed in enumerate(step["dependsOn"]):
            if needed not in ids:
                found.append({"field": f"{where}.dependsOn[{number}]", "message": f"There is no step {needed!r}"})
        for name, text in step["variables"].items():
            found += ({"field": f"{where}.variables.{name}", "message": it} for it in _invalid_references(text, ids))
    if not found and (cycle := _cycle(steps)):
        message = f"The steps wait for each other: {' needs '.join(map(repr, cycle))}"
        found.append({"field": "steps", "message": message})
    return found


def _invalid_references(text: str, ids: Sequence[str]) -> list[str]:
    messages: list[str] = []
    names = templating.variables(text)
    for name in names:
        output = _OUTPUT.fullmatch(name)
        if output and output[1] not in ids:
            messages.append(f"There is no step {output[1]!r}")
        elif not output and not _INPUT.fullmatch(name):
            messages.append(_unreadable(f"{{{{{name}}}}}"))
    messages += (_unreadable(it) for it in _ATTEMPT.findall(text) if not templating.variables(it))
    return messages


def _unreadable(reference: str) -> str:
    return f"{reference} is no reference; write {{{{input.NAME}}}} or {{{{steps.STEPID.output}}}}"


def _cycle(steps: Sequence[Step]) -> list[str]:
    """Return a cycle of steps, with the first step repeated last; an empty list if there is none."""
    waiting = {step["id"]: dependencies(step) for step in steps}
    while free := [step_id for step_id, needed in waiting.items() if not any(it in waiting for it in needed)]:
        for step_id in free:
            del waiting[step_id]
    if not waiting:
        return []
    path = [next(iter(waiting))]  # every remaining step depends on a remaining step
    while True:
        following = next(it for it in waiting[path[-1]] if it in waiting)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
