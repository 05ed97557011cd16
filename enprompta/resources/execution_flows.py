"""Executions that take more than one call: their version is checked, or their output is read into a type."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from enprompta._core.operation import client_of
from enprompta._core.prompt_versions import check_version, expected_version
from enprompta._core.runner import Raw
from enprompta._core.typed_calls import check_repair, deadline_of, execute_typed, within
from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError
from enprompta.outputs import reader_for_any

if TYPE_CHECKING:
    from enprompta._core.call import Call
    from enprompta._core.operation import Resource
    from enprompta._core.runner import Flow, StepRunner
    from enprompta.models.executions import Execution
    from enprompta.outputs import OutputReader


def execution_flow(
    resource: Resource, call: Call[Execution], prompt_id: str, *, output: object, expect_version: object, repair: object
) -> Call[Execution]:
    """Check the arguments, and return the flow that guards an execution and reads its output.

    Raises:
        ConfigurationError: An argument is invalid; nothing was sent.
    """
    times = check_repair(repair)
    expected = None if expect_version is UNSET else expected_version(expect_version)
    if output is None and times:
        raise ConfigurationError("repair needs output: the type that the output is read into")
    reader = None if output is None else reader_for_any(output)
    # The method runs a flow as it runs a call; see `method_for`.
    made = _flow(
        client_of(resource), call, prompt_id, is_raw=resource.is_raw, expected=expected, reader=reader, repair=times
    )
    return cast("Call[Execution]", made)


def _flow(
    client: StepRunner,
    call: Call[Execution],
    prompt_id: str,
    *,
    is_raw: bool,
    expected: int | str | None,
    reader: OutputReader[Any] | None,
    repair: int,
) -> Flow[Any]:
    options: Any = {name: value for name, value in call.options.items() if name != "idempotency_key"}
    ends = deadline_of(client.settings_for(options).deadline)
    if expected is not None:
        yield from check_version(client.prompt_versions, prompt_id, expected, call.options, ends)
        call = within(call, call, ends)
    if reader is None:
        return (yield Raw(call) if is_raw else call)
    done = yield from execute_typed(call, reader, repair, ends)
    if done.execution.output_error is not None:
        raise done.execution.output_error
    return replace(done.response, data=done.execution, attempts=done.attempts) if is_raw else done.execution
