"""Pacing in figures: real sockets, real processes, a real Redis, and a day on a fake clock.

`python -m tests.benchmarks.bench_pacing` runs every case, in some minutes; with names as arguments it runs those.
The server is strict, independent of the policy, and runs in a separate process; the clients are bare sockets, so that
what is measured is pacing and not an HTTP library.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from email.utils import formatdate
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any

from enprompta.limiters import LocalLimiter
from enprompta.limiters.local import LocalAccount
from tests.limiters.redis_server import BINARY, RedisServer
from tests.limiters.simulation import Network, Server, Simulation
from tests.limiters.troubles import TROUBLES, Steady
from tests.limiters.wire import AsyncioClient, BlockingClient, Report, Rules, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

CALLS = 1000
WINDOW = 3
LIMIT = 50


class ServerProcess:
    """The strict server in a separate process."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tally = Tally()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.limiters.wire", json.dumps(asdict(rules))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        told = json.loads(self._process.communicate()[0])
        self.tally.refused = told["refused"]
        for name in ("served", "taken"):
            getattr(self.tally, name).update({int(index): count for index, count in told[name].items()})

    @property
    def use(self) -> str:
        """The share of the full windows' budget that was used, and the least of any one of them."""
        use = self.tally.use(self.rules.limit)
        return f"{sum(use) / len(use):7.2%} (least {min(use):.0%} of {len(use)})"


def show(case: str, server: ServerProcess, ok: int, seconds: float, note: str = "") -> None:
    """Print a line of the table."""
    refused = server.tally.refused
    sys.stdout.write(
        f"{case:<44} ok {ok:>5}   429s {refused:>4} ({refused / max(ok, 1):.2%})   used {server.use}"
        f"   {seconds:5.1f} s {note}\n"
    )
    sys.stdout.flush()


def tasks(account: LocalAccount, port: int, report: Report) -> None:
    """A thousand calls in a thousand tasks."""
    asyncio.run(AsyncioClient(account, port, report).in_tasks(CALLS))


def threads(account: LocalAccount, port: int, report: Report) -> None:
    """A thousand calls in a hundred threads."""
    BlockingClient(account, port, report).in_threads(100, CALLS)


def one_process(case: str, rules: Rules, work: Callable[[LocalAccount, int, Report], None]) -> None:
    """Run a case in this process, with a separate account."""
    report = Report()
    with ServerProcess(rules) as server:
        started = time.perf_counter()
        work(LocalAccount(), server.port, report)
        seconds = time.perf_counter() - started
    show(case, server, report.ok, seconds)


def plain() -> None:
    """All calls at once, in one process."""
    for name, work in (("1,000 tasks", tasks), ("100 threads", threads)):
        one_process(name, Rules(LIMIT, WINDOW), work)


def skew() -> None:
    """The server's clock minutes off, answers delayed."""
    for name, work in (("1,000 tasks", tasks), ("100 threads", threads)):
        for off in (300.4, -300.4):
            one_process(f"{name}, clock {off:+.0f} s", Rules(LIMIT, WINDOW, skew=off), work)
        one_process(f"{name}, delays to 200 ms each way", Rules(LIMIT, WINDOW, jitter=0.2), work)


def others() -> None:
    """A second program that spends a third of the budget: spread over each window, or at once when it begins."""
    for name, work in (("1,000 tasks", tasks), ("100 threads", threads)):
        one_process(f"{name}, others take 16 of 50 if they can", Rules(LIMIT, WINDOW, others=16), work)
        one_process(f"{name}, others take 16 of 50 first", Rules(LIMIT, WINDOW, others=16, at_once=True), work)


def fleet(case: str, *, outage: bool = False) -> None:
    """Four processes through one Redis, which is killed and restarted in the middle if so wished."""
    if BINARY is None:
        sys.stdout.write(f"{case:<44} skipped: redis-server is not installed\n")
        return
    with RedisServer() as redis, ServerProcess(Rules(LIMIT, WINDOW)) as server:
        started = time.perf_counter()
        command = [sys.executable, "-m", "tests.benchmarks.bench_pacing", "--member", redis.url, str(server.port)]
        members = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        if outage:
            time.sleep(20)
            redis.kill()
            time.sleep(5)
            redis.start()
        told = [json.loads(member.communicate()[0]) for member in members]
        seconds = time.perf_counter() - started
    ends = ", ".join(f"{each['seconds']:.0f}" for each in told)
    away = sum(each["away"] for each in told)
    show(case, server, sum(each["ok"] for each in told), seconds, f"each {ends} s, away {away} times")


