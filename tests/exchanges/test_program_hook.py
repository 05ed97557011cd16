"""A program's hook reports attempts, waits and retries to the Workbench, and never delays or fails a call."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, cast

import pytest

from enprompta import APIConnectionError, AsyncEnprompta, ConfigurationError, Enprompta
from enprompta.emulator import Emulator
from enprompta.exchanges import ProgramHook, TimelineEvent
from enprompta.exchanges import program_hook as module
from enprompta.hooks import RequestRecord, WaitRecord
from enprompta.workbench import hook

if TYPE_CHECKING:
    from collections.abc import Iterator


class Receiver:
    """Takes reports like the Workbench does."""

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.reports += json.loads(body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.reports: list[dict[str, Any]] = []
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/report/secret"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def wait_for(self, number: int) -> list[dict[str, Any]]:
        """Wait for a number of reports."""
        deadline = time.monotonic() + 20
        while len(self.reports) < number and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.reports


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of reports."""
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator."""
    with Emulator() as one:
        yield one


def test_attempts_retries_and_results_are_reported(receiver: Receiver, emulator: Emulator) -> None:
    """Each attempt has its call, number, status and steps; the emulator logs the same call and attempt."""
    emulator.faults.add("/prompts", status=503, times=1, headers={"Retry-After": "0"})
    with Enprompta(api_key=emulator.keys.team, base_url=emulator.url, hooks=[hook(receiver.url)]) as client:
        client.prompts.list()
    reports = receiver.wait_for(3)
    first, second = (one["exchange"] for one in reports if "exchange" in one)
    (retry,) = (one for one in reports if "event" in one)
    assert (first["attempt"], first["status"], second["attempt"], second["status"]) == (1, 503, 2, 200)
    assert first["call"] == second["call"] == retry["call"]
    assert (retry["attempt"], retry["event"]["kind"]) == (1, "retry")
    assert [one["kind"] for one in first["timeline"]] == ["request", "response"]
    assert emulator.keys.team not in json.dumps(reports)
    logged = emulator.exchanges.search()
    assert [(one.call, one.attempt) for one in logged] == [(first["call"], 2), (first["call"], 1)]


def test_the_variable_adds_the_hook(receiver: Receiver, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENPROMPTA_WORKBENCH is enough, in both clients; a given hook is not added twice; a bad value is refused."""
    monkeypatch.setenv("ENPROMPTA_WORKBENCH", f" {receiver.url} ")
    settings = {"api_key": emulator.keys.team, "base_url": emulator.url}
    with Enprompta(**settings) as client, Enprompta(**settings, hooks=[hook()]) as other:
        client.teams.list()
        other.teams.list()
        copied = pickle.loads(pickle.dumps(other))
    copied.teams.list()
    copied.close()

    async def run() -> None:
        async with AsyncEnprompta(**settings) as one:
            await one.teams.list()

    asyncio.run(run())
    assert len(receiver.wait_for(4)) == 4
    time.sleep(0.05)
    assert len(receiver.reports) == 4
    monkeypatch.setenv("ENPROMPTA_WORKBENCH", "https://example.com/report")
    with pytest.raises(ConfigurationError, match="ENPROMPTA_WORKBENCH"):
        Enprompta(**settings)
    monkeypatch.delenv("ENPROMPTA_WORKBENCH")
    with pytest.raises(ConfigurationError, match="address is missing"):
        hook()


BAD = [
    "http://example.com/",
    "https://127.0.0.1/",
    "127.0.0.1:1",
    "http://127.0.0.1:x/",
    "http://[::1",
    "http://127.0.0.1/\n",
    "http://",
    "file:///x",
]


@pytest.mark.parametrize("url", BAD)
def test_reports_go_to_this_machine_only(url: str) -> None:
    """Any other address is refused when the hook is made."""
    with pytest.raises(ConfigurationError, match="this machine only"):
        hook(url)
    assert ProgramHook("http://localhost/")
    assert ProgramHook("http://[::1]:80")


def test_a_missing_or_silent_workbench_disturbs_nothing(emulator: Emulator) -> None:
    """Calls are not delayed when nothing listens, or a server that never answers; memory is bounded."""
    import socket

    silent = socket.create_server(("127.0.0.1", 0))
    for port in (9, silent.getsockname()[1]):
        url = f"http://127.0.0.1:{port}/report"
        with Enprompta(
            api_key=emulator.keys.enterprise, base_url=emulator.url, hooks=[hook(url)], limiter=None
        ) as client:
            started = time.monotonic()
            for _ in range(20):
                client.teams.list()
            assert time.monotonic() - started < 10
        reporter = module._reporters[url]
        for number in range(2_000):
            reporter.put((f"c{number}", 1, module.TimelineEvent("retry", 1.0)))
        assert reporter._queue.qsize() <= 1_000
    silent.close()


