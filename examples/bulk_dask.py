"""Execute a prompt over many rows on two worker processes of Dask, which keep to one request budget.

This runs on an emulator of the API on this machine, which it starts and stops. The workers share their budget by the
Redis that REDIS_URL names; where there is none, each keeps to what the service tells it.
"""

import os

from dask.distributed import Client, LocalCluster

from enprompta import Enprompta
from enprompta.batch import BatchResult, distributed
from enprompta.emulator import Emulator
from enprompta.limiters import RedisLimiter

CITIES = ("Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi", "Quito", "Rabat", "Turin")


def line(result: BatchResult[dict[str, str]]) -> str:
    """Tell what came of a row; this too runs on the workers."""
    return f"{result.index:3} {result.output if result.ok else result.error}"


def main() -> None:
    """Run rows, and run them again."""
    rows = [{"city": city, "tone": tone} for tone in ("dry", "warm", "proud") for city in CITIES]
    limiter = RedisLimiter(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    with (
        Emulator(window=2, limits={"team": (20, 10_000)}) as emulator,
        Enprompta(api_key=emulator.keys.team, base_url=emulator.url, limiter=limiter) as client,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        prompt = client.prompts.create(title="City", content="Describe {{city}} in one line; be {{tone}}.")
        results = distributed.execute_many(client, prompt.id, rows, run_id="cities", partition_size=6)
        for text in results.map(line).compute()[::8]:
            print(text)
        print(f"{results.npartitions} partitions, {credits_of(client)} credits")

        # Computed again, as after a worker or this program was lost: the same requests, and nothing is charged.
        results.compute()
        print(f"again: {credits_of(client)} credits")


def credits_of(client: Enprompta) -> int:
    """Tell the credits used this month."""
    tokens = client.usage.get().tokens
    return 0 if tokens is None or tokens.used is None else tokens.used


if __name__ == "__main__":  # the workers are processes that import this file
    main()
