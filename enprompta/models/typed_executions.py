"""Executions whose output was read into a type; see `enprompta.outputs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import PrivateAttr

from enprompta.models.executions import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enprompta.errors import OutputError

T = TypeVar("T")


class TypedExecution(Execution, Generic[T]):
    """An execution whose output was read into the type that `output` asks for.

    `tokens` and `cost` are those of this execution alone, as the API reports them. After a repair, `total_tokens`,
    `total_cost` and `credits` include the executions before it.
    """

    _parsed: object = PrivateAttr(default=None)
    _before: tuple[Execution, ...] = PrivateAttr(default=())
    _error: OutputError | None = PrivateAttr(default=None)

    @property
    def parsed(self) -> T:
        """The output as a value of the type.

        Raises:
            OutputError: The output does not match. `execute` raises this error itself; here it is raised for a row of
                a bulk run, whose result has it as `error`.
        """
        if self._error is not None:
            raise self._error
        return cast("T", self._parsed)

    @property
    def output_error(self) -> OutputError | None:
        """Why the output does not match; None if it does."""
        return self._error

    @property
    def executions(self) -> tuple[Execution, ...]:
        """All executions of the call, in order; the last one is this one. One, unless the output was repaired."""
        return (*self._before, self)

    @property
    def credits(self) -> int:
        """Credits that the call was charged: one for each execution that did not fail at its provider."""
        return sum(one.status != "failed" for one in self.executions)

    @property
    def total_tokens(self) -> int | None:
        """Tokens of all executions; None if the API reported none."""
        known = [one.tokens for one in self.executions if one.tokens is not None]
        return sum(known) if known else None

    @property
    def total_cost(self) -> float | None:
        """Cost of all executions in US dollars; None if the API reported none."""
        known = [one.cost for one in self.executions if one.cost is not None]
        return sum(known) if known else None


def typed(execution: Execution, parsed: T, before: Sequence[Execution] = ()) -> TypedExecution[T]:
    """Return an execution with its parsed output, and the earlier ones of the call, whose output did not match."""
    return cast("TypedExecution[T]", _made(execution, parsed, None, before))


def unreadable(execution: Execution, error: OutputError, before: Sequence[Execution] = ()) -> TypedExecution[Any]:
    """Return an execution whose output does not match."""
    return _made(execution, None, error, before)


def _made(
    execution: Execution, parsed: object, error: OutputError | None, before: Sequence[Execution]
) -> TypedExecution[object]:
    # Like `model_construct`, but without losing which fields the API sent.
    made: TypedExecution[object] = object.__new__(TypedExecution)  # pyright: ignore[reportUnknownVariableType] # generic
    put = object.__setattr__
    put(made, "__dict__", {**execution.__dict__})
    put(made, "__pydantic_extra__", execution.__pydantic_extra__)
    put(made, "__pydantic_fields_set__", execution.__pydantic_fields_set__)
    put(made, "__pydantic_private__", {"_parsed": parsed, "_before": tuple(before), "_error": error})
    return made
