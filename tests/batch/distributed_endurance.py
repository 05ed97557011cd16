"""Count lost and repeated rows of a run on two Dask workers that share a Redis, one killed with SIGKILL.

Run it as a program: `python tests/batch/distributed_endurance.py [ROWS [list|bag|stream]]`. Without arguments 10,000
rows of a list; `bag` has the workers read the rows, and `stream` takes the results as they complete. It prints the
result, and fails unless each row has one result and one charge, without a 429 response.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dask.bag
from dask.distributed import Client, LocalCluster, as_completed

sys.path.insert(0, str(Path(__file__).parents[2]))

from enprompta import Enprompta
from enprompta.batch import distributed
from enprompta.limiters import RedisLimiter
from tests.limiters.redis_server import RedisServer

WINDOW, LIMIT = 3.0, 600  # the tier's limit per window, less than two workers could send

# Count at the service, because responses to a killed worker are seen nowhere else.
EMULATOR = f"""
import json, sys
from enprompta.emulator import Emulator
from enprompta.emulator.access.rate_limiter import RateLimiter, RateLimitError

asked = refused = 0
count = RateLimiter.count

def counting(*arguments):
    global asked, refused
    asked += 1
    try:
        return count(*arguments)
    except RateLimitError:
        refused += 1
        raise

RateLimiter.count = counting
with Emulator(window={WINDOW}, limits={{"enterprise": ({LIMIT}, 10**9)}}) as emulator:
    print(emulator.url, emulator.keys.enterprise, flush=True)
    sys.stdin.read()
print(json.dumps({{"asked": asked, "429": refused}}), flush=True)
"""


def row(number: int) -> dict[str, str]:
    """Make a row."""
    return {"n": str(number)}


class Killer(threading.Thread):
    """Kills a process once a number of rows has been charged."""

    def __init__(self, client: Enprompta, pid: int, target: int) -> None:
        super().__init__(daemon=True)  # if the run fails, do not kill a worker
        self._client = client
        self._pid = pid
        self._target = target
        self.killed_at = 0

    def run(self) -> None:
        """Wait and kill."""
        while self.killed_at < self._target:
            time.sleep(0.2)
            self.killed_at, _ = charged(self._client)
        os.kill(self._pid, signal.SIGKILL)


def charged(client: Enprompta) -> tuple[int, int]:
    """Return the credits used and the number of executions at the emulator."""
    usage = client.usage.get()
    assert usage.tokens is not None
    return usage.tokens.used or 0, usage.executions or 0


def streamed(engine: Any, results: Any) -> list[Any]:
    """Take the results of each partition when it is done, and release them on the workers."""
    taken: list[Any] = []
    for future in as_completed(engine.compute(results.to_delayed())):
        taken += future.result()
        future.release()
    return sorted(taken, key=lambda result: result.index)


def work(client: Enprompta, number: int, how: str) -> dict[str, Any]:
    """Execute the rows on two workers, kill one, and return the counts."""
    prompt = client.prompts.create(title="Endurance", content="row {{n}}").id
    size = max(10, number // 50)
    rows = dask.bag.range(number, number // size).map(row) if how == "bag" else [row(i) for i in range(number)]
    results = distributed.execute_many(client, prompt, rows, partition_size=size, concurrency=16)
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as engine,
    ):
        before = set(engine.run(os.getpid).values())
        killer = Killer(client, random.choice(sorted(before)), random.randrange(number // 4, 3 * number // 4))
        started = time.monotonic()
        killer.start()
        done = streamed(engine, results) if how == "stream" else results.compute()
        seconds = time.monotonic() - started
        killer.join()
        after = set(engine.run(os.getpid).values())
    assert len(before) == 2
    assert len(before & after) == 1, "no worker was killed"
    outputs = [(result.index, result.output) for result in done]
    used, executions = charged(client)
    return {
        "results": len(outputs),
        "right": outputs == [(i, f"row {i}") for i in range(number)],
        "credits": used,
        "executions": executions,
        "killed_at": killer.killed_at,
        "seconds": round(seconds, 1),
    }


def endure(number: int, how: str) -> dict[str, Any]:
    """Run the whole program, and return the counts."""
    command = [sys.executable, "-c", EMULATOR]
    with (
        RedisServer() as redis,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as emulator,
    ):
        assert emulator.stdout is not None
        url, key = emulator.stdout.readline().split()
        with Enprompta(api_key=key, base_url=url, limiter=RedisLimiter(redis.url)) as client:
            told = work(client, number, how)
        counted, _ = emulator.communicate()
    return {**told, **json.loads(counted)}


def main() -> None:
    """Run with the arguments of the command line."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    how = sys.argv[2] if len(sys.argv) > 2 else "list"
    told = endure(number, how)
    sys.stdout.write(f"{json.dumps(told)}\n")
    assert told["right"], told
    assert told["results"] == told["credits"] == told["executions"] == number, told
    assert told["killed_at"] < number, told
    assert told["429"] == 0, told


if __name__ == "__main__":  # workers are spawned, and import this file
    main()
