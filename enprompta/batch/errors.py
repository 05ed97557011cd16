"""Errors of a run, in addition to those of a call.

EnpromptaError
├── RowError (ValueError)      a row cannot be sent; nothing was sent
├── ExecutionFailedError       the row was executed, and the model's provider failed
└── CheckpointError            the checkpoint belongs to another run, or cannot be written
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.models.executions import Execution


class RowError(EnpromptaError, ValueError):
    """A row cannot be sent; the text names the row, and the column if one is the cause."""

    variables: Mapping[str, Any]
    """The values of the row's variables, if they are plain data that cannot be written; else empty."""

    def __init__(self, message: str, *, variables: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.variables = variables or {}


class ExecutionFailedError(EnpromptaError):
    """The API executed a row, but the model's provider failed; no credit is charged."""

    execution: Execution
    """The execution; its `error` is the provider's message."""

    def __init__(self, message: str, *, execution: Execution) -> None:
        super().__init__(message)
        self.execution = execution


class CheckpointError(EnpromptaError):
    """A checkpoint belongs to another run, or cannot be read or written; no row is lost or charged twice."""
