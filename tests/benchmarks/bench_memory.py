"""Measure the memory of calls: of each call in flight, and what many calls leave behind.

`python -m tests.benchmarks.bench_memory` prints kilobytes and megabytes of resident memory, as Linux reports it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from enprompta import AsyncEnprompta
from enprompta._core.steps import Answer
from tests.benchmarks.canned import Canned, pin
from tests.benchmarks.measure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

STATM = Path("/proc/self/statm")
IN_FLIGHT = 500
CALLS = 1_000_000


def resident() -> int:
    """Return the resident bytes of this process, after a collection."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * 4096


class _Holding:
    """Sends nothing; holds every call until it is released, then answers all of them with one answer."""

    errors = (OSError,)

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.release = asyncio.Event()
        self.held = 0

    async def send(self, request: object) -> Answer:
        """Wait for the release."""
        del request
        self.held += 1
        await self.release.wait()
        return self._answer

    async def aclose(self) -> None:
        """Have nothing to close."""


async def _in_flight(server: Canned) -> tuple[float, float]:
    async with AsyncEnprompta(api_key="ep_memory", base_url=server.base_url) as client:
        raw = await client.with_raw_response.prompts.get("p")
        url = f"{server.base_url}/prompts/p"
        import httpx

        answer = Answer(200, httpx.Headers(raw.headers), raw.content, httpx.Request("GET", url))
        sender = _Holding(answer)
        client._transport._current.sender = sender  # type: ignore[union-attr] # it is open

        async def hold(number: int) -> int:
            sender.release.clear()
            sender.held = 0
            tasks = [asyncio.create_task(client.prompts.get("p")) for _ in range(number)]
            while sender.held < number:  # noqa: ASYNC110 (each turn of the loop starts further tasks)
                await asyncio.sleep(0)
            held = resident()
            sender.release.set()
            await asyncio.gather(*tasks)
            return held

        await hold(50)
        before = resident()
        each = (await hold(IN_FLIGHT) - before) / IN_FLIGHT
        await hold(IN_FLIGHT)
        before = resident()
        for _ in range(CALLS):
            await client.prompts.get("p")
        return each, float(resident() - before)


def memory() -> Iterator[Figure]:
    """Measure both."""
    if not STATM.exists():
        sys.stdout.write("memory is measured on Linux only\n")
        return
    with Canned() as server:
        each, left = asyncio.run(_in_flight(server))
    yield Figure(f"{IN_FLIGHT} calls in flight: memory of each, its connection aside", each / 1e3, "kB", budget=15.0)
    yield Figure(f"{CALLS:,} calls leave", left / 2**20, "MB", budget=1.0)


def main() -> None:
    """Print both figures."""
    pin(0)
    for figure in memory():
        figure.show()


if __name__ == "__main__":
    main()
