"""Calls work before, during and after a frozen clock, and their waits take real time."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import freezegun
import pytest
import time_machine

from enprompta import APITimeoutError, WebhookSignatureError
from enprompta._common import clock
from enprompta._common.clock import monotonic
from enprompta.limiters import LocalLimiter
from enprompta.testing import WEBHOOK_SECRET, webhook_delivery
from enprompta.webhooks import construct_event
from tests.faults.flavours import Caller, run
from tests.faults.server import FaultServer, FullBacklog, Peer, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

PROMPT = b'{"data": {"id": "p1", "title": "T", "content": "C", "createdAt": "2024-01-02T03:04:05Z"}}'
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
FROZEN: dict[str, Callable[[datetime], AbstractContextManager[Any]]] = {
    "freezegun": freezegun.freeze_time,
    "time-machine": partial(time_machine.travel, tick=False),
}

FIRST_USE = """
import asyncio, inspect, sys
from contextlib import nullcontext
from datetime import datetime, timezone
import freezegun, time_machine

tool, loaded, url = sys.argv[1:]
moment = datetime(2020, 1, 1, tzinfo=timezone.utc)
frozen = {"freezegun": lambda: freezegun.freeze_time(moment), "time-machine": lambda: time_machine.travel(moment)}[tool]

def use(enprompta):
    for name in enprompta.models.__all__:
        model = getattr(enprompta.models, name)
        if inspect.isclass(model) and issubclass(model, enprompta.models.Model):
            model.model_json_schema()
    with enprompta.Enprompta(api_key="ep_x", base_url=url, limiter=None) as client:
        for name in ("prompts", "executions", "templates", "workflows", "teams", "webhooks", "traces", "usage"):
            getattr(client, name)
        print(type(client.prompts.get("p1").created_at))

    async def same():
        async with enprompta.AsyncEnprompta(api_key="ep_x", base_url=url, limiter=None) as client:
            print(type((await client.prompts.get("p1")).created_at))

    asyncio.run(same())

if loaded == "before":
    import enprompta.models
with frozen():
    import enprompta.models
    if loaded != "after":
        use(enprompta)
use(enprompta)
with frozen():
    use(enprompta)
