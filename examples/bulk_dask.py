"""Execute a prompt over many rows on two Dask worker processes that share one request budget.

The example starts and stops an emulator of the API on this machine. The workers share their budget through the Redis
at REDIS_URL; without Redis, each worker follows the rate limit headers of the service.
"""

import os

from dask.distributed import Client, LocalCluster

from enprompta import Enprompta
from enprompta.batch import BatchResult, distributed
from enprompta.emulator import Emulator
from enprompta.limiters import RedisLimiter

CITIES = ("Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi", "Quito", "Rabat", "Turin")


def line(result: BatchResult[dict[str, str]]) -> str:
    """Format the result of a row; runs on the workers."""
    return f"{result.index:3} {result.output if result.ok else result.error}"


def main() -> None:
    """Run the rows twice."""
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

        # Compute again, as after the loss of a worker: the requests are the same, and nothing is charged.
        results.compute()
        print(f"again: {credits_of(client)} credits")


def credits_of(client: Enprompta) -> int:
    """Return the credits used this month."""
    tokens = client.usage.get().tokens
    return 0 if tokens is None or tokens.used is None else tokens.used


if __name__ == "__main__":  # the worker processes import this file
    main()
