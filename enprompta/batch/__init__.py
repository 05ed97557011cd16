"""Bulk execution: a prompt over many rows, each charged once whatever happens.

    for result in client.prompts.execute_many(prompt_id, rows, checkpoint="run.db"):
        print(result.index, result.output if result.ok else result.error)

One engine decides what goes next, what came of it and when to stop (`engine`, pure but for the checkpoint); two small
drivers do it, one in threads for `Enprompta` and one in tasks for `AsyncEnprompta`. The calls are the client's own, so
they are paced, retried and bounded like any other.
"""

from enprompta.batch.async_run import AsyncBatchRun
from enprompta.batch.budget import Budget
from enprompta.batch.errors import CheckpointError, ExecutionFailedError, RowError
from enprompta.batch.options import BatchOptions, RunOptions
from enprompta.batch.results import BatchResult, Progress
from enprompta.batch.row_files import Rows, read_rows
from enprompta.batch.sync_run import BatchRun

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
