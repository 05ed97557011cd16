"""Runs of workflows and the state of their steps.

A run keeps the steps that it started with. Its state is stored before each step, and together with the step's
execution, so that a killed emulator resumes each run at its next start.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import found
from enprompta.emulator.stores import workflows
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = STATUSES = ("pending", "running", "completed", "failed", "cancelled")
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})


def wire(database: Database, row: sqlite3.Row) -> JSONObject:
    """Return a run as JSON."""
    steps = steps_of(database, row["id"])
    return {
        **as_json(row, "id workflow_id status input output"),
        "input": input_of(row),
        "steps": [as_json(step, "step_id execution_id status output error tokens cost") for step in steps],
        "tokens": tokens(steps),
        "cost": cost(steps),
        **as_json(row, "error created_at started_at completed_at"),
    }


def create(
    database: Database, account: Account, workflow: sqlite3.Row, given: Mapping[str, object], now: float
) -> sqlite3.Row:
    """Store a pending run."""
    run_id, workflow_id = new_id("wfe"), workflow["id"]
    with database.transaction():
        run = {"id": run_id, "account_id": account.id, "workflow_id": workflow_id, "status": PENDING}
        database.insert("workflow_executions", {**run, "input": dict(given), "created_at": int(now)})
        for position, step in enumerate(workflows.steps_of(workflow)):
            row = {"run_id": run_id, "position": position, "step_id": step["id"], "definition": step}
            database.insert("workflow_steps", {**row, "status": PENDING})
        return get(database, workflow_id, run_id)


def get(database: Database, workflow_id: str, run_id: str) -> sqlite3.Row:
    """Return a workflow's run, or raise a 404."""
    sql = "SELECT * FROM workflow_executions WHERE id = ? AND workflow_id = ?"
    return found(database.one(sql, run_id, workflow_id), "Workflow execution", run_id)


def listing(workflow_id: str, **filters: object) -> Listing:
    """List a workflow's runs, newest first, with the filters of `Listing.filtered`."""
    return Listing("workflow-executions", "workflow_executions", ["workflow_id = ?"], [workflow_id]).filtered(filters)


def unfinished(database: Database) -> list[sqlite3.Row]:
    """List the runs that have not ended, oldest first."""
    sql = "SELECT * FROM workflow_executions WHERE status IN ('pending', 'running') ORDER BY number"
    return database.all(sql)


def steps_of(database: Database, run_id: str) -> list[sqlite3.Row]:
    """List the steps of a run, in the workflow's order."""
    return database.all("SELECT * FROM workflow_steps WHERE run_id = ? ORDER BY position", run_id)


def input_of(row: sqlite3.Row) -> dict[str, object]:
    """Return the input of a run."""
    return json.loads(row["input"])


def tokens(steps: list[sqlite3.Row]) -> int:
    """Return the total of the steps' model tokens."""
    return sum(step["tokens"] for step in steps)


def cost(steps: list[sqlite3.Row]) -> float:
    """Return the total cost of the steps."""
    return round(sum(step["cost"] for step in steps), 6)


def begin_step(database: Database, run_id: str, step_id: str, now: float) -> None:
    """Mark a step, and its run, as running."""
    with database.transaction():
        _set_status(database, run_id, step_id, RUNNING)
        sql = "UPDATE workflow_executions SET status = ?, started_at = coalesce(started_at, ?) WHERE id = ?"
        database.run(sql, RUNNING, int(now), run_id)


def end_step(database: Database, run_id: str, step_id: str, execution: sqlite3.Row) -> None:
    """Record the execution of a step."""
    database.run(
        "UPDATE workflow_steps SET status = ?, execution_id = ?, output = ?, error = ?, tokens = ?, cost = ? "
        "WHERE run_id = ? AND step_id = ?",
        *(execution["status"], execution["id"], execution["output"], execution["error"]),
        *(execution["tokens"], execution["cost"], run_id, step_id),
    )


def fail_step(database: Database, run_id: str, step_id: str, error: str) -> None:
    """Mark a step as failed without an execution."""
    sql = "UPDATE workflow_steps SET status = ?, error = ? WHERE run_id = ? AND step_id = ?"
    database.run(sql, FAILED, error, run_id, step_id)


def reset_step(database: Database, run_id: str, step_id: str) -> None:
    """Mark an interrupted step as pending, or as cancelled if its run has ended."""
    sql = "SELECT status FROM workflow_executions WHERE id = ?"
    run = database.one(sql, run_id)
    ended = run is None or run["status"] in ENDED
    _set_status(database, run_id, step_id, CANCELLED if ended else PENDING)


def interrupted_steps(database: Database) -> list[sqlite3.Row]:
    """List the steps that were running when the emulator was killed, with the accounts that pay."""
    sql = (
        "SELECT run_id, step_id, account_id FROM workflow_steps "
        "JOIN workflow_executions ON workflow_executions.id = run_id WHERE workflow_steps.status = 'running'"
    )
    return database.all(sql)


def finish(
    database: Database, run_id: str, *, status: str, output: str | None = None, error: str | None = None, now: float
) -> bool:
    """End a run and cancel its pending steps.

    Returns:
        False if the run had already ended or is deleted; nothing is changed then.
    """
    with database.transaction():
        changed = database.run(
            "UPDATE workflow_executions SET status = ?, output = ?, error = ?, completed_at = ? "
            "WHERE id = ? AND status IN ('pending', 'running')",
            *(status, output, error, int(now), run_id),
        )
        if changed:
            sql = "UPDATE workflow_steps SET status = ? WHERE run_id = ? AND status = ?"
            database.run(sql, CANCELLED, run_id, PENDING)
        return bool(changed)


def _set_status(database: Database, run_id: str, step_id: str, status: str) -> None:
    sql = "UPDATE workflow_steps SET status = ? WHERE run_id = ? AND step_id = ?"
    database.run(sql, status, run_id, step_id)
