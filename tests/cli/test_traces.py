"""`enprompta traces`: list, a trace as a tree, and following new ones."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.cli.commands import traces
from enprompta.models import Trace, TraceSpan
from tests.cli.conftest import objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta import Enprompta
    from enprompta.emulator.serving.faults import Faults
    from tests.cli.conftest import Run

COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]


def record(client: Enprompta, **fields: str) -> str:
    """Record a trace and return its id."""
    given = {"provider": "openai", "model": "gpt-4", "input": "Hello", "output": "Hi.", **fields}
    return client.traces.record(**given).trace_id  # type: ignore[arg-type] # all of them are text


def test_list_filters_and_stops(run: Run, client: Enprompta) -> None:
    """The list takes the filters of the API and says on standard error when there are more."""
    ids = [record(client, session_id="cli-list") for _ in range(3)]
    record(client, session_id="cli-other")
    some = run("traces", "list", "--session", "cli-list", "--limit", 2, "--json")
    assert [one["id"] for one in objects(some)] == [ids[2], ids[1]]
    assert "--all to show them" in some.stderr
    assert run("traces", "list", "--session", "cli-list", "--all", "-q").stdout.split() == ids[::-1]
    assert "TOKENS" in run("traces", "list", "--status", "SUCCESS").output


def test_get_prints_a_tree(run: Run, client: Enprompta) -> None:
    """Each span stands below its parent, with its duration, tokens, cost and error."""
    trace = record(client)
    root = client.traces.create_span(trace, name="agent", span_type="AGENT", duration_ms=12_345)
    inner = client.traces.create_span(
        trace, name="search", span_type="TOOL", parent_span_id=root.span_id, duration_ms=150, tokens=1200, cost=0.25
    )
    client.traces.create_span(trace, name="fetch", span_type="TOOL", parent_span_id=inner.span_id)
    client.traces.create_span(
        trace,
        name="answer",
        span_type="LLM",
        parent_span_id=root.span_id,
        status="ERROR",
        error_message="No\nluck " * 9,
    )
    shown = run("traces", "get", trace).output
    assert "agent  AGENT  12.3 s  SUCCESS\n" in shown
    assert "├─ search  TOOL  150 ms  1,200 tokens  $0.2500  SUCCESS\n" in shown
    assert "│  └─ fetch  TOOL  RUNNING\n" in shown
    assert "└─ answer  LLM  ERROR  No luck No luck" in shown
    assert shown.index("search") < shown.index("fetch") < shown.index("answer")
    assert objects(run("traces", "get", trace, "--json"))[0]["spans"][0]["name"] == "agent"
    assert run("traces", "get", trace, "-q").output == f"{trace}\n"


def test_a_tree_of_circles_and_strangers_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A span whose parent is missing, or that is its own ancestor, is printed once."""
    spans = [
        TraceSpan(id="a", name="a", parent_span_id="b"),
        TraceSpan(id="b", name="b", parent_span_id="a"),
        TraceSpan(id="c", parent_span_id="gone", status="SUCCESS"),
        *[TraceSpan(id=f"d{number}", name=f"d{number}", parent_span_id=f"d{number - 1}") for number in range(300)],
    ]
    traces._print_tree(spans)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(spans)
    assert lines[0].startswith("c  ")


def test_evaluations_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch, client: Enprompta) -> None:
    """A trace's evaluations stand below its spans."""
    evaluation = {"id": "evl_1", "evaluatorName": "Relevance", "score": 0.9, "passed": True, "reasoning": "Good."}
    trace = Trace.model_validate({"id": "t", "evaluations": [evaluation, {"id": "evl_2", "passed": False}]})
    monkeypatch.setattr(type(client.traces), "get", lambda *_: trace)
    shown = run("traces", "get", "t").output
    assert "Relevance  0.9  passed  Good.\n" in shown
    assert "evl_2  None  failed" in shown


def test_tail_prints_each_trace_once_and_survives_an_outage(
    client: Enprompta, faults: Faults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Following starts with the newest traces, prints new ones in their order, and continues after an error."""
    ids = [record(client, session_id="tail") for _ in range(3)]
    monkeypatch.setattr(traces.time, "sleep", lambda _: None)
    monkeypatch.setattr(traces, "_MAX_SEEN", 4)
    with client.with_options(max_retries=0) as quick:
        found = traces._follow(lambda: quick.traces.list(limit=2, session_id="tail"), 1, 0.0)
        assert next(found).id == ids[2]
        more = [record(client, session_id="tail") for _ in range(3)]
        faults.add("/traces", status=503, times=1)
        assert [next(found).id for _ in more] == more
    assert "503" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--json"], ["--quiet"]])
def test_tail_ends_with_130(client: Enprompta, environment: dict[str, str], options: list[str]) -> None:
    """One line a trace reaches a pipe at once, and Ctrl-C ends the command with 130, silently."""
    trace = record(client, session_id=f"tail {options}", input="One\ntwo")
    command = [*COMMAND, "traces", "tail", "--session", f"tail {options}", "--interval", "0.1", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        assert trace in tail.stdout.readline()
        time.sleep(0.1)
        tail.send_signal(signal.SIGINT)
        rest, errors = tail.communicate(timeout=20)
    assert (tail.returncode, rest, errors) == (130, "", "")


@pytest.mark.parametrize("options", [[], ["--json"], ["--quiet"]])
def test_tail_prints_a_line_for_each_trace(run: Run, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    """A line has time, status, id, model, duration, tokens, cost and the beginning of the input."""

    def two(newest: Any, *_: object) -> Iterator[Trace]:
        assert newest().data is not None
        yield Trace.model_validate(
            {
                "id": "trc_1", "status": "ERROR", "model": "m", "latencyMs": 5, "totalTokens": 1500, "cost": 0.5,
                "input": "Hello\nthere", "createdAt": "2024-01-17T10:15:00Z",
            }
        )  # fmt: skip
        yield Trace(id="trc_2")
        raise KeyboardInterrupt

    monkeypatch.setattr(traces, "_follow", two)
    lines = run("traces", "tail", *options, status=130).stdout.splitlines()
    assert len(lines) == 2
    if not options:
        assert lines[0] == "10:15:00  ERROR    trc_1  m  5 ms  1,500 tokens  $0.5000  Hello there"
        assert lines[1].split() == ["-", "-", "trc_2", "-", "-", "0", "tokens", "$0.0000"]


def test_tail_reads_every_page_of_new_traces(client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all traces are new, the listing is read to its end."""
    monkeypatch.setattr(traces.time, "sleep", lambda _: [record(client, session_id="whole") for _ in range(3)])
    found = traces._follow(lambda: client.traces.list(limit=2, session_id="whole"), 5, 0.0)
    assert len({next(found).id for _ in range(3)}) == 3
