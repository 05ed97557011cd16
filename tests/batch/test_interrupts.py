"""Runs that end early: no further row starts, results in flight are saved, nothing hangs or is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from enprompta import AsyncEnprompta, Enprompta
from enprompta.emulator import Emulator
from enprompta.limiters import LocalLimiter
from tests.batch.conftest import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from enprompta.batch import Progress
    from tests.batch.conftest import Runner, Service


def wait_for(happened: Any) -> None:
    """Wait until a condition is true."""
    for _ in range(2_000):
        if happened():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def leave(runner: Runner, run: Any) -> None:
    """Leave the loop at the first result, without a `with` block."""
    if runner.portal is None:
        for _ in run:
            break
        return

    async def left() -> None:
        async for _ in run:
            break

    runner.portal.call(left)


def test_leaving_the_loop_ends_the_run(runner: Runner, tmp_path: Path) -> None:
    """After `break` no further row is started, and charged rows are in the checkpoint."""
    file = tmp_path / "run.db"
    run = runner.many(numbered(1000), concurrency=4, checkpoint=file)
    leave(runner, run)
    gc.collect()
    wait_for(lambda: run._closed if runner.portal is None else run._ended.is_set())
    charged = len(runner.service.charged)
    assert charged < 50
    runner.service.requests.clear()
    restored = [result for result in runner.all(numbered(1000), checkpoint=file) if result.restored]
    assert len(restored) == charged
    assert len(runner.service.requests) == 1000 - charged


def test_an_exception_in_the_loop_ends_the_run(runner: Runner) -> None:
    """An exception of the caller leaves the block unchanged, and the run leaves nothing behind."""

    def fails(_: object) -> None:
        raise LookupError("mine")

    run = runner.many(numbered(1000), concurrency=4)
    with pytest.raises(LookupError, match="mine"):
        runner.walk(run, then=fails)
    assert run.ending == "closed"
    assert len(runner.service.charged) == len(runner.service.requests) < 50


def test_closing_waits_for_requests_in_flight(runner: Runner, tmp_path: Path) -> None:
    """Closing a run waits for rows that were sent, and saves them."""
    service = runner.service
    service.answer = lambda n: service.open.clear() if n == "0" else None
    run = runner.many(numbered(1000), concurrency=4, checkpoint=tmp_path / "run.db")
    timer = threading.Timer(0.1, service.open.set)
    runner.walk(run, most=1, then=lambda _: timer.start())
    timer.join()
    assert run.progress.in_flight == 0
    assert run.progress.done == len(service.charged) == len(service.requests)


def test_a_run_that_never_began_has_nothing_to_close(runner: Runner) -> None:
    """Entering and leaving a run without iterating it does nothing."""
    run = runner.many(numbered(3))
    assert runner.walk(run, most=0) == [] or runner.portal is not None
    assert "not started" in repr(runner.many([]))


@pytest.fixture
def budgeted(runner: Runner) -> Iterator[Any]:
    """Provide a client whose rate limit is exhausted after some rows."""
    left, reset = iter(range(9, -1, -1)), str(int(time.time()) + 50)

    def answer(n: str) -> httpx.Response:
        headers = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": str(next(left)), "x-ratelimit-reset": reset}
        headers["date"] = formatdate(usegmt=True)
        data = {"id": f"exe_{n}", "status": "completed", "output": f"did {n}"}
        return httpx.Response(201, json={"success": True, "data": data}, headers=headers)

    runner.service.answer = answer
    return runner.make(limiter=LocalLimiter())


def test_closing_does_not_wait_for_the_rate_limit(runner: Runner, budgeted: Any) -> None:
    """A run that waits for the rate limit reports it, and Ctrl-C ends it at once."""
    waits: list[float] = []
    taken: list[Any] = []

    def press(progress: Progress) -> None:
        waits.append(progress.waiting)
        if progress.waiting > 0.5:
            raise KeyboardInterrupt if runner.portal is None else LookupError("stop")

    run = runner.many(numbered(1000), client=budgeted, concurrency=8, on_progress=press)
    started = time.monotonic()
    with pytest.raises((KeyboardInterrupt, LookupError)):
        runner.walk(run, then=taken.append)
    assert time.monotonic() - started < 10
    assert max(waits) < 5
    assert len(taken) == 10
    assert "10 of 1000 rows have ended" in run.resume_hint


def test_cancellation(runner: Runner, tmp_path: Path) -> None:
    """Cancelling the iterating task cancels requests in flight; the resumed run charges each row once."""
    if runner.portal is None:
        pytest.skip("threads cannot be cancelled")
    file = tmp_path / "run.db"
    service = runner.service

    async def cancelled(*, block: bool) -> None:
        run = runner.many(numbered(100), concurrency=4, checkpoint=file)
        with anyio.move_on_after(5) as scope:
            if block:
                async with run:
                    async for _ in run:
                        service.open.clear()
                        scope.cancel()
                        await anyio.sleep(1)
            else:
                async for _ in run:
                    service.open.clear()
                    scope.cancel()
        with anyio.fail_after(5):
            await run._until_ended()
        assert service.at_once == 0
        service.open.set()

    for block in (True, False):
        runner.portal.call(partial(cancelled, block=block))
    assert len(runner.all(numbered(100), checkpoint=file)) == 100
    assert len(service.charged) == 100


def test_a_native_cancellation_of_asyncio(service: Service) -> None:
    """`task.cancel()` ends a run as a cancel scope does, and leaves no task behind."""

    async def main() -> None:
        http = httpx.AsyncClient(transport=service)
        client = AsyncEnprompta(api_key="ep_x", limiter=None, http_client=http, base_url="https://api.test/api/v1")
        run = client.prompts.execute_many("p", numbered(100), concurrency=4)
        service.open.clear()

        async def iterate() -> None:
            async for _ in run:
                pass

        task = asyncio.create_task(iterate())
        for _ in range(100):
            await asyncio.sleep(0)  # until rows are in flight
        assert service.at_once == 4
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert service.at_once == 0
        assert run.ending == "closed"
        assert len(asyncio.all_tasks()) == 1
        await http.aclose()

    asyncio.run(main())


SCRIPT = """
import atexit, sys, threading
from enprompta import Enprompta
client = Enprompta()
atexit.register(client.close)
run = client.prompts.execute_many(sys.argv[1], ({"n": str(i)} for i in range(10**9)), checkpoint=sys.argv[2])
results = iter(run)
next(results)
if sys.argv[3] == "forget":
    sys.exit(0)
