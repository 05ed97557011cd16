"""A program that records spans and ends in the way it is asked to: `program.py MODE BASE_URL COUNT [SPOOL]`."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from enprompta import Enprompta
from enprompta.tracing import Tracing

mode, base_url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Enprompta(api_key="ep_test_123456", base_url=base_url)
tracing = Tracing(client, service_name=mode, spool=sys.argv[4] if len(sys.argv) > 4 else None)
tracer = tracing.provider.get_tracer("program")


def record(first: int, number: int) -> None:
    """End some spans, numbered."""
    for at in range(first, first + number):
        tracer.start_span("s", attributes={"n": at}).end()


async def record_async(first: int, number: int) -> None:
    """The same, in a task."""
    for at in range(first, first + number, 100):
        record(at, min(100, first + number - at))
        await asyncio.sleep(0)


async def tasks() -> None:
    """Record in ten tasks."""
    share = count // 10
    await asyncio.gather(*(record_async(at * share, share) for at in range(10)))


def main() -> None:  # noqa: C901, PLR0912 (one branch a mode)
    """Record spans and end."""
    share = count // 4
    if mode in {"exit", "sigterm", "sigterm-handler", "sigkill", "error"}:
        record(0, count)
    elif mode == "threads":
        threads = [threading.Thread(target=record, args=(at * share, share)) for at in range(4)]
        for thread in threads:
            thread.start()  # not joined: the process waits for them before it ends
    elif mode == "tasks":
        asyncio.run(tasks())
    elif mode == "thread-pool":
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(record, [at * share for at in range(4)], [share] * 4))
    elif mode == "fork":
        record(0, share)
        for at in range(1, 4):
            if os.fork() == 0:
                record(at * share, share)
                sys.exit(0)
        for _ in range(3):
            os.wait()
    elif mode == "multiprocessing":
        context = multiprocessing.get_context("fork")
        record(0, share)
        processes = [context.Process(target=record, args=(at * share, share)) for at in range(1, 4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    elif mode == "process-pool":
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            list(pool.map(record, [at * share for at in range(4)], [share] * 4))
    if mode == "error":
        raise ValueError("the program fails")
    print("ready", flush=True)  # noqa: T201 (the test waits for it)
    if mode.startswith("sigterm"):
        time.sleep(30)
    if mode == "sigkill":
        tracing.flush(deadline=1.0)
        os.kill(os.getpid(), signal.SIGKILL)


if mode == "sigterm-handler":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    tracing.shutdown()
    tracing = Tracing(client, service_name=mode)
    tracer = tracing.provider.get_tracer("program")
main()
