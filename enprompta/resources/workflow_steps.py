"""Check the steps of a workflow, and convert them to the API's field names."""

from __future__ import annotations

from enprompta import models
from enprompta._common.narrowing import is_mapping
from enprompta._core import arguments
from enprompta._core.call import check_id
from enprompta.errors import ConfigurationError


def checked_steps(given: object) -> list[dict[str, object]]:
    """Check steps and convert them to the API's field names.

    Raises:
        ConfigurationError: A value of a step cannot be sent; the text names it, such as `steps[2].options.temperature`.
    """
    example = '{"id": "draft", "prompt_id": "…"}'
    written: list[dict[str, object]] = []
    for at, step in enumerate(arguments.items("steps", given, example)):
        with arguments.own_code(f"steps[{at}]", step):
            written.append(_step(f"steps[{at}]", step))
    return written


def _step(place: str, step: object) -> dict[str, object]:
    if isinstance(step, models.WorkflowStep):
        step = step.model_dump(by_alias=True, exclude_unset=True)
    if not is_mapping(step):
        raise ConfigurationError(f"{place} must be a WorkflowStep or a dict of its fields, not {type(step).__name__}")
    written: dict[str, object] = {}
    for name, value in step.items():
        if value is not None and name in _STEP_FIELDS:
            check, wire_name = _STEP_FIELDS[name]
            written[wire_name] = check(f"{place}.{name}", value)
        else:
            written[name] = value
    return written


def _options(place: str, options: object) -> object:
    """Check a step's model options; unknown options are sent unchanged."""
    if not is_mapping(options):
        raise ConfigurationError(f"{place} must be a mapping of names to values, not {type(options).__name__}")
    return {
        name: _OPTIONS[name](f"{place}.{name}", value) if name in _OPTIONS and value is not None else value
        for name, value in options.items()
    }


_OPTIONS: dict[str, arguments.Check] = {
    "temperature": arguments.number,
    "topP": arguments.number,
    "maxTokens": arguments.whole_number,
    "stopSequences": arguments.texts,
}
# The check and the API's name of each field, under its Python name and its API name.
_STEP_FIELDS: dict[str, tuple[arguments.Check, str]] = {
    "id": (check_id, "id"),
    "prompt_id": (check_id, "promptId"),
    "promptId": (check_id, "promptId"),
    "provider": (arguments.text, "provider"),
    "model": (arguments.text, "model"),
    "variables": (arguments.values, "variables"),
    "options": (_options, "options"),
    "depends_on": (arguments.texts, "dependsOn"),
    "dependsOn": (arguments.texts, "dependsOn"),
}
