"""Running workflows: inputs of steps, their order, and every way for a run to end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from tests.emulator.flows import asked, begin, completion, data, details, ended, make, make_prompt, statuses, step
from tests.emulator.receivers import Receiver, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.emulator.conftest import Clock


class Gate:
    """A model server that answers once it is opened."""

    def __init__(self, upstream: Any) -> None:
        self.open = threading.Event()
        self.asked: list[str] = []
        self.url: str = upstream(self._answer).url

    def _answer(self, request: dict[str, Any]) -> tuple[int, bytes]:
        self.asked.append(asked(request))
        self.open.wait(10)
        return completion(asked(request))


@pytest.fixture
def gate(upstream: Any) -> Iterator[Gate]:
    """A waiting model server, opened when the test ends."""
    gate = Gate(upstream)
    yield gate
    gate.open.set()


def test_outputs_go_from_step_to_step(client: httpx.Client) -> None:
    """Inputs and outputs are inserted, each step is an execution, and the run adds them up."""
    workflow = make(
        client,
        step("b", "{{steps.a.output}} and {{input.n}}, {{input.yes}}"),
        step("a", "{{ input.topic }}", model="m1", options={"temperature": 0.1}),
    )
    execution = ended(client, begin(client, workflow, topic="bees {{x}}", n=2.0, yes=True, unused=[1]))
    outputs = {it["stepId"]: it["output"] for it in execution["steps"]}
    assert outputs == {"a": "<bees {{x}}>", "b": "<<bees {{x}}> and 2, true>"}
    assert execution["output"] == outputs["b"]
    assert execution["input"] == {"topic": "bees {{x}}", "n": 2.0, "yes": True, "unused": [1]}
    assert [it["stepId"] for it in execution["steps"]] == ["b", "a"]
    assert execution["status"] == "completed"
    assert execution["error"] is None
    assert execution["startedAt"] == execution["completedAt"] == "2024-01-17T12:00:00Z"
    ran = {it["id"]: it for it in data(client.get("/executions"))}
    assert len(ran) == 2
    for it in execution["steps"]:
        one = ran[it["executionId"]]
        assert (it["status"], it["output"], it["tokens"], it["cost"]) == tuple(
            one[name] for name in ("status", "output", "tokens", "cost")
        )
    assert execution["tokens"] == sum(it["tokens"] for it in ran.values())
    assert execution["cost"] == pytest.approx(sum(it["cost"] for it in ran.values()))


def test_inputs_that_are_missing_are_named(client: httpx.Client) -> None:
    """A missing or non-text input gets a 400, and nothing runs."""
    workflow = make(client, step("a", "{{input.one}} {{input.two}}"), step("b", "{{input.two}} {{input.ok}}"))
    path = f"/workflows/{workflow['id']}/execute"
    assert details(client.post(path, json={"input": {"two": ["x"], "ok": "y"}})) == [
        ("input.one", "Required by step 'a'"),
        ("input.two", "Must be text, a number or a boolean"),
    ]
    assert ("input", "Must be an object") in details(client.post(path, json={"input": []}))
    assert data(client.get(f"/workflows/{workflow['id']}/executions")) == []


def test_a_workflow_without_inputs_needs_no_body(client: httpx.Client) -> None:
    """Without inputs, the body may be omitted."""
    workflow = make(client, {"id": "a", "variables": {"x": "y"}})
    assert data(client.post(f"/workflows/{workflow['id']}/execute"), 202)["input"] == {}


def test_fifty_steps_in_a_diamond(clock: Clock, connect: Any, upstream: Any) -> None:
    """The first runs alone, then 48 concurrently, and the last gets their outputs in order."""
    order: list[str] = []

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        order.append(asked(request))
        return completion(asked(request).split()[0])

    with Emulator(clock=clock, upstream=upstream(answer).url) as emulator:
        client = connect(emulator)
        middle = [f"m{number}" for number in range(48)]
        workflow = make(
            client,
            step("last", "last " + " ".join(f"{{{{steps.{it}.output}}}}" for it in middle)),
            *(step(it, f"{it} {{{{steps.first.output}}}}") for it in middle),
            step("first", "first"),
            prompt=make_prompt(client, "{{x}}"),
        )
        execution = ended(client, begin(client, workflow))
    assert (execution["status"], execution["error"]) == ("completed", None)
    assert execution["output"] == "last"
    assert order[0] == "first"
    assert sorted(order[1:-1]) == sorted(f"{it} first" for it in middle)
    assert order[-1] == "last " + " ".join(middle)


def test_steps_that_need_nothing_of_each_other_run_side_by_side(clock: Clock, connect: Any, upstream: Any) -> None:
    """Three independent steps run concurrently; the output is that of the last one defined."""
    together = threading.Barrier(3, timeout=5)

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        together.wait()
        return completion(asked(request))

    with Emulator(clock=clock, upstream=upstream(answer).url) as emulator:
        client = connect(emulator)
        workflow = make(client, *(step(it, it) for it in "abc"))
        assert ended(client, begin(client, workflow))["output"] == "<c>"


def test_a_run_keeps_the_steps_it_began_with(clock: Clock, connect: Any, upstream: Any) -> None:
    """Changes of the workflow affect later runs; changes of a prompt affect later steps."""
    go_on = threading.Event()

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        go_on.wait(5)
        return completion(asked(request))

    with Emulator(clock=clock, upstream=upstream(answer).url) as emulator:
        client = connect(emulator)
        prompt = make_prompt(client)
        workflow = make(client, step("a", "1"), step("b", "{{steps.a.output}}"), prompt=prompt)
        path = begin(client, workflow)
        until(lambda: statuses(data(client.get(path)))["a"] == "running")
        data(client.put(f"/workflows/{workflow['id']}", json={"steps": [{"promptId": prompt, **step("z", "z")}]}))
        data(client.put(f"/prompts/{prompt}", json={"content": "({{x}})"}))
        go_on.set()
        assert ended(client, path)["output"] == "(<1>)"


def test_executions_are_listed_by_status(client: httpx.Client) -> None:
    """Newest first, filtered by status; an unknown status gets a 400."""
    good, bad = make(client, step("a")), make(client, {"id": "a"})
    paths = [begin(client, good), begin(client, good), begin(client, bad)]
    ids = [ended(client, path)["id"] for path in paths]
    where = f"/workflows/{good['id']}/executions"
    assert [it["id"] for it in data(client.get(where))] == [ids[1], ids[0]]
    assert data(client.get(where, params={"status": "failed"})) == []
    failed = data(client.get(f"/workflows/{bad['id']}/executions", params={"status": "failed"}))
    assert [it["id"] for it in failed] == [ids[2]]
    assert details(client.get(where, params={"status": "done"}))[0][0] == "status"
    assert client.get(f"{where}/{ids[2]}").status_code == 404


def test_a_step_that_fails_fails_the_run(clock: Clock, connect: Any, upstream: Any) -> None:
    """After a failure, running steps finish, later ones never start, and `workflow.failed` names the step."""
    beside = threading.Event()

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        if asked(request) == "<bad>":
            return 500, b"out of memory"
        beside.wait(5)
        return completion(asked(request))

    with Receiver() as receiver, Emulator(clock=clock, upstream=upstream(answer).url) as emulator:
        client = connect(emulator)
        hook = {"name": "h", "url": receiver.url, "events": ["workflow.failed", "workflow.completed"]}
        data(client.post("/webhooks", json=hook), 201)
        workflow = make(
            client,
            step("beside", "beside"),
            step("bad", "bad"),
            step("after", "{{steps.bad.output}}"),
            step("later", "{{steps.beside.output}}"),
        )
        path = begin(client, workflow)
        until(lambda: statuses(data(client.get(path)))["bad"] == "failed")
        assert data(client.get(path))["status"] == "running"
        beside.set()
        execution = ended(client, path)
        (received,) = until(lambda: receiver.received)
    assert execution["status"] == "failed"
    assert execution["output"] is None
    assert statuses(execution) == {
        "beside": "completed",
        "bad": "failed",
        "after": "cancelled",
        "later": "cancelled",
    }
    error = execution["steps"][1]["error"]
    assert "out of memory" in error
    assert execution["steps"][1]["executionId"].startswith("exe_")
    assert execution["error"] == f"Step bad: {error}"
    assert received.event["event"] == "workflow.failed"
    assert received.event["data"] == {
        "execution_id": execution["id"],
        "workflow_id": workflow["id"],
        "status": "failed",
        "tokens_used": 10,
        "cost": execution["cost"],
        "error": execution["error"],
    }


def test_a_step_that_cannot_be_filled_in_fails(client: httpx.Client) -> None:
    """A missing or unknown variable fails the step, which has no execution."""
    workflow = make(client, {"id": "a", "variables": {"y": "1"}})
    execution = ended(client, begin(client, workflow))
    assert execution["error"].startswith("Step a: variables.x: Required variable is missing; variables.y: Unknown")
    assert execution["steps"][0]["error"] == execution["error"].removeprefix("Step a: ")
    assert execution["steps"][0]["executionId"] is None
    assert data(client.get("/executions")) == []


def test_a_deleted_prompt_fails_its_step(client: httpx.Client) -> None:
    """A prompt deleted after the workflow was made is named by the failure."""
    prompt = make_prompt(client)
    workflow = make(client, step("a"), prompt=prompt)
    client.delete(f"/prompts/{prompt}")
    assert ended(client, begin(client, workflow))["error"] == f"Step a: Prompt '{prompt}' not found"


def test_each_step_costs_a_credit(clock: Clock, connect: Any) -> None:
    """A step without a credit left fails the run; without any left, a run is refused with 402."""
    with Emulator(clock=clock, credits={"pro": 2}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        workflow = make(client, step("a"), step("b", "", "a"), step("c", "", "b"), step("d", "", "c"))
        execution = ended(client, begin(client, workflow))
        assert list(statuses(execution).values()) == ["completed", "completed", "failed", "cancelled"]
        assert execution["error"].startswith("Step c: Insufficient tokens: all 2 of the pro plan")
        refused = client.post(f"/workflows/{workflow['id']}/execute")
        assert refused.status_code == 402
        assert len(data(client.get(f"/workflows/{workflow['id']}/executions"))) == 1


def test_to_cancel_stops_what_has_not_begun(clock: Clock, connect: Any, gate: Gate) -> None:
    """A cancelled run ends at once; running steps finish, no other starts; cancelling again gets a 409."""
    with Receiver() as receiver, Emulator(clock=clock, upstream=gate.url) as emulator:
        client = connect(emulator)
        hook = {"name": "h", "url": receiver.url, "events": ["workflow.failed", "workflow.completed"]}
        data(client.post("/webhooks", json=hook), 201)
        workflow = make(client, step("a", "1"), step("b", "2", "a"))
        path = begin(client, workflow)
        until(lambda: gate.asked)
        cancelled = data(client.post(f"{path}/cancel"))
        assert cancelled["status"] == "cancelled"
        assert cancelled["completedAt"] == "2024-01-17T12:00:00Z"
        assert statuses(cancelled) == {"a": "running", "b": "cancelled"}
        gate.open.set()
        until(lambda: statuses(data(client.get(path)))["a"] == "completed")
        assert data(client.get(path))["tokens"] == 10
        assert client.post(f"{path}/cancel").status_code == 409
        assert gate.asked == ["<1>"]
        assert receiver.received == []
        done = begin(client, workflow)
        ended(client, done)
        assert client.post(f"{done}/cancel").status_code == 409
        assert client.post(f"{path}x/cancel").status_code == 404


def test_a_deleted_workflow_runs_no_further(clock: Clock, connect: Any, gate: Gate) -> None:
    """If its workflow is deleted, a run starts no further step."""
    with Emulator(clock=clock, upstream=gate.url) as emulator:
        client = connect(emulator)
        workflow = make(client, step("a", "1"), step("b", "2", "a"))
        begin(client, workflow)
        until(lambda: gate.asked)
        client.delete(f"/workflows/{workflow['id']}")
        gate.open.set()
        until(lambda: data(client.get("/executions")))
        other = make(client, step("z", "9"))
        ended(client, begin(client, other))
        assert gate.asked == ["<1>", "<9>"]


def test_a_run_outlives_the_emulator(clock: Clock, connect: Any, gate: Gate, tmp_path: Path) -> None:
    """A run interrupted by a stop resumes at the next start; interrupted steps run again and are paid once."""

    def emulator() -> Emulator:
        return Emulator(db=tmp_path / "e.db", clock=clock, upstream=gate.url, credits={"pro": 3})

    gate.open.set()
    with emulator() as first:
        client = connect(first, first.keys.pro)
        workflow = make(
            client,
            step("a", "1", provider="echo"),
            step("b", "{{steps.a.output}}"),
            step("c", "{{steps.b.output}}"),
        )
        gate.open.clear()
        path = begin(client, workflow)
        until(lambda: gate.asked)
        client.close()
        started = time.monotonic()
        first.stop()
        assert time.monotonic() - started < 1
        gate.open.set()
    with emulator() as second:
        client = connect(second, second.keys.pro)
        execution = ended(client, path)
        assert execution["status"] == "completed"
        assert execution["output"] == "<<<1>>>"
        assert len(data(client.get("/executions"))) == 3
        assert client.post(f"/workflows/{workflow['id']}/execute").status_code == 402
    assert gate.asked == ["<<1>>", "<<1>>", "<<<1>>>"]


def test_a_failed_or_cancelled_run_ends_after_a_stop(clock: Clock, connect: Any, gate: Gate, tmp_path: Path) -> None:
    """A run that had failed or was cancelled before a stop resumes nothing."""

    def emulator() -> Emulator:
        return Emulator(db=tmp_path / "e.db", clock=clock, upstream=gate.url)

    with emulator() as first:
        client = connect(first)
        workflow = make(client, step("slow", "1"), {"id": "bad"}, step("c", "", "bad"))
        paths = [begin(client, workflow), begin(client, workflow)]
        until(lambda: len(gate.asked) == 2)
        data(client.post(f"{paths[1]}/cancel"))
        client.close()
    with emulator() as second:
        client = connect(second)
        failed, cancelled = (ended(client, path) for path in paths)
        assert statuses(failed) == {"slow": "cancelled", "bad": "failed", "c": "cancelled"}
        assert failed["error"].startswith("Step bad: variables.x")
        assert cancelled["status"] == "cancelled"
        assert "running" not in statuses(cancelled).values()
    assert len(gate.asked) == 2
