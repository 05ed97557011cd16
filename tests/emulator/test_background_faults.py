"""Failures of background work in the emulator are logged, end the work and harm nothing else."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from enprompta.emulator import Emulator
from enprompta.emulator.access.accounts import AccountStore
from enprompta.emulator.database import Database
from enprompta.emulator.execution.executor import Executor
from enprompta.emulator.execution.providers import Providers
from enprompta.emulator.execution.workflow_runner import Parts, WorkflowRunner
from enprompta.emulator.stores import deliveries as store
from enprompta.emulator.stores import runs
from enprompta.emulator.webhooks.delivery_queue import DeliveryQueue, EventPublisher
from tests.emulator.flows import asked, begin, data, deliveries, ended, make, run, statuses, step, subscribe
from tests.emulator.receivers import Receiver, until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    import pytest

    from tests.emulator.conftest import Clock


def fail(*_: object, **__: object) -> Any:
    """Fail with an unexpected exception."""
    raise sqlite3.OperationalError("disk full")


def test_an_unexpected_failure_of_a_step(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected failure fails the step and its run, and the client sees no details of it."""
    workflow = make(client, step("a"), step("b", "", "a"))
    monkeypatch.setattr(runs, "end_step", fail)
    with caplog.at_level(logging.ERROR, "enprompta.emulator"):
        execution = ended(client, begin(client, workflow))
    assert statuses(execution) == {"a": "failed", "b": "cancelled"}
    assert execution["error"] == "Step a: Internal server error"
    assert "disk full" in caplog.text


def test_of_two_steps_that_fail_the_first_is_named(clock: Clock, connect: Any, upstream: Any) -> None:
    """Concurrent steps that fail both report the reason; the run reports the step that failed first."""
    both, first = threading.Barrier(2, timeout=5), threading.Event()

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        both.wait()
        if asked(request) == "<late>":
            first.wait(5)
        return 500, asked(request).encode()

    with Emulator(clock=clock, upstream=upstream(answer).url) as emulator:
        client = connect(emulator)
        path = begin(client, make(client, step("a", "late"), step("b", "early")))
        until(lambda: statuses(data(client.get(path)))["b"] == "failed")
        first.set()
        execution = ended(client, path)
    assert statuses(execution) == {"a": "failed", "b": "failed"}
    assert execution["error"].startswith("Step b: ")


def test_a_run_that_cannot_end_is_logged(
    clock: Clock, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run whose end cannot be stored resumes, and ends, at the next start."""
    with Emulator(db=tmp_path / "e.db", clock=clock) as emulator, monkeypatch.context() as patch:
        client = connect(emulator)
        workflow = make(client, step("a", "x"))
        patch.setattr(runs, "finish", fail)
        with caplog.at_level(logging.ERROR, "enprompta.emulator"):
            path = begin(client, workflow)
            until(lambda: "is stuck" in caplog.text)
    with Emulator(db=tmp_path / "e.db", clock=clock) as emulator:
        assert ended(connect(emulator), path)["output"] == "<x>"


def test_a_step_found_running_is_paid_for_once(clock: Clock, connect: Any, tmp_path: Path) -> None:
    """A step interrupted by a kill runs again, and its first charge is refunded."""
    file = tmp_path / "e.db"
    with Emulator(db=file, clock=clock, credits={"pro": 2}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        path = begin(client, make(client, step("a", "x"), step("b", "y", "a")))
        ended(client, path)
        client.close()
    database = Database(file)
    database.run("UPDATE workflow_steps SET status = 'running' WHERE step_id = 'b'")
    database.run("UPDATE workflow_executions SET status = 'running'")
    database.close()
    with Emulator(db=file, clock=clock, credits={"pro": 2}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        execution = ended(client, path)
        assert (execution["status"], execution["error"]) == ("completed", None)
        assert data(client.get("/usage"))["tokens"]["used"] == 2


def test_a_delivery_that_cannot_be_recorded_is_made_again(
    clock: Clock, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery whose attempt cannot be stored is sent again at the next start."""
    with Receiver() as receiver:
        with Emulator(db=tmp_path / "e.db", clock=clock) as emulator, monkeypatch.context() as patch:
            client = connect(emulator)
            webhook = subscribe(client, receiver.url)
            patch.setattr(store, "record", fail)
            with caplog.at_level(logging.ERROR, "enprompta.emulator"):
                run(client)
                until(lambda: "retried when the emulator starts again" in caplog.text)
        with Emulator(db=tmp_path / "e.db", clock=clock) as emulator:
            client = connect(emulator)
            until(lambda: deliveries(client, webhook)[0]["status"] == "DELIVERED")
    first, second = receiver.received
    assert first.body == second.body


def test_nothing_is_begun_before_the_start_or_after_the_stop() -> None:
    """Before the start and after the stop, nothing begins: the next start finds the work in the database."""
    database = Database(":memory:")
    queue = DeliveryQueue(database, time.time, backoff=(), timeout=1)
    queue.send("dlv_1", "http://127.0.0.1:1/")
    assert not queue.is_in_progress("dlv_1")
    accounts = AccountStore(database)
    events = EventPublisher(database, time.time, queue)
    executor = Executor(database, accounts, Providers(None), events)
    runner = WorkflowRunner(Parts(database, time.time, accounts, executor, events))
    row = database.one("SELECT 'wfe_1' AS id")
    assert row is not None
    runner.run(row)
    runner.halt("wfe_1")
    database.close()
