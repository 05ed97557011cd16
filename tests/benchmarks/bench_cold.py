"""Measure a cold start: a program that imports, makes a client and gets one typed prompt over TLS, then ends.

`python -m tests.benchmarks.bench_cold` prints ratios. Each program runs in a separate process, in an environment that
holds nothing but what it needs, and trusts as many certificates as certifi has. The time is that of the wall, because
two things can happen at once; so run it on an idle machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import certifi

from tests.benchmarks.canned import Canned
from tests.benchmarks.measure import Figure, in_turns, ratio
from tests.benchmarks.plain_environment import REPOSITORY, PlainEnvironment, is_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 31
CERTIFICATE = REPOSITORY / "tests" / "faults" / "trusted.pem"
MODELS = """
from datetime import datetime
from typing import Any
from pydantic import BaseModel, ConfigDict, Field
class Variable(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    name: str
    type: str | None = None
    default: Any = None
    required: bool = False
    description: str | None = None
    options: list[Any] | None = None
class Prompt(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    id: str
    title: str
    content: str
    description: str | None = None
    category: str | None = None
    tags: list[str] | None = None
    variables: list[Variable] | None = None
    visibility: str
    version: int
    usage_count: int = Field(alias="usageCount")
    team_id: str | None = Field(None, alias="teamId")
    created_at: datetime = Field(alias="createdAt")
    updated_at: datetime = Field(alias="updatedAt")
class Envelope(BaseModel):
    success: bool
    data: Prompt
"""
RAW_SYNC = f"""
import httpx
{MODELS}
with httpx.Client(base_url=URL, headers={{"Authorization": "Bearer ep_x"}}) as client:
    prompt = Envelope.model_validate_json(client.get("/prompts/p").content).data
"""
RAW_ASYNC = f"""
import asyncio
import httpx
{MODELS}
async def main():
    async with httpx.AsyncClient(base_url=URL, headers={{"Authorization": "Bearer ep_x"}}) as client:
        return Envelope.model_validate_json((await client.get("/prompts/p")).content).data
prompt = asyncio.run(main())
"""
OURS_SYNC = """
from enprompta import Enprompta
with Enprompta(api_key="ep_x", base_url=URL) as client:
    prompt = client.prompts.get("p")
"""
OURS_ASYNC = """
import asyncio
from enprompta import AsyncEnprompta
async def main():
    async with AsyncEnprompta(api_key="ep_x", base_url=URL) as client:
        return await client.prompts.get("p")
prompt = asyncio.run(main())
"""
BARE = """
import http.client, json, ssl, types
connection = http.client.HTTPSConnection(URL.split("/")[2], context=ssl.create_default_context())
connection.request("GET", "/api/v1/prompts/p", headers={"Authorization": "Bearer ep_x"})
prompt = types.SimpleNamespace(**json.loads(connection.getresponse().read())["data"])
"""
OPENAI = """
from openai import OpenAI
with OpenAI(api_key="x", base_url=ORIGIN + "/v1") as client:
    prompt = client.models.retrieve("m")
"""


class Program(NamedTuple):
    """A program, and the distributions of its environment."""

    needs: tuple[str, ...]
    text: str
    shown: str = "title"


RAW = ("httpx", "pydantic")
PROGRAMS = {
    "raw, sync": Program(RAW, RAW_SYNC),
    "ours, sync": Program(("enprompta",), OURS_SYNC),
    "raw, async": Program(RAW, RAW_ASYNC),
    "ours, async": Program(("enprompta",), OURS_ASYNC),
    "http.client": Program((), BARE),
    "openai": Program(("openai",), OPENAI, "id"),
}
EXPECTED = {"title": "Email writer", "id": "m"}
PEAK = "\nprint(int(open('/proc/self/statm').read().split()[1]) * 4096)"


def run(python: str, program: Program, server: Canned, certificates: Path) -> tuple[float, str]:
    """Run a program; return its seconds and the lines it printed after the result."""
    text = f"URL, ORIGIN = {server.base_url!r}, {server.origin!r}\n{program.text}\nprint(prompt.{program.shown}){PEAK}"
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, not at each start
    environ |= {"SSL_CERT_FILE": str(certificates)}
    environ.pop("SSL_CERT_DIR", None)
    began = time.perf_counter()
    done = subprocess.run([python, "-c", text], env=environ, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - began
    result, _, rest = done.stdout.partition("\n")
    assert result == EXPECTED[program.shown]
    return seconds, rest


def starting() -> Iterator[Figure]:
    """Compare whole programs."""
    programs = {name: one for name, one in PROGRAMS.items() if all(map(is_installed, one.needs))}
    environments = {needs: PlainEnvironment(needs) for needs in {one.needs for one in programs.values()}}
    with tempfile.TemporaryDirectory() as folder, Canned(certificate=CERTIFICATE) as server:
        trusted = Path(folder) / "trusted.pem"
        trusted.write_text(Path(certifi.where()).read_text() + CERTIFICATE.read_text())
        try:
            for one in environments.values():
                one.__enter__()
            cases: dict[str, Callable[[], float]] = {
                name: lambda one=one: run(environments[one.needs].python, one, server, trusted)[0]
                for name, one in programs.items()
            }
            figures = in_turns(cases, ROUNDS)
            memory = {
                name: statistics.median(
                    float(run(environments[one.needs].python, one, server, trusted)[1]) for _ in range(5)
                )
                for name, one in programs.items()
                if Path("/proc/self/statm").exists()
            }
        finally:
            for one in environments.values():
                one.__exit__()
    yield Figure("cold start, sync: of raw httpx and pydantic", ratio(figures, "ours, sync", "raw, sync"), budget=0.95)
    yield Figure(
        "cold start, async: of raw httpx and pydantic", ratio(figures, "ours, async", "raw, async"), budget=1.05
    )
    for name in ("http.client", "openai"):
        if name in figures:
            yield Figure(f"  {name}, beside it", ratio(figures, name, "raw, sync"))
    if memory:
        for kind in ("sync", "async"):
            value = memory[f"ours, {kind}"] / memory[f"raw, {kind}"]
            yield Figure(f"memory after the first answer, {kind}: of raw httpx and pydantic", value, budget=1.1)


def main() -> None:
    """Print every figure."""
    for figure in starting():
        figure.show()


if __name__ == "__main__":
    main()
