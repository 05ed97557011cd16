"""Executions through a server that fails and disconnects are each answered and charged exactly once.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 10,000 executions each.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections import Counter
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import Enprompta
from enprompta.emulator import Emulator
from tests.faults.flavours import Caller, Waits, settle, together
from tests.faults.server import ERROR, FaultServer, Peer, Received, answer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow  # many processes, or thousands of calls

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
EXECUTIONS = 10_000 if LONG else 500
AT_ONCE = 25
RETRIES = 20  # of three, one call in 160 would see four failures in a row and end in its error


class Unreliable:
    """Fails one request in five before the work, and disconnects on one in ten after it.

    Args:
        work: Handles the request and returns the bytes of the response.
    """

    def __init__(self, work: Callable[[Received], bytes]) -> None:
        self._work = work
        self._random = Random(7)
        self._lock = threading.Lock()
        self.failed = Counter[str]()

    def __call__(self, peer: Peer) -> None:
        """Answer a request, or not."""
        request = peer.read()
        with self._lock:
            luck = self._random.random()
            status = self._random.choice([500, 502, 503, 504, 429])
        if luck < 0.2:
            self.failed["failed"] += 1
            peer.send(answer(status, ERROR))
            return
        done = self._work(request)
        if luck < 0.3:
            self.failed["broken off"] += 1
            peer.reset()
        peer.send(done)


class Ledger:
    """Executes and charges; a repeated key gets the first result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[str, bytes] = {}
        self.charged = Counter[int]()
        """By the number that was to be executed."""

    def __call__(self, request: Received) -> bytes:
        """Execute a request."""
        with self._lock:
            key = request.headers["idempotency-key"]
            if key not in self._results:
                number = json.loads(request.body)["variables"]["number"]
                self.charged[number] += 1
                result = {"id": f"exec_{len(self._results)}", "status": "completed", "output": f"number {number}"}
                self._results[key] = answer(200, json.dumps({"success": True, "data": result}).encode())
            return self._results[key]


def execute_all(flavour: str, base_url: str, prompt_id: str, **options: Any) -> dict[int, Any]:
    """Execute a prompt many times, partly concurrently, and return the results by number."""
    caller = Caller(flavour, base_url=base_url, max_retries=RETRIES, **options)
    results: dict[int, Any] = {}
    numbers = iter(range(EXECUTIONS))
    lock = threading.Lock()

    async def worker() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            prompts = caller.client.prompts
            results[number] = await settle(prompts.execute(prompt_id, variables={"number": number}))

    together(flavour, [worker] * AT_ONCE)
    if flavour == "sync":
        caller.client.close()
    return results


def test_every_execution_is_answered_and_charged_once(flavour: str, server: FaultServer, waits: Waits) -> None:
    """No result is lost or mixed up, and no execution is charged twice."""
    ledger = Ledger()
    unreliable = Unreliable(ledger)
    server.play(then=unreliable)
    results = execute_all(flavour, server.base_url, "p1")
    assert {number: result.output for number, result in results.items()} == {
        number: f"number {number}" for number in range(EXECUTIONS)
    }
    assert len({result.id for result in results.values()}) == EXECUTIONS
    assert ledger.charged == Counter(range(EXECUTIONS))
    assert unreliable.failed["failed"] > EXECUTIONS / 6
    assert unreliable.failed["broken off"] > EXECUTIONS / 12
    assert len(waits) == sum(unreliable.failed.values())
    assert len(server.received) == EXECUTIONS + len(waits)
    server.wait_for_connections()


def _forward(port: int, local: threading.local, request: Received) -> bytes:
    """Pass the request to the emulator over a connection per thread."""
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection("127.0.0.1", port)
    kept = {name: value for name, value in request.headers.items() if name not in {"host", "accept-encoding"}}
    local.connection.request(request.method, request.path, request.body, kept)
    response = local.connection.getresponse()
    body = response.read()
    if response.will_close:
        local.connection.close()
    return answer(response.status, body)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # of the threads that forward, which just end
def test_the_emulator_charges_each_execution_once(server: FaultServer, waits: Waits) -> None:
    """The same through a failing proxy before an emulator with its own books."""
    with ExitStack() as stack:
        emulator = stack.enter_context(Emulator(rate_limits=False, credits={"pro": None}))
        key = emulator.keys.pro
        client = stack.enter_context(Enprompta(api_key=key, base_url=emulator.url, limiter=None))
        prompt = client.prompts.create(title="Count", content="number {{number}}")
        port = int(emulator.url.rpartition(":")[2].partition("/")[0])
        server.play(then=Unreliable(partial(_forward, port, threading.local())))
        results = execute_all("asyncio", server.base_url, prompt.id, api_key=key)
        booked = client.executions.list(limit=1).pagination.total_count
        tokens = client.usage.get().tokens
    assert sorted(results) == list(range(EXECUTIONS))
    assert len({result.id for result in results.values()}) == EXECUTIONS
    assert booked == EXECUTIONS
    assert tokens is not None
    assert tokens.used == EXECUTIONS
    assert waits
