"""What a workflow's steps say of their order: which refers to which, and whether that can come out even.

Steps are objects as on the wire. Step A needs step B when `dependsOn` names B or when a variable of A holds
`{{steps.B.output}}`; a step begins when all it needs have completed. The output of a run is that of its last step: of
those that no other needs, the one that comes last in the workflow.
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
_MEANT = re.compile(r"\{\{\s*(?:input|steps)\b[^{}]*\}\}")  # what was surely meant as a reference


def needs(step: Step) -> list[str]:
    """List the steps that must have completed before one begins, each once."""
    references = (_OUTPUT.fullmatch(name) for text in step["variables"].values() for name in templating.variables(text))
    return list(dict.fromkeys([*step["dependsOn"], *(match[1] for match in references if match)]))


def inputs(steps: Sequence[Step]) -> dict[str, str]:
    """Tell which inputs are referred to, and by which step first."""
    found: dict[str, str] = {}
    for step in steps:
        for text in step["variables"].values():
            for name in templating.variables(text):
                if match := _INPUT.fullmatch(name):
                    found.setdefault(match[1], step["id"])
    return found


def last(steps: Sequence[Step]) -> str:
    """Tell whose output is the run's."""
    needed = {it for step in steps for it in needs(step)}
    return next(step["id"] for step in reversed(steps) if step["id"] not in needed)


def fill(text: str, given: Mapping[str, object], outputs: Mapping[str, str | None]) -> str:
    """Put inputs and outputs in a text that refers to them.

    Args:
        text: A variable's text.
        given: The run's input, by name.
        outputs: What the completed steps gave, by their ids.

    Raises:
        TemplateError: An input is missing, or is no text, number or boolean.
    """
    values: dict[str, object] = {}
    for name in templating.variables(text):
        match = _INPUT.fullmatch(name)
        output_of = name.removeprefix("steps.").removesuffix(".output")  # there is no third kind of name
        values[name] = given.get(match[1]) if match else outputs.get(output_of)
    return templating.render(text, values)


def problems(steps: Sequence[Step]) -> list[Detail]:
    """List everything about the order of steps that makes no sense, as details of a 400."""
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
            found += ({"field": f"{where}.variables.{name}", "message": it} for it in _misreferences(text, ids))
    if not found and (cycle := _cycle(steps)):
        message = f"The steps wait for each other: {' needs '.join(map(repr, cycle))}"
        found.append({"field": "steps", "message": message})
    return found


def _misreferences(text: str, ids: Sequence[str]) -> list[str]:
    messages: list[str] = []
    names = templating.variables(text)
    for name in names:
        output = _OUTPUT.fullmatch(name)
        if output and output[1] not in ids:
            messages.append(f"There is no step {output[1]!r}")
        elif not output and not _INPUT.fullmatch(name):
            messages.append(_unreadable(f"{{{{{name}}}}}"))
    messages += (_unreadable(it) for it in _MEANT.findall(text) if not templating.variables(it))
    return messages


def _unreadable(reference: str) -> str:
    return f"{reference} is no reference; write {{{{input.NAME}}}} or {{{{steps.STEPID.output}}}}"


def _cycle(steps: Sequence[Step]) -> list[str]:
    """Find steps that need each other in a circle, the first named again at the end; none when there are none."""
    waiting = {step["id"]: needs(step) for step in steps}
    while free := [step_id for step_id, needed in waiting.items() if not any(it in waiting for it in needed)]:
        for step_id in free:
            del waiting[step_id]
    if not waiting:
        return []
    path = [next(iter(waiting))]  # from any that is left, each leads to one that is left too
    while True:
        following = next(it for it in waiting[path[-1]] if it in waiting)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
