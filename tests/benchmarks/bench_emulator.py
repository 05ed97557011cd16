"""Many clients at once on one file-backed emulator: no 5xx, no lost write, and how fast it is.

    python -m tests.benchmarks.bench_emulator 200 60

lets 200 clients make, run, change, read and list prompts for 60 seconds while each execution is sent to a webhook.
Then it holds what was acknowledged against what is there, and prints the figures.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.served import Served
from tests.emulator.receivers import Receiver, until


@dataclass
class Account:
    """The results that the clients were sent."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    """Prompt id -> its version as last acknowledged."""
    executions: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)


def prove(db: Path, *, clients: int, seconds: float) -> dict[str, float]:
    """Run it and give the figures; an AssertionError when an answer is a 5xx or a write is lost.

    Args:
        db: The emulator's file.
        clients: How many at once.
        seconds: For how long.
    """
    account = Account()
    with Receiver() as receiver, Served(db) as served:
        client = httpx.Client(base_url=served.url, headers=_HEADERS, trust_env=False, verify=False, timeout=60)
        with client:
            body = {"name": "n", "url": receiver.url, "events": ["prompt.executed"]}
            assert client.post("/webhooks", json=body).status_code == 201
            asyncio.run(_storm(served.url, account, clients, seconds))
            prompts = {it["id"]: it for it in _all(client, "/prompts")}
            executions = {it["id"] for it in _all(client, "/executions")}
        failures = sum(number for status, number in account.statuses.items() if status >= 500)
        assert not failures, f"{failures} answers were a 5xx: {account.complaints[:3]}"
        assert set(account.statuses) <= {200, 201, 204}, f"{dict(account.statuses)}: {account.complaints[:3]}"
        assert executions == account.executions, "an execution was lost"
        assert prompts.keys() == account.versions.keys() - account.deleted, "a prompt was lost, or is back"
        lost = [key for key, it in prompts.items() if it["version"] != account.versions[key]]
        assert not lost, f"{len(lost)} changes were lost"
        until(lambda: {it.event["data"]["execution_id"] for it in receiver.received} == executions, 120)
    requests = sum(account.statuses.values())
    latencies = sorted(account.latencies)
    return {
        "requests": requests,
        "requests a second": round(requests / seconds),
        "5xx": failures,
        "writes, all of them kept": len(account.executions) + sum(account.versions.values()) + len(account.deleted),
        "events delivered": len(executions),
        "median latency in ms": round(statistics.median(latencies) * 1000, 1),
        "99th percentile in ms": round(latencies[len(latencies) * 99 // 100] * 1000, 1),
        "highest in ms": round(latencies[-1] * 1000, 1),
    }


_HEADERS = {"Authorization": "Bearer ep_test_enterprise"}


async def _storm(url: str, account: Account, clients: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)

    async def one() -> None:
        async with httpx.AsyncClient(
            base_url=url, headers=_HEADERS, trust_env=False, verify=False, timeout=60, limits=limits
        ) as client:
            while time.monotonic() < end:
                await _journey(client, account)

    await asyncio.gather(*(one() for _ in range(clients)))


async def _journey(client: httpx.AsyncClient, account: Account) -> None:
    """Make a prompt, run it, change it, look at it and at the list; delete every seventh."""

    async def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        started = time.monotonic()
        response = await client.request(method, path, json=body)
        account.latencies.append(time.monotonic() - started)
        account.statuses[response.status_code] += 1
        if response.status_code >= 300:
            account.complaints.append(response.text)
            return None
        return response.json()["data"] if response.content else None

    prompt = await call("POST", "/prompts", {"title": "t", "content": "Hello {{name}}"})
    if prompt is None:
        return
    path = f"/prompts/{prompt['id']}"
    account.versions[prompt["id"]] = prompt["version"]
    for _ in range(2):
        execution = await call("POST", f"{path}/execute", {"variables": {"name": "Ada"}})
        if execution:
            account.executions.add(execution["id"])
    changed = await call("PUT", path, {"content": f"Hello {{{{name}}}} {prompt['id']}"})
    if changed:
        account.versions[prompt["id"]] = changed["version"]
    await call("GET", path)
    await call("GET", "/prompts?limit=5")
    if len(account.versions) % 7 == 0:
        await call("DELETE", path)
        account.deleted.add(prompt["id"])


def _all(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        answer = client.get(path, params=query).json()
        found += answer["data"]
        if not answer["pagination"]["has_more"]:
            return found
        query["cursor"] = answer["pagination"]["next_cursor"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        figures = prove(Path(directory) / "e.db", clients=int(sys.argv[1]), seconds=float(sys.argv[2]))
    for name, figure in figures.items():
        sys.stdout.write(f"{name:28} {figure:>10}\n")
