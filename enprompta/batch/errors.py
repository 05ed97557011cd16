"""What can go wrong in a run beside what can go wrong in a call.

EnpromptaError
├── RowError (ValueError)      a row cannot be sent; nothing was
├── ExecutionFailedError       the row was executed, and the model's provider failed
└── CheckpointError            the checkpoint is of another run, or cannot be written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from enprompta.models.executions import Execution


class RowError(EnpromptaError, ValueError):
    """A row cannot be sent as it is; the text names the row, and the column where one is at fault."""


class ExecutionFailedError(EnpromptaError):
    """The API executed a row and its model's provider failed; no credit is charged for it."""

    execution: Execution
    """The execution, with `error` as the provider told it."""

    def __init__(self, message: str, *, execution: Execution) -> None:
        super().__init__(message)
        self.execution = execution


class CheckpointError(EnpromptaError):
    """A checkpoint belongs to another run, or cannot be read or written; no row is lost or charged twice by it."""
