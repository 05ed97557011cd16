"""Compare the cost of a call with raw httpx, and with another SDK if it is installed: `pip install openai`.

`python -m tests.benchmarks.bench_calls` prints ratios. They are of processor time, which on an idle machine says the
same as wall time; the server runs on a separate processor.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from enprompta import AsyncEnprompta, Enprompta
from enprompta._core.call import Call
from enprompta._core.decode import decode
from enprompta._core.steps import Answer
from enprompta.models import Prompt
from tests.benchmarks.canned import Canned, pin, prompt
from tests.benchmarks.measure import Figure, in_turns, processor_seconds, ratio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROUNDS = 25
KEY = "ep_test_benchmark"
IN_FLIGHT = {1: 1.3, 50: 2.0, 500: 3.0}
"""Calls in flight, and how many times as fast as openai's default client they must be."""
AIOHTTP = 5.0
"""The same for aiohttp at 500 in flight."""


class _Variable(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    name: str
    type: str | None = None
    default: Any = None
    required: bool = False
    description: str | None = None
    options: list[Any] | None = None


class _Prompt(BaseModel):
    """A model written by hand with the features of this package's model: the same fields, unknown ones kept."""

    model_config = ConfigDict(populate_by_name=True, extra="allow")
    id: str
    title: str
    content: str
    description: str | None = None
    category: str | None = None
    tags: list[str] | None = None
    variables: list[_Variable] | None = None
    visibility: str
    version: int
    usage_count: int = Field(alias="usageCount")
    team_id: str | None = Field(None, alias="teamId")
    created_at: datetime = Field(alias="createdAt")
    updated_at: datetime = Field(alias="updatedAt")


class _Page(BaseModel):
    success: bool
    data: list[_Prompt]


def one_call(server: Canned) -> Iterator[Figure]:
    """A small object, call after call, in the blocking client."""
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}) as raw:
        client = Enprompta(api_key=KEY, base_url=server.base_url)
        cases: dict[str, Callable[[], object]] = {
            "httpx": lambda: raw.get("/prompts/p").json(),
            "ours": lambda: client.prompts.get("p"),
        }
        if find_spec("openai"):
            from openai import OpenAI  # pyright: ignore[reportMissingImports] # (a peer, if it is there)

            other = OpenAI(api_key=KEY, base_url=f"{server.origin}/v1")
            cases["openai"] = lambda: other.models.retrieve("m")
        figures = in_turns({name: processor_seconds(call, 60) for name, call in cases.items()}, ROUNDS)
        client.close()
    yield Figure("one call, typed: of httpx.Client.get().json()", ratio(figures, "ours", "httpx"), budget=0.95)
    if "openai" in figures:
        yield Figure("  openai's smallest call, beside it", ratio(figures, "openai", "httpx"))


class _Nothing:
    """Sends nothing, and has the answer at once."""

    errors = (OSError,)
    is_closed = False

    def __init__(self, server: Canned) -> None:
        answer = httpx.get(f"{server.base_url}/prompts/p")
        # The same answer comes again and again: its window must not end meanwhile.
        answer.headers["X-RateLimit-Reset"] = str(int(answer.headers["X-RateLimit-Reset"]) + 3_600)
        self._answer = Answer(answer.status_code, answer.headers, answer.content, answer.request)

    def send(self, request: object) -> Answer:
        """Return the response."""
        del request
        return self._answer

    def close(self) -> None:
        """Have nothing to close."""


def the_package_alone(server: Canned) -> Iterator[Figure]:
    """A call without HTTP and without its model: what is left is this package."""
    call, body = Call("GET", "/prompts/p", Prompt), httpx.get(f"{server.base_url}/prompts/p").content
    for name, options, budget in (("without a limiter", {"limiter": None}, 12.0), ("with pacing", {}, 20.0)):
        client: Any = Enprompta(api_key=f"{KEY}_alone", base_url=server.base_url, **options)
        client._transport._sender = _Nothing(server)
        cases = {
            "whole": processor_seconds(lambda client=client: client.prompts.get("p"), 2_000),
            "model": processor_seconds(lambda: decode(call, body), 2_000),
        }
        figures = in_turns(cases, ROUNDS)
        least = min(figures["whole"]) - min(figures["model"])
        yield Figure(f"the package itself, {name}", least * 1e6, "us", budget=budget)