def test_what_is_noted_for_calls_is_bounded() -> None:
    """Waits of calls that are never sent do not pile up."""
    one = ProgramHook("http://127.0.0.1:9/report")
    for number in range(3_000):
        one.on_wait(WaitRecord(number, "GET", "/prompts", 0.1))
    assert len(one._waits) <= 1_000


def test_the_call_is_named_only_to_servers_on_this_machine() -> None:
    """The header with the call's id is never sent to the live service."""
    one = ProgramHook("http://127.0.0.1:9/report")

    def headers(url: str) -> Any:
        return one.on_request(RequestRecord(1, 1, "GET", "/prompts", url, {}, b""))

    assert headers("https://enprompta.com/api/v1/prompts") is None
    assert set(headers("http://127.0.0.1:8787/api/v1/prompts")) == {"x-enprompta-workbench-call"}


def test_waits_and_failures_are_reported(receiver: Receiver) -> None:
    """A wait for the rate limit is part of the attempt that follows; a failed connection has its error."""
    with Emulator(window=0.3, limits={"team": (1, 1000)}) as emulator:
        with Enprompta(api_key=emulator.keys.team, base_url=emulator.url, hooks=[hook(receiver.url)]) as client:
            client.teams.list()
            client.teams.list()
        with (
            Enprompta(
                api_key="ep_test_x", base_url="http://127.0.0.1:9/api/v1", hooks=[hook(receiver.url)], max_retries=0
            ) as lost,
            suppress(APIConnectionError),
        ):
            lost.teams.list()
    reports = [one["exchange"] for one in receiver.wait_for(3)]
    assert [step["kind"] for step in reports[1]["timeline"]] == ["wait", "request", "response"]
    assert (reports[2]["status"], bool(reports[2]["error"])) == (None, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_short_programs_and_forked_processes_report_too(receiver: Receiver, emulator: Emulator) -> None:
    """The last reports are sent when a program ends, and a forked process sends its own reports."""
    code = """
import os, sys
from enprompta import Enprompta
client = Enprompta()
client.teams.list()
if os.fork() == 0:
    client.prompts.list()
    sys.exit()
os.wait()
"""
    environ = {**os.environ, "ENPROMPTA_BASE_URL": emulator.url, "ENPROMPTA_API_KEY": emulator.keys.team}
    environ["ENPROMPTA_WORKBENCH"] = receiver.url
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=60)
    paths = sorted(one["exchange"]["path"] for one in receiver.wait_for(2))
    assert paths == ["/api/v1/prompts", "/api/v1/teams"]


STEP = ("call", 1, TimelineEvent("retry", 1.0, 0.5))


def test_a_forked_process_starts_its_own_reports(receiver: Receiver) -> None:
    """In another process than the one that made it, a reporter begins with an empty queue and its own thread."""
    reporter = module._reporter_for(receiver.url)
    reporter._pid, reporter._thread = -1, threading.main_thread()
    reporter._queue.put(STEP)
    reporter.put(STEP)
    assert len(receiver.wait_for(1)) == 1
    assert reporter._pid == os.getpid()


def test_two_threads_start_one_reporter(receiver: Receiver) -> None:
    """A thread that waits while another starts the reporter does not start a second one."""
    reporter = module._reporter_for(receiver.url)

    @contextmanager
    def other() -> Iterator[None]:
        reporter._thread = threading.main_thread()
        yield

    reporter._lock = cast("Any", other())
    reporter.put(STEP)
    assert reporter._thread is threading.main_thread()


def test_the_end_of_a_program_waits_for_its_reports(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait ends when all reports are sent, or after its limit; a forked process does not wait for its parent's."""
    monkeypatch.setattr(module, "_EXIT_SECONDS", 60)
    reporter = module._reporter_for(receiver.url)
    reporter.put(STEP)
    reporter._flush(os.getpid())
    assert len(receiver.reports) == 1
    reporter._start()
    reporter._thread = threading.main_thread()  # one that sends nothing
    reporter.put(STEP)
    reporter._flush(-1)
    monkeypatch.setattr(module, "_EXIT_SECONDS", 0.01)
    reporter._flush(os.getpid())
    assert reporter._queue.unfinished_tasks == 1
