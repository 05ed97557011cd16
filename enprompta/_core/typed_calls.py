"""Executions whose output is read into a type, and executed again if it does not match and a repair is allowed."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from enprompta import templating
from enprompta._common.clock import monotonic
from enprompta._core.call import Call
from enprompta._core.runner import Raw
from enprompta.errors import ConfigurationError, EnpromptaError, OutputError
from enprompta.models.prompts import Prompt
from enprompta.models.typed_executions import typed, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta._core.response import APIResponse
    from enprompta._core.runner import Flow
    from enprompta.errors import Attempt
    from enprompta.models.executions import Execution
    from enprompta.models.typed_executions import TypedExecution
    from enprompta.outputs import OutputReader

REPAIR_VARIABLE = "output_error"
"""The variable of a prompt that receives the problem of the previous output, if the prompt uses it."""
MAX_REPAIRS = 3
_MAX_ECHO = 4_000  # characters of the previous output, and of the schema, that a repair repeats
_TEXT_TYPES = frozenset({"text", None})


class TypedResponse(NamedTuple):
    """The result of `execute_typed`."""

    execution: TypedExecution[Any]
    response: APIResponse[Execution]
    """The response of the last execution."""
    attempts: tuple[Attempt, ...]
    """The attempts of all executions."""
    contents: tuple[bytes, ...]
    """The response bodies of all executions."""


def check_repair(repair: object) -> int:
    """Check how often an execution may be repaired.

    Raises:
        ConfigurationError: It is not a whole number from 0 to 3.
    """
    if isinstance(repair, bool) or not isinstance(repair, int) or not 0 <= repair <= MAX_REPAIRS:
        raise ConfigurationError(
            f"repair must be a whole number from 0 to {MAX_REPAIRS}, not {repair!r}: each repair is charged"
        )
    return repair


def execute_typed(
    call: Call[Execution], reader: OutputReader[Any], repair: int, ends: float | None = None, failed: int = 0
) -> Flow[TypedResponse]:
    """Execute a prompt and read its output.

    If the output does not match, the prompt is executed again, with the problem appended.

    Args:
        call: The call of the first execution.
        reader: Reads the output.
        repair: How often it is executed again.
        ends: Deadline of everything, in monotonic seconds; None if each request has the deadline of the call.
        failed: Earlier calls with this key whose repair failed at the provider; it is part of the keys of repairs.

    Returns:
        The execution, whose `parsed` raises `OutputError` if the last output does not match.

    Raises:
        APIError: The first execution failed.
    """
    response: APIResponse[Execution] = yield Raw(call)
    attempts, contents = response.attempts, (response.content,)
    before: list[Execution] = []
    while True:
        execution = read_execution(response.data, reader, before)
        problem = execution.output_error
        if problem is None or execution.status == "failed" or len(before) >= repair:
            return TypedResponse(execution, response, attempts, contents)
        try:
            prompt: Prompt = yield within(Call("GET", call.path.removesuffix("/execute"), Prompt), call, ends)
            again = _with_note(call, prompt, _note(problem, reader), (len(before) + 1, failed))
            repaired: APIResponse[Execution] = yield Raw(within(again, call, ends))
        except EnpromptaError as error:
            problem.add_context(f"it was not repaired: {error}")
            problem.__cause__ = error
            return TypedResponse(execution, response, attempts, contents)
        before.append(response.data)
        response, attempts = repaired, attempts + repaired.attempts
        contents += (repaired.content,)


def read_execution(
    execution: Execution, reader: OutputReader[object], before: Sequence[Execution]
) -> TypedExecution[Any]:
    """Read the output of an execution; the result has its problem if it does not match."""
    executions = (*before, execution)
    if execution.status == "failed":
        reason = f": {execution.error}" if execution.error else ""
        error = OutputError(f"execution {execution.id} failed at its provider{reason}", execution=execution)
    else:
        try:
            return typed(execution, reader.read(execution.output or ""), before)
        except OutputError as found:
            charged = f"{len(executions)} executions were" if before else f"execution {execution.id} was"
            error = OutputError(f"{charged} charged, but {found.message}", execution=execution,
                                place=found.place, text=found.text)  # fmt: skip
            error.__cause__ = found.__cause__
    error.executions = executions
    return unreadable(execution, error, before)


def deadline_of(seconds: float | None) -> float | None:
    """Return when a call with a deadline ends, in monotonic seconds."""
    return None if seconds is None else monotonic() + seconds


def within(again: Call[Any], call: Call[Any], ends: float | None) -> Call[Any]:
    """Return a further call with the options of the first one, and the time that is left."""
    options: dict[str, Any] = {**call.options, **again.options}
    if again.method == "GET":
        options.pop("idempotency_key", None)
    if ends is not None:
        options["deadline"] = max(0.001, ends - monotonic())
    return replace(again, options=cast("Any", options))


def _note(problem: OutputError, reader: OutputReader[object]) -> str:
    try:
        schema = json.dumps(reader.json_schema())
    except ConfigurationError:
        schema = ""
    lines = [
        f"Your previous answer could not be used: {problem.message.partition(', but ')[2]}.",
        f"Your previous answer was:\n{problem.text[:_MAX_ECHO]}",
    ]
    if schema and len(schema) <= _MAX_ECHO:
        lines.append(f"Answer with JSON alone, which matches this JSON Schema:\n{schema}")
    else:
        lines.append("Answer with JSON alone.")
    return "\n\n".join(lines)


def _with_note(call: Call[Execution], prompt: Prompt, note: str, number: tuple[int, int]) -> Call[Execution]:
    """Return the call of a repair: the note is the value of `output_error`, or ends the last text variable.

    Its key has the number of the repair and of the earlier calls whose repair failed.

    Raises:
        ConfigurationError: The prompt has no variable that can take the note.
    """
    body = cast("Mapping[str, Any]", call.json)
    given: Mapping[str, Any] = body.get("variables") or {}
    names = templating.variables(prompt.content)
    declared = {one.name: one.type for one in prompt.variables}
    if REPAIR_VARIABLE in names or REPAIR_VARIABLE in declared:
        variables = {**given, REPAIR_VARIABLE: note}
    else:
        texts = [name for name in names if isinstance(given.get(name), str) and declared.get(name) in _TEXT_TYPES]
        if not texts:
            raise ConfigurationError(
                "the prompt has no text variable that the problem can be appended to; "
                f"add an optional variable {{{{{REPAIR_VARIABLE}}}}} to its text"
            )
        variables = {**given, texts[-1]: f"{given[texts[-1]]}\n\n{note}"}
    options: dict[str, Any] = dict(call.options)
    if (key := options.get("idempotency_key")) is not None:
        options["idempotency_key"] = sha256("\0".join((key, "repair", *map(str, number))).encode()).hexdigest()
    return replace(call, json={**body, "variables": variables}, options=cast("Any", options))