print("ready", flush=True)
try:
    with run:  # an interrupt in the loop's own line ends the run, too
        for _ in results:
            pass
except KeyboardInterrupt:
    print(run.resume_hint, threading.active_count(), flush=True)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a program that runs rows at an emulator."""
    script = tmp_path_factory.mktemp("script") / "script.py"
    script.write_text(SCRIPT)
    with Emulator(rate_limits=False) as emulator:
        with Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
            prompt = client.prompts.create(title="t", content="{{n}}").id
        environment = {**os.environ, "ENPROMPTA_API_KEY": emulator.keys.team, "ENPROMPTA_BASE_URL": emulator.url}

        def start(file: Path, how: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-W", "error", str(script), prompt, str(file), how]
            pipe = subprocess.PIPE
            return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

        yield start


def test_ctrl_c(process: Any, tmp_path: Path) -> None:
    """Ctrl-C ends the program soon; the run says how to resume, and no thread is left."""
    with process(tmp_path / "run.db", "wait") as program:
        assert program.stdout.readline() == "ready\n"
        time.sleep(0.3)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=20)
    assert err == ""
    assert "run again with checkpoint=" in out
    assert out.rstrip().endswith(" 1")


def test_an_abandoned_run_does_not_delay_the_exit_of_the_program(process: Any, tmp_path: Path) -> None:
    """A program that ends with an open iterator waits for requests in flight."""
    with process(tmp_path / "run.db", "forget") as program:
        _, err = program.communicate(timeout=20)
    assert (program.returncode, err) == (0, "")