def lists(server: Canned) -> Iterator[Figure]:
    """Pages of objects into models."""
    with httpx.Client(base_url=server.base_url) as raw, Enprompta(api_key=KEY, base_url=server.base_url) as client:
        for number, times in ((100, 10), (1_000, 2)):
            cases: dict[str, Callable[[], object]] = {
                "httpx": lambda number=number: _Page.model_validate_json(raw.get(f"/prompts?limit={number}").content),
                "ours": lambda number=number: client.run(
                    Call("GET", "/prompts", list[Prompt], params={"limit": number})
                ),
            }
            figures = in_turns({name: processor_seconds(call, times) for name, call in cases.items()}, ROUNDS)
            what = f"a list of {number:,} into models: of httpx and model_validate_json"
            # By where a process lies in memory, the figure of the same code varies from 1.02 to 1.10.
            yield Figure(what, ratio(figures, "ours", "httpx"), budget=1.1)
    body = json.dumps({"success": True, "data": [prompt(i) for i in range(1_000)]}).encode()
    listing = Call("GET", "/prompts", list[Prompt])
    alone = in_turns(
        {
            "ours": processor_seconds(lambda: decode(listing, body), 3),
            "pydantic": processor_seconds(lambda: _Page.model_validate_json(body), 3),
        },
        ROUNDS,
    )
    yield Figure("  reading it alone: of model_validate_json", ratio(alone, "ours", "pydantic"))


async def _rate(call: Callable[[], Awaitable[object]], in_flight: int, calls: int) -> float:
    """Return the processor seconds of a call, with a fixed number in flight."""
    left = iter(range(calls))

    async def some() -> None:
        for _ in left:
            await call()

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(in_flight)))
    return (time.process_time() - began) / calls


async def _many_in_flight(server: Canned, in_flight: int) -> dict[str, list[float]]:
    calls = max(300, 3 * in_flight)
    ours = AsyncEnprompta(api_key=KEY, base_url=server.base_url)
    raw = httpx.AsyncClient(base_url=server.base_url, timeout=None)
    cases: dict[str, Callable[[], Awaitable[object]]] = {
        "ours": lambda: ours.prompts.get("p"),
        "httpx": lambda: raw.get("/prompts/p"),
    }
    opened: list[Any] = [ours, raw]
    if find_spec("aiohttp"):
        over = AsyncEnprompta(api_key=KEY, base_url=server.base_url, http_client="aiohttp")
        cases["aiohttp"] = lambda: over.prompts.get("p")
        opened.append(over)
    if find_spec("openai"):
        from openai import AsyncOpenAI  # pyright: ignore[reportMissingImports]

        other = AsyncOpenAI(api_key=KEY, base_url=f"{server.origin}/v1")
        cases["openai"] = lambda: other.models.retrieve("m")
        opened.append(other)
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(5):
        for name, call in cases.items():
            await _rate(call, in_flight, in_flight)  # opens the connections: they expire while the others are measured
            figures[name].append(await _rate(call, in_flight, calls))
    for one in opened:
        await (one.close() if hasattr(one, "close") else one.aclose())
    return figures


def in_flight(server: Canned) -> Iterator[Figure]:
    """Many calls at once, in the async client."""
    for number, least in IN_FLIGHT.items():
        figures = asyncio.run(_many_in_flight(server, number))
        yield Figure(f"{number} in flight: calls a second, of httpx.AsyncClient's", ratio(figures, "httpx", "ours"))
        if "openai" in figures:
            what = f"{number} in flight: calls a second, of openai's default client's"
            yield Figure(what, ratio(figures, "openai", "ours"), budget=least, at_least=True)
        if "aiohttp" in figures and "openai" in figures:
            bound = AIOHTTP if number == max(IN_FLIGHT) else None
            what = f"{number} in flight, http_client=\"aiohttp\": of openai's default client's"
            yield Figure(what, ratio(figures, "openai", "aiohttp"), budget=bound, at_least=True)


def verifying() -> Iterator[Figure]:
    """A webhook of 1 kB."""
    from enprompta.webhooks import sign, verify_signature
    from tests.benchmarks.bench_verify import SECRET, by_hand, compare

    body = b'{"data":"' + b"x" * 989 + b'"}'
    good = sign(body, SECRET)
    found = compare(lambda: by_hand(body, good), lambda: verify_signature(body, good, SECRET))[2]
    yield Figure("verifying a webhook of 1 kB: of hmac.digest and compare_digest", found, budget=1.5)


def main() -> None:
    """Print every figure."""
    pin(0)
    with Canned() as server:
        for figures in (one_call, the_package_alone, lists, in_flight):
            for figure in figures(server):
                figure.show()
    for figure in verifying():
        figure.show()


if __name__ == "__main__":
    main()
