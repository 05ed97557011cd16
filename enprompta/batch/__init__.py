"""Bulk execution: run a prompt over many rows, and charge each row at most once.

    for result in client.prompts.execute_many(prompt_id, rows, checkpoint="run.db"):
        print(result.index, result.output if result.ok else result.error)

One scheduler makes every decision (`scheduler`, pure except for the checkpoint): which row is next, how to handle its
outcome, when to stop. Two small drivers carry the decisions out, with threads for `Enprompta` and with tasks for
`AsyncEnprompta`. The client makes the calls, so its rate limiter, retries and deadlines apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.batch import options as options
    from enprompta.batch import row_files as row_files
    from enprompta.batch.async_run import AsyncBatchRun
    from enprompta.batch.budget import Budget
    from enprompta.batch.errors import CheckpointError, ExecutionFailedError, RowError
    from enprompta.batch.options import BatchOptions, RunOptions
    from enprompta.batch.results import BatchResult, Progress
    from enprompta.batch.row_files import Rows, read_rows
    from enprompta.batch.sync_run import BatchRun
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".": "options row_files",
            ".async_run": "AsyncBatchRun",
            ".budget": "Budget",
            ".errors": "CheckpointError ExecutionFailedError RowError",
            ".options": "BatchOptions RunOptions",
            ".results": "BatchResult Progress",
            ".row_files": "Rows read_rows",
            ".sync_run": "BatchRun",
        },
    )

__all__ = [
    "AsyncBatchRun",
    "BatchOptions",
    "BatchResult",
    "BatchRun",
    "Budget",
    "CheckpointError",
    "ExecutionFailedError",
    "Progress",
    "RowError",
    "Rows",
    "RunOptions",
    "read_rows",
]
