"""Does every event arrive? Prompts run, the receiver fails at random half the time, the emulator is killed and started.

    python -m tests.benchmarks.bench_deliveries 1000 5

runs 1,000 prompts and kills the emulator 5 times with SIGKILL on the way. Then it compares what was
executed, what was received and what is on record, and prints the figures.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from enprompta.webhooks import verify_signature
from tests.benchmarks.served import Served
from tests.emulator.receivers import Received, Receiver, until

_BACKOFF = [0.01, 0.02, 0.04, *([0.05] * 60)]
_CLIENTS = 8


def prove(db: Path, *, events: int, kills: int, seed: int = 1) -> dict[str, float]:
    """Run it and give the figures; an AssertionError when something has not arrived, or has been forgotten.

    Args:
        db: The emulator's file.
        events: How many prompts to run.
        kills: How often to kill the emulator on the way.
        seed: Decides when the receiver fails.
    """
    chance = random.Random(seed)
    with Receiver(lambda _: 500 if chance.random() < 0.5 else 200) as receiver:
        started = time.monotonic()
        webhook: dict[str, Any] = {}
        prompt: dict[str, Any] = {}
        acknowledged: list[str] = []
        for part in range(kills + 1):
            with Served(db, webhook_backoff=_BACKOFF) as served, _client(served) as client:
                if not part:
                    body = {"name": "n", "url": receiver.url, "events": ["prompt.executed"]}
                    webhook = client.post("/webhooks", json=body).json()["data"]
                    prompt = client.post("/prompts", json={"title": "t", "content": "x"}).json()["data"]
                share = (events - len(acknowledged)) // (kills + 1 - part)
                _execute(client, f"/prompts/{prompt['id']}/execute", share, acknowledged, served, kill=part < kills)
                if part == kills:
                    kept = _delivered(client, webhook)
                    executed = _all(client, None)
        elapsed = time.monotonic() - started
        received = list(receiver.received)
    _hold(received, kept, {it["id"] for it in executed}, acknowledged, webhook["secret"])
    sent = Counter(it.event["id"] for it in received)
    return {
        "executions acknowledged": len(acknowledged),
        "executions on record": len(executed),
        "deliveries on record": len(kept),
        "events that arrived": len(sent),
        "requests received": len(received),
        "most requests for one event": max(sent.values()),
        "seconds": round(elapsed, 1),
    }


def _hold(
    received: list[Received], kept: list[dict[str, Any]], executed: set[str], acknowledged: list[str], secret: str
) -> None:
    told = {it.event["id"]: it.event["data"]["execution_id"] for it in received}
    assert set(acknowledged) <= executed, "an execution that was acknowledged is not on record"
    assert {it["eventId"] for it in kept} == set(told), "a delivery is on record that never arrived, or the reverse"
    assert len(kept) == len(executed), "an execution has no delivery, or has two"
    assert set(told.values()) == executed, "an execution was never delivered"
    assert all(verify_signature(it.body, it.headers, secret) for it in received), "a signature does not verify"
    assert len({(it.event["id"], it.body) for it in received}) == len(told), "an event changed between its attempts"
    sent = Counter(it.event["id"] for it in received)
    assert all(it["attempts"] <= sent[it["eventId"]] for it in kept), "an attempt is on record that was never made"


def _delivered(client: httpx.Client, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """Wait until all deliveries have arrived, and give them."""

    def all_there() -> list[dict[str, Any]] | None:
        found = _all(client, webhook)
        return found if all(it["status"] == "DELIVERED" for it in found) else None

    return until(all_there, 120)


def _execute(
    client: httpx.Client, path: str, number: int, acknowledged: list[str], served: Served, *, kill: bool
) -> None:
    """Run the prompt repeatedly from several threads; then kill the emulator while more executions run."""
    stop = threading.Event()
    start = len(acknowledged)

    def work() -> None:
        while not stop.is_set() and (kill or len(acknowledged) - start < number):
            try:
                response = client.post(path, json={})
            except httpx.HTTPError:
                return
            assert response.status_code == 201, response.text
            acknowledged.append(response.json()["data"]["id"])

    threads = [threading.Thread(target=work) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    until(lambda: len(acknowledged) - start >= number, 120)
    if kill:
        served.kill()
    stop.set()
    for thread in threads:
        thread.join()


def _client(served: Served) -> httpx.Client:
    headers = {"Authorization": "Bearer ep_test_enterprise"}
    return httpx.Client(base_url=served.url, headers=headers, trust_env=False, verify=False, timeout=30)


def _all(client: httpx.Client, webhook: dict[str, Any] | None) -> list[dict[str, Any]]:
    """All deliveries of a webhook, or all executions."""
    path = "/executions" if webhook is None else f"/webhooks/{webhook['id']}/deliveries"
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
        figures = prove(Path(directory) / "e.db", events=int(sys.argv[1]), kills=int(sys.argv[2]))
    for name, figure in figures.items():
        sys.stdout.write(f"{name:28} {figure:>8}\n")
