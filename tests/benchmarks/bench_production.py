"""Typed outputs, expected versions, rollouts, provider messages and template checks: the cost of each.

`python -m tests.benchmarks.bench_production` prints a table in seconds: microseconds, the best of many short runs, and
the requests that each feature adds.
"""

from __future__ import annotations

import json
import time
from timeit import repeat
from typing import TYPE_CHECKING

import httpx
from pydantic import BaseModel

from enprompta import Enprompta, Split
from enprompta.models import LivePrompt
from enprompta.outputs import parse_output
from enprompta.templating import problems

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://api.test/api/v1"
requests: list[str] = []
TEXT = "Summarize {{topic}} for {{audience}}. " * 50  # 2 kB


class Item(BaseModel):
    """A line of an invoice."""

    name: str
    price: float


class Invoice(BaseModel):
    """An output of 1 kB."""

    items: list[Item]


OUTPUT = json.dumps({"items": [{"name": f"item {number}", "price": number} for number in range(30)]})
IN_PROSE = f"Here is the invoice:\n```json\n{OUTPUT}\n```\nAnything else?"


def service(request: httpx.Request) -> httpx.Response:
    """Answer at once."""
    requests.append(request.method)
    if request.method == "POST":
        data = {"id": "e", "status": "completed", "output": IN_PROSE, "tokens": 1, "cost": 0.1}
        return httpx.Response(201, json={"data": data})
    if "/sdk/" in request.url.path:
        body = {"id": "p", "slug": "s", "content": TEXT, "version": {"number": 3}}
        return httpx.Response(200, json=body)
    return httpx.Response(200, json={"data": {"id": "p", "title": "t", "content": TEXT, "version": 3}})


def cost(call: Callable[[], object], number: int = 50, runs: int = 60) -> float:
    """Microseconds of a call."""
    return min(repeat(call, number=number, repeat=runs)) / number * 1e6


def added(call: Callable[[], object]) -> int:
    """Count the requests of one call."""
    before = len(requests)
    call()
    return len(requests) - before


def show(what: str, figure: str) -> None:
    """Print a line."""
    print(f"{what:72} {figure:>14}")  # noqa: T201


def hostile(text: str) -> float:
    """Seconds to find no JSON in a text."""
    began = time.perf_counter()
    try:
        parse_output(text, Invoice)
    except ValueError:
        return time.perf_counter() - began
    raise AssertionError(text[:20])


def main() -> None:
    """Print the table."""
    with httpx.Client(transport=httpx.MockTransport(service)) as http:
        client = Enprompta(api_key="ep_x", base_url=URL, limiter=None, http_client=http)
        plain = cost(lambda: client.prompts.execute("p"))
        typed = cost(lambda: client.prompts.execute("p", output=Invoice))
        guarded = cost(lambda: client.prompts.execute("p", expect_version=3))
        show("execute, HTTP replaced by a function", f"{plain:.0f} us")
        show("  output=Invoice adds, for 1 kB of JSON in a fence", f"{typed - plain:.0f} us")
        show("  expect_version=3 adds, within five seconds of the last check", f"{guarded - plain:.0f} us")
        fresh = client.prompts.execute
        show("  requests: plain, typed", f"{added(lambda: fresh('p'))}, {added(lambda: fresh('p', output=Invoice))}")
        show("  requests: expected version, the first and the next", f"{added(lambda: fresh('q', expect_version=3))}, "
             f"{added(lambda: fresh('q', expect_version=3))}")  # fmt: skip

        split = Split({"production": 9, "canary": 1}, unit="user-1")
        show("Split.choose", f"{cost(lambda: split.choose('s')):.1f} us")
        show("Split(...)", f"{cost(lambda: Split({'production': 9, 'canary': 1}, unit='user-1')):.1f} us")
        hit = cost(lambda: client.prompts.get_live("s"))
        rolled = cost(lambda: client.prompts.get_live("s", label=split))
        show("get_live, a cache hit; with a Split", f"{hit:.1f}, {rolled:.1f} us")
        show("  requests: a Split, 100 units", str(added(lambda: [
            client.prompts.get_live("t", label=Split({"a": 1, "b": 1}, unit=number)) for number in range(100)
        ])))  # fmt: skip

    show("parse_output, 1 kB: bare, in a fence", f"{cost(lambda: parse_output(OUTPUT, Invoice)):.1f}, "
         f"{cost(lambda: parse_output(IN_PROSE, Invoice)):.1f} us")  # fmt: skip
    show("parse_output, 1 MB of [, of {}, of fences", ", ".join(
        f"{hostile(text):.2f}" for text in ("[" * 10**6, "{}" * (10**6 // 2), "```\n" * (10**6 // 4))
    ) + " s")  # fmt: skip

    live = LivePrompt(id="p", content=TEXT)
    values = {"topic": "tea", "audience": "all"}
    show("render, to_openai, to_anthropic of 2 kB with 100 variables", ", ".join(
        f"{cost(lambda call=call: call(values)):.0f}" for call in (live.render, live.to_openai, live.to_anthropic)
    ) + " us")  # fmt: skip
    show("to_langchain of the same", f"{cost(live.to_langchain):.0f} us")
    show("problems of 2 kB, as create and update look for them", f"{cost(lambda: problems(TEXT)):.0f} us")


if __name__ == "__main__":
    main()
