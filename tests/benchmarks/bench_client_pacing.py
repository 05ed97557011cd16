"""The client's pacing in figures: `python -m tests.benchmarks.bench_client_pacing` (some minutes).

Whole clients over real sockets, against a strict server in a separate process: 1,000 calls at 50 per 3 s window.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from threading import Thread
from types import NoneType
from typing import TYPE_CHECKING

from enprompta import AsyncEnprompta, Call, Enprompta
from enprompta.limiters import RedisLimiter
from tests.benchmarks.bench_pacing import CALLS, LIMIT, WINDOW, ServerProcess, show
from tests.limiters.redis_server import BINARY, RedisServer
from tests.limiters.wire import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

PING = Call("GET", "/prompts", NoneType)


class Count:
    """A hook that counts calls that were answered well, and answers of 429."""

    def __init__(self) -> None:
        self.ok = 0
        self.answered_429 = 0

    def on_response(self, record: object) -> None:
        """Count a response."""
        status = getattr(record, "status_code", None)
        self.ok += status == 200
        self.answered_429 += status == 429


def tasks(port: int, calls: int = CALLS, limiter: RedisLimiter | None = None) -> Count:
    """Make each call in a separate task."""
    count = Count()

    async def run() -> None:
        options = {} if limiter is None else {"limiter": limiter}
        address = f"http://127.0.0.1:{port}"
        async with AsyncEnprompta(api_key="ep_x", base_url=address, hooks=[count], timeout=120, **options) as client:
            await asyncio.gather(*(client.run(PING) for _ in range(calls)))

    asyncio.run(run())
    return count


def threads(port: int, calls: int = CALLS) -> Count:
    """A hundred threads that share the calls."""
    count = Count()
    with Enprompta(api_key="ep_x", base_url=f"http://127.0.0.1:{port}", hooks=[count], timeout=120) as client:

        def some() -> None:
            for _ in range(calls // 100):
                client.run(PING)

        workers = [Thread(target=some) for _ in range(100)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return count


def one_process(case: str, rules: Rules, work: Callable[[int], Count]) -> None:
    """Run a case in this process."""
    with ServerProcess(rules) as server:
        started = time.perf_counter()
        count = work(server.port)
        seconds = time.perf_counter() - started
    show(case, server, count.ok, seconds)


def fleet(case: str, *, outage: bool) -> None:
    """Four processes through one Redis, which is killed and started again in the middle if so wished."""
    if BINARY is None:
        sys.stdout.write(f"{case:<44} skipped: redis-server is not installed\n")
        return
    with RedisServer() as redis, ServerProcess(Rules(LIMIT, WINDOW)) as server:
        started = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.bench_client_pacing",
            "--member",
            redis.url,
            str(server.port),
        ]
        members = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        if outage:
            time.sleep(20)
            redis.kill()
            time.sleep(5)
            redis.start()
        ok = sum(json.loads(member.communicate()[0]) for member in members)
        seconds = time.perf_counter() - started
    show(case, server, ok, seconds)


def main() -> None:
    """Run every case."""
    if sys.argv[1:2] == ["--member"]:
        sys.stdout.write(json.dumps(tasks(int(sys.argv[3]), CALLS // 4, RedisLimiter(sys.argv[2])).ok))
        return
    for name, work in (("1,000 tasks", tasks), ("100 threads", threads)):
        one_process(name, Rules(LIMIT, WINDOW), work)
        for off in (300.4, -300.4):
            one_process(f"{name}, server clock {off:+.0f} s", Rules(LIMIT, WINDOW, skew=off), work)
        one_process(f"{name}, others spend 16 of 50", Rules(LIMIT, WINDOW, others=16), work)
    fleet("4 processes, one Redis", outage=False)
    fleet("4 processes, Redis killed for 5 s", outage=True)


if __name__ == "__main__":
    main()
