"""The outputs of rows, read into the type that `output` asks for.

A checkpoint stores what the API returned, and outputs are read again when a run resumes. So a run whose type was
changed resumes with the same file, and no row is executed again because its output did not match.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from enprompta._core.runner import Answered
from enprompta._core.typed_calls import check_repair, execute_typed, read_execution
from enprompta.batch.errors import ExecutionFailedError
from enprompta.errors import ConfigurationError, OutputError
from enprompta.models.typed_executions import TypedExecution
from enprompta.outputs import OutputReader, reader_for_any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enprompta._core.call import Call
    from enprompta._core.runner import StepRunner
    from enprompta._core.steps import Steps
    from enprompta.batch.results import BatchResult
    from enprompta.batch.row_calls import CallTemplate, RowTask
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")


class RowOutputs:
    """Executes rows and reads their outputs; does nothing else without a type.

    Args:
        output: The type; None to leave outputs as text.
        repair: How often a row is executed again if its output does not match.

    Raises:
        ConfigurationError: The type cannot be read into, or `repair` is invalid.
    """

    def __init__(self, output: object, repair: object) -> None:
        self._repair = check_repair(repair)
        self._reader: OutputReader[Any] | None = None
        if output is not None:
            self._reader = reader_for_any(output)
        elif repair:
            raise ConfigurationError("repair needs output: the type that the output is read into")

    @property
    def credits_per_row(self) -> int:
        """The credits that a row costs at most."""
        return 1 + self._repair

    def steps_of(
        self, client: StepRunner, template: CallTemplate[RowT]
    ) -> Callable[[RowTask[RowT]], Steps[Answered[Execution]]]:
        """Return a function that returns the steps of a row's executions."""
        reader = self._reader
        if reader is not None:
            return lambda task: self._typed_steps(client, template.call(task), reader, task.failed_repairs)
        steps = client.repeating(template.shared)
        return lambda task: steps(task.content, task.key)

    def _typed_steps(
        self, client: StepRunner, call: Call[Execution], reader: OutputReader[Any], failed: int
    ) -> Steps[Answered[Execution]]:
        done = yield from client.flow_steps(execute_typed(call, reader, self._repair, failed=failed))
        return Answered(done.execution, done.attempts, done.contents)

    def checked(self, result: BatchResult[RowT], earlier: Sequence[Execution] = ()) -> BatchResult[RowT]:
        """Return a result with its parsed output, or with the error that the output does not match.

        Args:
            result: The result.
            earlier: If the result is from the checkpoint, the executions before it that were repaired.
        """
        execution, error = result.execution, result.error
        if self._reader is None or execution is None:
            return result
        if not isinstance(execution, TypedExecution):  # from the checkpoint
            execution = read_execution(execution, self._reader, earlier)
        if isinstance(error, ExecutionFailedError):
            error.execution = execution
        elif error is None and execution.output_error is not None:
            error = row_error(execution.output_error, result.index)
        return replace(result, execution=execution, error=error)


def row_error(error: OutputError, index: int) -> OutputError:
    """Return an output error that names the row."""
    named = OutputError(f"row {index}: {error.message}", execution=error.execution, place=error.place, text=error.text)
    named.executions = error.executions
    named.__cause__ = error.__cause__
    return named
