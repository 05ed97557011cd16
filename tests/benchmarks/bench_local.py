"""Measure what needs no request: live prompts from memory, rendering, and the bookkeeping of bulk runs.

`python -m tests.benchmarks.bench_local` prints microseconds and ratios.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
from pathlib import Path
from timeit import repeat
from typing import TYPE_CHECKING, Any

import httpx

from enprompta import AsyncEnprompta, Enprompta
from enprompta.models import Prompt
from tests.benchmarks.bench_batch import gather, many, serve, timed
from tests.benchmarks.bench_cache import answer
from tests.benchmarks.measure import Figure, in_turns, processor_seconds, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = ("topic", "tone", "audience", "language", "length")
VALUES = {name: f"the {name} of this text" for name in NAMES}
FILLER = "Write clearly, in short sentences, and give an example of each claim that you make. "
TEXT = "".join(f"{FILLER * 4}The {name} is {{{{{name}}}}}. " for name in NAMES) + FILLER * 4
PROMPT = Prompt.model_validate({"id": "p", "title": "T", "content": TEXT, "variables": [{"name": it} for it in NAMES]})
ROWS, ROUNDS = 2_000, 9


def by_hand() -> str:
    """Fill in the variables with `str.replace`."""
    text = TEXT
    for name, value in VALUES.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def live() -> Iterator[Figure]:
    """Measure `get_live`, from memory."""
    http = httpx.Client(transport=httpx.MockTransport(answer))
    with Enprompta(api_key="ep_x", limiter=None, http_client=http) as client, http:
        client.prompts.get_live("hi", ttl=None)
        best = min(repeat(lambda: client.prompts.get_live("hi", ttl=None), number=200, repeat=200)) / 200
    yield Figure("get_live, from memory", best * 1e6, "us", budget=3.0)


def rendering() -> Iterator[Figure]:
    """Measure `render`."""
    assert PROMPT.render(VALUES) == by_hand()
    cases = {
        "render": processor_seconds(lambda: PROMPT.render(VALUES), 2_000),
        "replace": processor_seconds(by_hand, 2_000),
    }
    yield Figure(
        "render, 2 kB with 5 variables: of str.replace", ratio(in_turns(cases, 25), "render", "replace"), budget=2
    )


def bulk() -> Iterator[Figure]:
    """Compare bulk runs with the calls they make, by processor time."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/api/v1"

    def run(work: Callable[[AsyncEnprompta], Any]) -> Callable[[], object]:
        async def main() -> None:
            async with AsyncEnprompta(api_key="ep_x", base_url=url, limiter=None) as client:
                await work(client)

        return lambda: asyncio.run(main())

    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder) / f"{number}.db" for number in range(1_000))
        cases = {
            "calls": run(lambda client: gather(client, ROWS)),
            "bulk": run(lambda client: many(client, ROWS)),
            "checkpoint": run(lambda client: many(client, ROWS, checkpoint=next(files))),
        }
        rates: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(ROUNDS + 1):
            for name, case in cases.items():
                rate = timed(case, ROWS)[1]
                if number:
                    rates[name].append(rate)
    server.terminate()
    server.join()
    for name, what in (("bulk", "a bulk run"), ("checkpoint", "a bulk run with a checkpoint")):
        found = statistics.median(one / calls for one, calls in zip(rates[name], rates["calls"], strict=True))
        yield Figure(f"{what}: rows a second, of the bare calls", found, budget=0.97, at_least=True)


def main() -> None:
    """Print every figure."""
    for figures in (live, rendering, bulk):
        for figure in figures():
            figure.show()


if __name__ == "__main__":
    main()
