"""Runs workflows on the server's event loop: each step starts when all its dependencies have completed.

A failed step stops its run: pending steps never start, running steps finish because they are paid for, and then the run
fails. Cancellation does the same, but ends the run at once.

Runs survive a restart of the emulator. Interrupted steps run again at the next start: the model may be called twice,
but the step costs one credit and has one execution.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta.emulator.errors import ApiError
from enprompta.emulator.execution import workflow_graph
from enprompta.emulator.stores import prompts, runs
from enprompta.errors import TemplateError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from enprompta.emulator.access.accounts import AccountStore
    from enprompta.emulator.database import Database
    from enprompta.emulator.execution.executor import Executor
    from enprompta.emulator.execution.workflow_graph import Step
    from enprompta.emulator.webhooks.delivery_queue import EventPublisher
    from enprompta.emulator.wire import JSONObject

logger: logging.Logger = logging.getLogger("enprompta.emulator")

_MAX_CONCURRENT_STEPS = 16
"""Maximum number of concurrent steps in one run."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the emulator that a run uses."""

    database: Database
    clock: Callable[[], float]
    accounts: AccountStore
    executor: Executor
    events: EventPublisher


class WorkflowRunner:
    """Runs the workflows of one emulator."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._is_running = False
        self._runs: dict[str, _Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Resume the runs that the last stop interrupted; call it on the server's event loop."""
        self._is_running = True
        database, accounts = self._parts.database, self._parts.accounts
        with database.transaction():
            for step in runs.interrupted_steps(database):  # charged, but without a result
                runs.reset_step(database, step["run_id"], step["step_id"])
                accounts.refund(accounts.by_id(step["account_id"]), self._parts.clock())
        for row in runs.unfinished(database):
            self.run(row)

    async def stop(self) -> None:
        """Interrupt all runs; the next start resumes them."""
        self._is_running = False
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def run(self, row: sqlite3.Row) -> None:
        """Start or resume a run; nothing happens before the caller next awaits."""
        if not self._is_running:
            return
        run_id: str = row["id"]

        def ended(_: asyncio.Task[None]) -> None:
            del self._tasks[run_id], self._runs[run_id]

        run = self._runs[run_id] = _Run(self._parts, row)
        task = self._tasks[run_id] = asyncio.get_running_loop().create_task(run.run(), name=run_id)
        task.add_done_callback(ended)

    def halt(self, run_id: str) -> None:
        """Start no further step of a run; running steps finish."""
        run = self._runs.get(run_id)
        if run is not None:
            run.halt()


class _Run:
    """One run, started or resumed from its state in the database."""

    def __init__(self, parts: Parts, row: sqlite3.Row) -> None:
        self._parts = parts
        self._id: str = row["id"]
        self._workflow_id: str = row["workflow_id"]
        self._account = parts.accounts.by_id(row["account_id"])
        self._input = runs.input_of(row)
        rows = runs.steps_of(parts.database, self._id)
        self._steps: list[Step] = [json.loads(it["definition"]) for it in rows]
        self._outputs: dict[str, str | None] = {}
        self._done = {step["id"]: asyncio.Event() for step in self._steps}
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_STEPS)
        self._failure: str | None = None
        self._halted = False
        for it in rows:  # steps that ended before the last restart
            if it["status"] == runs.COMPLETED:
                self._outputs[it["step_id"]] = it["output"]
                self._done[it["step_id"]].set()
            elif it["status"] == runs.FAILED:
                self._fail(it["step_id"], it["error"])

    async def run(self) -> None:
        """Run the remaining steps."""
        try:
            await asyncio.gather(*(self._run_when_ready(step) for step in self._steps))
            self._finish()
        except Exception:  # such as a failure of the database, which cannot be recorded
            logger.exception("workflow execution %s is stuck; it resumes when the emulator starts again", self._id)
            self.halt()

    def halt(self) -> None:
        """Start no further step."""
        self._halted = True
        for done in self._done.values():
            done.set()  # wake the steps that wait for it; they return without running

    async def _run_when_ready(self, step: Step) -> None:
        """Run one step when its dependencies have completed."""
        step_id: str = step["id"]
        for needed in workflow_graph.dependencies(step):
            await self._done[needed].wait()
        async with self._slots:
            if self._done[step_id].is_set():
                return
            try:
                await self._execute(step)
            except asyncio.CancelledError:
                runs.reset_step(self._parts.database, self._id, step_id)
                raise
            except (ApiError, TemplateError) as error:
                self._fail_unexecuted(step_id, _reason(error))
            except Exception:
                logger.exception("step %s of workflow execution %s failed", step_id, self._id)
                self._fail_unexecuted(step_id, "Internal server error")
            self._done[step_id].set()

    async def _execute(self, step: Step) -> None:
        parts, database, step_id = self._parts, self._parts.database, step["id"]
        now = parts.clock()
        runs.begin_step(database, self._id, step_id, now)
        texts: Mapping[str, str] = step["variables"]
        execution = await parts.executor.execute(
            self._account,
            prompts.get_writable(database, self._account, step["promptId"]),
            variables={name: workflow_graph.fill(text, self._input, self._outputs) for name, text in texts.items()},
            provider=step["provider"],
            model=step["model"],
            options=step["options"],
            now=now,
            on_recorded=lambda row: runs.end_step(database, self._id, step_id, row),
        )
        self._outputs[step_id] = execution["output"]
        if execution["error"] is not None:
            self._fail(step_id, execution["error"])

    def _fail_unexecuted(self, step_id: str, error: str) -> None:
        self._fail(step_id, error)
        runs.fail_step(self._parts.database, self._id, step_id, error)

    def _fail(self, step_id: str, error: str) -> None:
        if self._failure is None:  # the first failure stops the run
            self._failure = f"Step {step_id}: {error}"
        self.halt()

    def _finish(self) -> None:
        if self._halted and self._failure is None:
            return  # cancelled, or its workflow was deleted: the run has already ended
        database, now = self._parts.database, self._parts.clock()
        if self._failure is None:
            status, output = runs.COMPLETED, self._outputs[workflow_graph.final_step(self._steps)]
        else:
            status, output = runs.FAILED, None
        with database.transaction():
            if runs.finish(database, self._id, status=status, output=output, error=self._failure, now=now):
                self._parts.events.publish(self._account, f"workflow.{status}", self._event(status))

    def _event(self, status: str) -> JSONObject:
        steps = runs.steps_of(self._parts.database, self._id)
        data: JSONObject = {
            "execution_id": self._id,
            "workflow_id": self._workflow_id,
            "status": status,
            "tokens_used": runs.tokens(steps),
            "cost": runs.cost(steps),
        }
        return data if self._failure is None else {**data, "error": self._failure}


def _reason(error: ApiError | TemplateError) -> str:
    """Return why a step was not executed, with the error of each variable if known."""
    if isinstance(error, ApiError) and error.details:
        return "; ".join(f"{it['field']}: {it['message']}" for it in error.details)
    return str(error)
