"""Threads and tasks that run refreshes: started on demand, always reported as ended, and removed when idle."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from enprompta.cache.background_runners import MAX_THREADS, Tasks, Threads
from tests.cache.wire import refreshers

ROOT = Path(__file__).parents[2]
PATIENCE = 10


class Client:
    """Runs a flow by calling it."""

    def run_flow(self, flow: Any) -> Any:
        """Call the flow."""
        return flow()


def joined(threads: Threads) -> bool:
    """Wait until all threads have ended."""
    for thread in list(threads._threads):
        thread.join(PATIENCE)
    return not threads._threads


class TestThreads:
    def test_they_end_when_there_is_nothing_to_do(self) -> None:
        """An idle thread takes new jobs and ends after a while without any."""
        threads = Threads(idle=0.05)
        names: list[int | None] = []
        for _ in range(2):
            ended = threading.Event()
            threads.spawn(Client(), lambda: names.append(threading.current_thread().ident), ended.set)  # type: ignore[arg-type]
            assert ended.wait(PATIENCE)
        assert joined(threads)
        assert refreshers() == []
        assert len(names) == 2

    def test_they_are_few(self) -> None:
        """Any number of jobs runs, on a bounded number of threads."""
        threads = Threads(idle=0.05)
        go, done = threading.Event(), threading.Semaphore(0)
        for _ in range(50):
            threads.submit(lambda: go.wait(PATIENCE), done.release)
        assert len(threads._threads) == MAX_THREADS
        go.set()
        assert all(done.acquire(timeout=PATIENCE) for _ in range(50))
        assert joined(threads)

    def test_the_contexts_of_callers_go_along(self) -> None:
        """A job sees the caller's context variables, as tracing needs."""
        import contextvars

        name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
        name.set("caller")
        threads, seen, ended = Threads(idle=0.0), [], threading.Event()
        threads.spawn(Client(), lambda: seen.append(name.get()), ended.set)  # type: ignore[arg-type]
        assert ended.wait(PATIENCE)
        assert seen == ["caller"]
        assert joined(threads)

    def test_what_breaks_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """A bug in a refresh is logged and ends neither the thread nor the program."""
        threads, ended = Threads(idle=0.0), threading.Event()
        with caplog.at_level(logging.ERROR, logger="enprompta"):
            threads.submit(lambda: {}["nothing"], ended.set)
            assert ended.wait(PATIENCE)
            assert joined(threads)
        assert caplog.records[0].__dict__["fields"] == {"error": "KeyError", "what": "'nothing'"}

    def test_no_room_for_a_thread(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """If a thread cannot be started, the job is reported as ended at once, and the next job tries again."""
        threads = Threads(idle=0.0)

        def fail(_: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", fail)
        ended = threading.Event()
        threads.submit(lambda: None, ended.set)
        assert ended.is_set()
        assert "can't start new thread" in caplog.text
        monkeypatch.undo()
        ended.clear()
        threads.submit(lambda: None, ended.set)
        assert ended.wait(PATIENCE)
        assert joined(threads)

    def test_closing_drops_what_waits(self) -> None:
        """Closing drops waiting jobs, waits for running ones, and accepts new jobs later."""
        threads = Threads(idle=60.0)
        began, go, ends = threading.Semaphore(0), threading.Event(), []
        for number in range(MAX_THREADS + 2):
            threads.submit(lambda: (began.release(), go.wait(PATIENCE)), lambda number=number: ends.append(number))  # type: ignore[misc]
        assert all(began.acquire(timeout=PATIENCE) for _ in range(MAX_THREADS))
        threading.Timer(0.05, go.set).start()
        threads.close()
        assert ends[:2] == [MAX_THREADS, MAX_THREADS + 1]
        assert sorted(ends) == list(range(MAX_THREADS + 2))
        assert refreshers() == []

    def test_one_of_them_may_close(self) -> None:
        """Closing from inside a refresh does not deadlock, and later jobs run."""
        threads, ended = Threads(idle=0.05), threading.Event()
        threads.submit(threads.close, lambda: None)
        threads.submit(lambda: None, ended.set)
        assert ended.wait(PATIENCE)
        assert joined(threads)


class TestTasks:
    def test_a_task_cancelled_before_it_started_releases_its_lease(self) -> None:
        """An event loop that ends at once cancels the refresh before its first step."""
        tasks, ended = Tasks(), []

        async def never() -> None:
            raise AssertionError

        async def main() -> None:
            tasks.spawn(SimpleNamespace(run_flow=lambda _: never()), None, lambda: ended.append(1))  # type: ignore[arg-type]

        asyncio.run(main())
        assert ended == [1]
        assert tasks._running == set()

    @pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
    def test_what_breaks_is_logged(self, run: Any, caplog: pytest.LogCaptureFixture) -> None:
        """An error in a refresh does not end the program on trio either, where an error of a system task would."""
        tasks, ended = Tasks(), threading.Event()

        async def broken(_: object) -> None:
            raise LookupError("nothing")

        async def main() -> None:
            import anyio

            tasks.spawn(SimpleNamespace(run_flow=broken), None, ended.set)  # type: ignore[arg-type]
            while not ended.is_set():  # noqa: ASYNC110 (set from either loop)
                await anyio.sleep(0.001)

        with caplog.at_level(logging.ERROR, logger="enprompta"):
            run(main() if run is asyncio.run else main)
        assert caplog.records[0].__dict__["fields"] == {"error": "LookupError", "what": "nothing"}
        assert tasks._running == set()

    @pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
    def test_closing_cancels_what_runs_here(self, run: Any) -> None:
        """Closing cancels a task that never ends, and reports it as ended."""
        tasks, ended = Tasks(), threading.Event()

        async def main() -> None:
            import anyio

            tasks.spawn(SimpleNamespace(run_flow=lambda _: anyio.sleep_forever()), None, ended.set)  # type: ignore[arg-type]
            await anyio.sleep(0.01)
            await tasks.aclose()
            await anyio.sleep(0.01)
            assert ended.is_set()

        run(main() if run is asyncio.run else main)

    def test_after_a_fork_there_is_none(self) -> None:
        """A child process does not inherit the parent's tasks and threads."""
        tasks = Tasks()

        async def main() -> None:
            tasks.spawn(SimpleNamespace(run_flow=lambda _: asyncio.sleep(0)), None, lambda: None)  # type: ignore[arg-type]
            tasks.after_fork()
            assert tasks._running == set()
            await tasks.aclose()

        asyncio.run(main())

    def test_files_are_written_by_a_thread(self) -> None:
        """Disk work does not block the event loop, and its errors reach the waiting caller."""
        tasks = Tasks()

        async def main() -> None:
            gates: list[Future[Any]] = [Future(), Future()]
            tasks.offload(gates[0], lambda: threading.current_thread().name)
            tasks.offload(gates[1], lambda: {}["nothing"])
            assert await asyncio.wrap_future(gates[0]) == "enprompta-refresh"
            with pytest.raises(KeyError):
                await asyncio.wrap_future(gates[1])
            await tasks.aclose()

        asyncio.run(main())
        assert refreshers() == []


FORK = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from enprompta import Enprompta
from tests.cache.wire import prompt, stalling
from tests.faults.server import FaultServer

with FaultServer() as server:
    server.play(prompt("v1"), stalling, then=prompt("v2"))
    client = Enprompta(api_key="ep_x", base_url=server.base_url, limiter=None)
    client.prompts.get_live("hi")
    client.prompts.get_live("hi", ttl=1e-6)  # a refresh that hangs
    while len(server.received) < 2:
        threading.Event().wait(0.01)
    locked = client.live_cache._memory._lock
    holder = threading.Thread(target=lambda: (locked.acquire(), threading.Event().wait(0.3), locked.release()))
    holder.start()  # a thread that holds the lock while the process forks
    while not locked.locked():
        threading.Event().wait(0.001)
    child = os.fork()
    if child == 0:
        given = client.prompts.get_live("hi", ttl=0)  # no thread of the child holds the lock or runs the refresh
        print(given.content, given.is_stale, client.prompts.get_live("hi").age < 5, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    holder.join()
    client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_continues(tmp_path: Path) -> None:
    """After a fork during a refresh and a look-up, the child has the cached prompt and sends its own requests."""
    file = tmp_path / "fork.py"
    file.write_text(FORK)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, timeout=30, env=environment, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("v2 False True\n", "", 0)
