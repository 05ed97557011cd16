"""Runtime prompts in figures: what a call costs, fresh, stale, and with the service away.

`python -m tests.benchmarks.bench_cache` prints a table, in some seconds. Microseconds are the best of many short runs,
for other programs only ever make a run slower; waits are of the wall clock.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Barrier
from timeit import repeat
from typing import TYPE_CHECKING, Any

import httpx

from enprompta import AsyncEnprompta, Enprompta
from tests.cache.conftest import Service, down, live
from tests.cache.wire import prompt, stalling
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

RUNS, NUMBER = 2_000, 50
PROMPT = {"id": "p", "slug": "hi", "content": "Hello {{name}}", "variables": {"name": "you"}, "_meta": {"a": 1}}


def answer(_: httpx.Request) -> httpx.Response:
    """Answer as the service does."""
    return httpx.Response(200, json=PROMPT, headers={"ETag": '"1"'})


def cost(call: Callable[[], object]) -> float:
    """Microseconds of a call."""
    return min(repeat(call, number=NUMBER, repeat=RUNS)) / NUMBER * 1e6


def async_cost(call: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """Microseconds of a call that is awaited."""

    async def best() -> float:
        shortest = 1.0
        for _ in range(RUNS):
            began = time.perf_counter()
            for _ in range(NUMBER):
                await call()
            shortest = min(shortest, time.perf_counter() - began)
        return shortest / NUMBER * 1e6

    return asyncio.run(best())


def tell(what: str, figure: str) -> None:
    """Print a line."""
    print(f"{what:64} {figure:>14}")  # noqa: T201


def calls() -> None:
    """Measure the cost of a call that makes no request."""
    options: dict[str, Any] = {"api_key": "ep_x", "limiter": None, "max_retries": 0}
    for client_class, http_class, measure in (
        (Enprompta, httpx.Client, cost),
        (AsyncEnprompta, httpx.AsyncClient, async_cost),
    ):
        name = client_class.__name__
        there: Any = client_class(http_client=http_class(transport=httpx.MockTransport(answer)), **options)
        first: Any = there.prompts.get_live("hi", ttl=None)
        if asyncio.iscoroutine(first):
            asyncio.run(first)
        fresh = measure(lambda there=there: there.prompts.get_live("hi", ttl=None))  # type: ignore[misc]
        tell(f"{name}: fresh from memory", f"{fresh:.1f} us")

    service = Service()
    service.get()
    service.now += 100
    service.get()
    tell("stale, while a refresh runs (without the client)", f"{cost(service.get):.1f} us")
    service = Service()
    service.answer = lambda _: down()
    service.get(fallback="x")
    for kind, fallback in (("text", "Hello {{name}}"), ("callable", live)):
        figure = cost(lambda fallback=fallback: service.get(fallback=fallback))  # type: ignore[misc]
        tell(f"{kind} as a fallback, service away (without the client)", f"{figure:.1f} us")


def outage() -> None:
    """Measure how long callers with a fallback wait in an outage, and how many requests they send."""
    with FaultServer(listening=False) as nobody, FaultServer() as hangs:
        hangs.play(then=stalling)
        for what, server in (("connection refused", nobody), ("a service that hangs, timeout=1", hangs)):
            client = Enprompta(api_key="ep_x", base_url=server.base_url, limiter=None, timeout=1.0)
            took: list[float] = []
            for _ in range(1_001):
                began = time.perf_counter()
                client.prompts.get_live("hi", fallback="x")
                took.append(time.perf_counter() - began)
            tell(f"{what}: first call", f"{took[0] * 1e3:.1f} ms")
            tell(f"{what}: the next 1,000, median", f"{median(took[1:]) * 1e6:.1f} us")
            tell(f"{what}: requests in all", str(client.live_cache.metrics.refreshes))
            client.close()


def hour() -> None:
    """Requests that an hour's outage costs, with a call every 250 ms, on a clock set by hand."""
    service = Service()
    service.chance = 0.5
    service.get()
    service.answer = lambda _: down()
    end = service.now + 3_600
    while service.now < end:
        service.now += 0.25
        service.get()
        service.run_background()
    tell("an hour away, 14,400 calls: requests", str(service.sent - 1))
    service.answer = lambda _: live("v2")
    while service.get().content != "v2":
        service.run_background()
        service.now += 0.25
    tell("then back: seconds until fresh", f"{service.now - end:.1f} s")


def crowd() -> None:
    """Requests of a crowd that comes to an empty cache at once."""
    with FaultServer() as server:
        server.play(then=prompt(after=0.2))
        barrier = Barrier(100)
        with Enprompta(api_key="ep_x", base_url=server.base_url, limiter=None) as client:

            def call(_: int) -> None:
                barrier.wait()
                client.prompts.get_live("hi")

            with ThreadPoolExecutor(100) as threads:
                list(threads.map(call, range(100)))
        tell("100 threads, cold: requests", str(len(server.received)))
        server.play(then=prompt(after=0.2))

        async def tasks() -> None:
            async with AsyncEnprompta(api_key="ep_x", base_url=server.base_url, limiter=None) as client:
                await asyncio.gather(*(client.prompts.get_live("hi") for _ in range(1_000)))

        asyncio.run(tasks())
        tell("1,000 tasks, cold: requests", str(len(server.received)))


if __name__ == "__main__":
    calls()
    outage()
    hour()
    crowd()
