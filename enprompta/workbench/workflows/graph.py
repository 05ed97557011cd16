"""The graph of a workflow's steps, with the state of each in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.workbench.elements import box, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.models import WorkflowStep

_NODE_WIDTH, _NODE_HEIGHT = 168, 50
_GAP_X, _GAP_Y = 20, 38
_MAX_LABEL = 20
_MIN_SCALE = 0.75  # a wider graph scrolls
_STATES = {"pending", "running", "completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class _Node:
    """A step and its place, in pixels."""

    step: WorkflowStep
    x: float
    y: float


def dependencies(step: WorkflowStep) -> list[str]:
    """List the ids of the steps that must finish before a step starts."""
    names = [name for value in step.variables.values() for name in templating.variables(str(value))]
    outputs = [
        name.removeprefix("steps.").removesuffix(".output")
        for name in names
        if name.startswith("steps.") and name.endswith(".output")
    ]
    return list(dict.fromkeys([*step.depends_on, *outputs]))


def inputs(steps: Sequence[WorkflowStep]) -> list[str]:
    """List the names of the inputs that the steps refer to."""
    names = [name for step in steps for value in step.variables.values() for name in templating.variables(str(value))]
    return list(dict.fromkeys(name.removeprefix("input.") for name in names if name.startswith("input.")))


def layers(steps: Sequence[WorkflowStep]) -> list[list[WorkflowStep]]:
    """Arrange steps so that each comes after those it depends on; steps of a cycle share the last layer."""
    known = {step.id for step in steps}
    waiting = {step.id: {one for one in dependencies(step) if one in known} for step in steps}
    found: list[list[WorkflowStep]] = []
    while waiting:
        free = [name for name, needed in waiting.items() if not needed & waiting.keys()] or list(waiting)
        found.append([step for step in steps if step.id in free])
        for name in free:
            del waiting[name]
    return found


def draw(steps: Sequence[WorkflowStep], states: Mapping[str, str | None], titles: Mapping[str, str]) -> None:
    """Add the graph, from top to bottom; steps without a state are drawn as pending."""
    rows = layers(steps)
    width = max((len(row) for row in rows), default=1) * (_NODE_WIDTH + _GAP_X) + _GAP_X
    height = len(rows) * (_NODE_HEIGHT + _GAP_Y) - _GAP_Y + 8
    nodes = {
        step.id: _Node(
            step,
            width / 2 + (place - (len(row) - 1) / 2) * (_NODE_WIDTH + _GAP_X) - _NODE_WIDTH / 2,
            depth * (_NODE_HEIGHT + _GAP_Y) + 4,
        )
        for depth, row in enumerate(rows)
        for place, step in enumerate(row)
    }
    described = "; ".join(f"{step.id}: {_state(states, step.id)}, {_after(step)}" for step in steps)
    attributes = {
        "width": width,
        "height": height,
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-label": f"Steps of the workflow. {described}",
    }
    with (
        box("div", "graph", {"tabindex": "0", "role": "region", "aria-label": "Graph"}),
        box("svg", "", attributes).style(f"min-width: {width * _MIN_SCALE:.0f}px"),
    ):
        for node in nodes.values():
            for needed in dependencies(node.step):
                if needed in nodes:
                    _edge(nodes[needed], node)
        for node in nodes.values():
            _draw_node(node, _state(states, node.step.id), titles.get(node.step.prompt_id, node.step.prompt_id))


def _state(states: Mapping[str, str | None], step_id: str) -> str:
    state = states.get(step_id) or "pending"
    return state if state in _STATES else "pending"


def _after(step: WorkflowStep) -> str:
    needed = dependencies(step)
    return f"after {', '.join(needed)}" if needed else "first"


def _edge(start: _Node, end: _Node) -> None:
    x1, y1 = start.x + _NODE_WIDTH / 2, start.y + _NODE_HEIGHT
    x2, y2 = end.x + _NODE_WIDTH / 2, end.y - 5
    middle = (y1 + y2) / 2
    box("path", "edge", {"d": f"M {x1} {y1} C {x1} {middle}, {x2} {middle}, {x2} {y2}"})
    box("path", "arrow", {"d": f"M {x2 - 4} {y2 - 3} L {x2 + 4} {y2 - 3} L {x2} {y2 + 4} Z"})


def _draw_node(node: _Node, state: str, title: str) -> None:
    place = {"x": node.x, "y": node.y, "width": _NODE_WIDTH, "height": _NODE_HEIGHT, "rx": 8}
    with box("g", f"node node-{state}"):
        text("title", f"{node.step.id}: {state}")
        box("rect", "", place)
        box("circle", "dot", {"cx": node.x + 17, "cy": node.y + 19, "r": 5})
        text("text", _short(node.step.id), "", {"x": node.x + 30, "y": node.y + 23.5})
        text("text", _short(title), "node-detail", {"x": node.x + 30, "y": node.y + 40})


def _short(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}…"