def member(url: str, port: int) -> None:
    """Be one of the four."""
    import logging

    from enprompta.limiters import RedisLimiter

    away: list[str] = []

    class Count(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            away.append(record.getMessage())

    logging.getLogger("enprompta").addHandler(Count())
    report = Report()
    started = time.perf_counter()
    account = RedisLimiter(url).account("bench")
    asyncio.run(AsyncioClient(account, port, report).in_tasks(CALLS // 4))
    told = {"ok": report.ok, "seconds": time.perf_counter() - started, "away": len(away)}
    sys.stdout.write(json.dumps(told))


def redis() -> None:
    """Four processes, one Redis."""
    fleet("4 processes, one Redis")


def outage() -> None:
    """Redis killed after 20 s, restarted after 25 s."""
    fleet("4 processes, Redis killed for 5 s", outage=True)


def day() -> None:
    """A day on a fake clock: 60 a minute, 10,000 a day, 50 ppm of drift, 0.2 % lost, answers 5 s late."""
    for seed in range(3):
        server = Server(limit=60, window=60, daily=10_000, drift=(5e-5, -5e-5, 0.0)[seed], skew=(0, 300, -300)[seed])
        network = Network(Random(seed), shortest=0.02, longest=0.3, tail=0.01, tail_longest=5.0, lost=0.002)
        simulation = Simulation(server, network)
        callers(simulation, 86_400.0)
        outcome = simulation.run(86_400.0)
        sys.stdout.write(
            f"a day on a fake clock, seed {seed}: served {outcome.served}, 429s of the minutes {server.refused}, "
            f"429s of the day {server.refused_today}, refused unsent {outcome.refused}, "
            f"spent by day {sorted(server.used_today.values())}\n"
        )


def callers(simulation: Simulation, until: float) -> None:
    """A hundred calls come each minute, more than the minute has; while the day's budget is gone, they are refused."""

    def more() -> None:
        simulation.calls(max(0, 100 - len(simulation.pacer.queue)), max_wait=65.0)
        if simulation.now < until:
            simulation.at(simulation.now + 60, more)

    more()


def troubles() -> None:
    """A steady program for half an hour, and one thing that goes wrong in the third minute."""
    for trouble in TROUBLES:
        outcome = Steady(trouble).run().outcome
        sys.stdout.write(
            f"{trouble.__name__:<24} served {outcome.served:>5}   429s {outcome.answered_429:>3}   "
            f"errors {outcome.failed + outcome.refused:>5}   silent {outcome.longest_gap:6.1f} s   "
            f"waited {outcome.longest_wait:5.1f} s\n"
        )


def hours() -> None:
    """Saturated for hours on a fake clock, at several limits and windows."""
    for limit, window, length in ((1, 60, 24), (60, 60, 24), (1000, 60, 6), (50, 3, 2), (7, 1, 2)):
        refused = served = 0
        use: list[int] = []
        for seed in range(4):
            server = Server(limit=limit, window=window, drift=(5e-5, -5e-5)[seed % 2], skew=(0, 300, -300, 0)[seed])
            network = Network(Random(seed), shortest=0.02, longest=0.3, tail=0.01, tail_longest=5.0, lost=0.002)
            simulation = Simulation(server, network)
            simulation.calls(limit * length * 3600 // window)
            served += simulation.run(length * 3600.0).served
            refused += server.refused
            use += server.full_windows()
        sys.stdout.write(
            f"{length} h x 4 at {limit} per {window} s: served {served}, 429s {refused}, "
            f"used {sum(use) / len(use) / limit:.2%}\n"
        )


def cost() -> None:
    """Measure what pacing adds to a call that need not wait."""
    headers = [
        (b"Server", b"nginx"),
        (b"Date", formatdate(time.time(), usegmt=True).encode()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"120"),
        (b"Connection", b"keep-alive"),
        (b"X-Request-Id", b"req_0123456789"),
        (b"X-RateLimit-Limit", b"%d" % 10**9),
        (b"X-RateLimit-Remaining", b"%d" % (10**9 - 1)),
        (b"X-RateLimit-Reset", b"%d" % (time.time() + 60)),
    ]
    rounds, calls = 20, 2000
    account: Any = LocalLimiter().account("cost")

    def blocking() -> float:
        started = time.perf_counter()
        for _ in range(calls):
            account.observe(account.acquire(None, max_wait=65.0), 200, headers)
        return (time.perf_counter() - started) / calls

    async def asynchronous() -> float:
        started = time.perf_counter()
        for _ in range(calls):
            account.observe(await account.acquire_async(None, max_wait=65.0), 200, headers)
        return (time.perf_counter() - started) / calls

    def contended() -> float:
        workers = [Thread(target=blocking) for _ in range(16)]
        started = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return (time.perf_counter() - started) / calls / 16

    blocking()
    sys.stdout.write(
        f"cost of a call: sync {min(blocking() for _ in range(rounds)) * 1e6:.1f} us, "
        f"asyncio {min(asyncio.run(asynchronous()) for _ in range(rounds)) * 1e6:.1f} us, "
        f"16 threads contending {min(contended() for _ in range(3)) * 1e6:.1f} us\n"
    )


CASES: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (cost, troubles, day, hours, plain, skew, others, redis, outage)
}


def main() -> None:
    """Run the cases that are named, or all."""
    if sys.argv[1:2] == ["--member"]:
        member(sys.argv[2], int(sys.argv[3]))
        return
    sys.stdout.write(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    for name in sys.argv[1:] or CASES:
        CASES[name]()


if __name__ == "__main__":
    main()