"""


def dated(peer: Peer) -> None:
    """Answer with a prompt that has a date."""
    peer.read()
    peer.send(answer(200, PROMPT))


@pytest.mark.step("clocks")
@pytest.mark.parametrize("tool", FROZEN)
@pytest.mark.parametrize("loaded", ["before", "within", "after"])
def test_first_use_under_a_frozen_clock(tool: str, loaded: str, server: FaultServer) -> None:
    """Every model works during and after the frozen clock, whenever it was loaded."""
    server.play(then=dated)
    command = [sys.executable, "-c", FIRST_USE, tool, loaded, server.base_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, set(done.stdout.split("\n"))) == (0, {"<class 'datetime.datetime'>", ""}), done.stderr


LATE = 20  # seconds; a busy machine is slow, but a wait in frozen time never ends
# Each look at the clock moves it.
CLOCKS = {**FROZEN, "freezegun, jumping": partial(freezegun.freeze_time, auto_tick_seconds=15)}


@pytest.mark.step("clocks")
@pytest.mark.parametrize("tool", CLOCKS)
@pytest.mark.parametrize("moment", [LONG_AGO, datetime(2100, 1, 1, tzinfo=timezone.utc)], ids=["past", "future"])
class TestWaits:
    def test_between_tries(self, flavour: str, tool: str, moment: datetime, server: FaultServer) -> None:
        """A retry waits in real time for as long as the server asks."""

        def busy(peer: Peer) -> None:
            peer.read()
            peer.send(answer(503, headers=[("Retry-After", "0.1")]))

        server.play(busy)
        began = monotonic()
        with CLOCKS[tool](moment):
            run(flavour, partial(self._get, flavour, server))
        assert 0.1 <= monotonic() - began < LATE
        assert len(server.received) == 2

    @pytest.mark.parametrize("bound", [{"deadline": 0.2}, {"timeout": 0.1}, {"timeout": None, "deadline": 0.2}])
    def test_of_a_server_that_does_not_answer(
        self, flavour: str, tool: str, moment: datetime, server: FaultServer, bound: dict[str, Any]
    ) -> None:
        """A call ends at its deadline, or at its timeout without one."""
        server.play(then=Peer.stall)
        began = monotonic()
        with CLOCKS[tool](moment), pytest.raises(APITimeoutError):
            run(flavour, partial(self._get, flavour, server, max_retries=0, **bound))
        assert 0.1 <= monotonic() - began < LATE

    def test_of_an_address_that_does_not_answer(self, flavour: str, tool: str, moment: datetime) -> None:
        """Connecting ends in real time."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=dead.base_url, timeout=0.2, max_retries=0) as caller:
                await caller.call("GET")

        began = monotonic()
        with FullBacklog() as dead, CLOCKS[tool](moment), pytest.raises(APITimeoutError):
            run(flavour, scenario)
        assert 0.1 <= monotonic() - began < LATE

    def test_for_the_budget(self, flavour: str, tool: str, moment: datetime, server: FaultServer) -> None:
        """A call that waits for the next window waits in real time."""
        now = clock.real_time()

        def spent(peer: Peer) -> None:
            peer.read()
            headers = [("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "0")]
            date = datetime.fromtimestamp(now, timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
            headers += [("X-RateLimit-Reset", str(int(now) + 1)), ("Date", date)]
            peer.send(answer(200, PROMPT, headers))

        server.play(spent)
        began = monotonic()
        with CLOCKS[tool](moment):
            run(flavour, partial(self._get, flavour, server, times=2, limiter=LocalLimiter()))
        assert 0.1 < monotonic() - began < LATE
        assert len(server.received) == 2

    @staticmethod
    async def _get(flavour: str, server: FaultServer, times: int = 1, **options: Any) -> None:
        async with Caller(flavour, base_url=server.base_url, **options) as caller:
            for _ in range(times):
                assert (await caller.call("GET")).status_code == 200


@pytest.mark.parametrize("tool", FROZEN)
class TestDeliveries:
    def test_a_forged_delivery_is_recent(self, tool: str) -> None:
        """A delivery forged under a frozen clock is within the tolerance under that clock."""
        with FROZEN[tool](LONG_AGO):
            delivery = webhook_delivery()
            event = construct_event(delivery.body, delivery.headers, WEBHOOK_SECRET, tolerance=1)
        assert event.created_at == LONG_AGO

    def test_an_old_delivery_is_refused(self, tool: str) -> None:
        """A delivery older than the tolerance is refused, also a frozen clock's delivery once the clock runs again."""
        with FROZEN[tool](LONG_AGO):
            delivery = webhook_delivery()
            old = webhook_delivery(created_at=LONG_AGO - timedelta(seconds=90))
            with pytest.raises(WebhookSignatureError, match="90 seconds ago"):
                construct_event(old.body, old.headers, WEBHOOK_SECRET, tolerance=60)
        with pytest.raises(WebhookSignatureError, match="seconds ago"):
            construct_event(delivery.body, delivery.headers, WEBHOOK_SECRET, tolerance=60)


def test_the_clock_of_the_package_is_the_real_one() -> None:
    """`monotonic` equals the system's clock, and runs while a test has frozen the clock of all modules."""
    import time

    assert abs(monotonic() - time.monotonic()) < 1
    before = monotonic()
    with freezegun.freeze_time(LONG_AGO):
        assert clock.is_replaced()
        assert time.monotonic() == time.monotonic()
        assert before < monotonic() < before + 60
        assert clock.wall_clock() == LONG_AGO.timestamp() != clock.real_time()
    assert not clock.is_replaced()
