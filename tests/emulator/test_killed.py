"""An emulator on a file that is killed, and one that has many clients: nothing that was acknowledged is lost.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1,000 events and five kills; 200 clients for a minute.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx

from tests.benchmarks import bench_deliveries, bench_emulator
from tests.benchmarks.served import Served
from tests.emulator.flows import asked, begin, completion, data, ended, make, statuses, step
from tests.emulator.receivers import until

if TYPE_CHECKING:
    from pathlib import Path

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))


def test_no_event_is_lost_when_the_emulator_is_killed(tmp_path: Path) -> None:
    """After a kill with failing deliveries, every execution is recorded, and reported with a valid signature."""
    events, kills = (1_000, 5) if LONG else (40, 1)
    figures = bench_deliveries.prove(tmp_path / "e.db", events=events, kills=kills)
    assert figures["executions acknowledged"] >= events


def test_many_clients_at_once_lose_nothing(tmp_path: Path) -> None:
    """With many concurrent writers, no response is a 5xx and every acknowledged write is stored."""
    clients, seconds = (200, 60) if LONG else (30, 1)
    figures = bench_emulator.prove(tmp_path / "e.db", clients=clients, seconds=seconds)
    assert figures["requests"] >= clients


def test_a_workflow_resumes_after_the_emulator_was_killed(tmp_path: Path, upstream: Any) -> None:
    """An interrupted step runs again, costs one credit in total and has one execution."""
    broken_off: list[str] = []

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        if asked(request) == "<<1>>" and not broken_off:
            broken_off.append(asked(request))
            served.kill()
        return completion(asked(request))

    def client(served: Served) -> httpx.Client:
        headers = {"Authorization": "Bearer ep_test_pro"}
        return httpx.Client(base_url=served.url, headers=headers, trust_env=False, verify=False)

    settings = {"upstream": upstream(answer).url, "credits": {"pro": 3}}
    with Served(tmp_path / "e.db", **settings) as served, client(served) as first:
        workflow = make(
            first, step("a", "1"), step("b", "{{steps.a.output}}"), step("c", "{{steps.b.output}}"), step("d", "", "c")
        )
        path = begin(first, workflow)
        until(lambda: broken_off)
    with Served(tmp_path / "e.db", **settings) as served, client(served) as second:
        execution = ended(second, path)
        assert list(statuses(execution).values()) == ["completed", "completed", "completed", "failed"]
        assert execution["error"].startswith("Step d: Insufficient tokens")
        assert len(data(second.get("/executions"))) == 3
