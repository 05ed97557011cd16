"""Runs workflows on the server's own event loop: each step when all it needs have completed, and not before.

A step that fails stops its run: what has not begun never does, what runs beside it is let finish, for it is paid for,
and then the run has failed. To cancel does the same, but the run has ended at once.

A run outlives the emulator. What was broken off runs again at the next start; a model may then be asked a second time,
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
    from enprompta.emulator.webhooks.event_publisher import EventPublisher
    from enprompta.emulator.wire import JSONObject

logger: logging.Logger = logging.getLogger("enprompta.emulator")

_AT_ONCE = 16
"""Steps of one run that run side by side at most."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of the emulator that a run uses."""

    database: Database
    clock: Callable[[], float]
    accounts: AccountStore
    executor: Executor
    events: EventPublisher


class WorkflowRunner:
    """Runs the workflows of one emulator.

    Args:
        database: Where runs and their steps are stored.
        clock: Returns Unix seconds.
        accounts: Finds the account that pays for a run, and refunds interrupted steps.
        executor: Executes the steps.
        events: Publishes the end of a run.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        *,
        accounts: AccountStore,
        executor: Executor,
        events: EventPublisher,
    ) -> None:
        self._parts = _Parts(database, clock, accounts, executor, events)
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
        """Break off what is running; the next start takes it up again."""
        self._is_running = False
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def run(self, row: sqlite3.Row) -> None:
        """Begin, or go on with, a run; nothing of it happens before the caller next awaits."""
        if not self._is_running:
            return
        run_id: str = row["id"]

        def ended(_: asyncio.Task[None]) -> None:
            del self._tasks[run_id], self._runs[run_id]

        run = self._runs[run_id] = _Run(self._parts, row)
        task = self._tasks[run_id] = asyncio.get_running_loop().create_task(run.go(), name=run_id)
        task.add_done_callback(ended)

    def abandon(self, run_id: str) -> None:
        """Begin no further step of a run."""
        run = self._runs.get(run_id)
        if run is not None:
            run.halt()


class _Run:
    """One run, from where the database says it is to its end."""

    def __init__(self, parts: _Parts, row: sqlite3.Row) -> None:
        self._parts = parts
        self._id: str = row["id"]
        self._workflow_id: str = row["workflow_id"]
        self._account = parts.accounts.by_id(row["account_id"])
        self._input = runs.input_of(row)
        rows = runs.steps_of(parts.database, self._id)
        self._steps: list[Step] = [json.loads(it["definition"]) for it in rows]
        self._outputs: dict[str, str | None] = {}
        self._done = {step["id"]: asyncio.Event() for step in self._steps}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._failure: str | None = None
        self._halted = False
        for it in rows:  # what an earlier start has seen end
            if it["status"] == runs.COMPLETED:
                self._outputs[it["step_id"]] = it["output"]
                self._done[it["step_id"]].set()
            elif it["status"] == runs.FAILED:
                self._fail(it["step_id"], it["error"])

    async def go(self) -> None:
        """Run what is left of it."""
        try:
            await asyncio.gather(*(self._take(step) for step in self._steps))
            self._finish()
        except Exception:  # the database has failed, or it would tell of the failure itself
            logger.exception("workflow execution %s is stuck; it is taken up when the emulator starts again", self._id)
            self.halt()

    def halt(self) -> None:
        """Begin no further step."""
        self._halted = True
        for done in self._done.values():
            done.set()  # whoever waits shall see that it waits in vain

    async def _take(self, step: Step) -> None:
        """Run one step when it is its turn."""
        step_id: str = step["id"]
        for needed in workflow_graph.needs(step):
            await self._done[needed].wait()
        async with self._room:
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
        if self._failure is None:  # of several it is the first that stopped the run
            self._failure = f"Step {step_id}: {error}"
        self.halt()

    def _finish(self) -> None:
        if self._halted and self._failure is None:
            return  # it was cancelled, or its workflow deleted: it has ended
        database, now = self._parts.database, self._parts.clock()
        if self._failure is None:
            status, output = runs.COMPLETED, self._outputs[workflow_graph.last(self._steps)]
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
    """Say why a step could not be executed: what is wrong with each variable, where that is known."""
    if isinstance(error, ApiError) and error.details:
        return "; ".join(f"{it['field']}: {it['message']}" for it in error.details)
    return str(error)
