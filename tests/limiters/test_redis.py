"""Several processes that share one budget, through a real Redis."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from email.utils import formatdate
from math import ceil, inf, isinf
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from enprompta.errors import ConfigurationError
from enprompta.limiters import RedisLimiter
from enprompta.limiters import redis as module
from enprompta.limiters.blocks import Room
from enprompta.limiters.local import digest
from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import Reading
from enprompta.limiters.redis import RedisAccount, _client, _SharedAccount
from enprompta.limiters.sleepers import DeadlineReached, WaitTooLong
from tests.limiters import troubles
from tests.limiters.redis_server import BINARY, RedisServer
from tests.limiters.simulation import DAY, EPOCH, Network, Server, Simulation
from tests.limiters.troubles import Steady
from tests.limiters.wire import AsyncioClient, BlockingClient, Report, Rules, StrictServer, TrioClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta.limiters.wait_queue import Reservation

pytest.importorskip("redis", reason="the extra `redis` is not installed")
needs_server = pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Run a Redis for the tests that do not kill it."""
    with RedisServer() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let idle threads end soon, and an unavailable Redis be tried often."""
    monkeypatch.setattr(module, "_IDLE", 0.3)
    monkeypatch.setattr(module, "_RETRY_EVERY", 0.1)


def process(server: RedisServer, name: str) -> RedisAccount:
    """Return an account as another process would have it."""
    return RedisAccount(lambda: _SharedAccount(_client(server.url), name))


def used_up(seconds: int) -> dict[str, str]:
    """Return the headers of a 429 whose window ends in this many seconds."""
    return {
        "Date": formatdate(usegmt=True),
        "X-RateLimit-Limit": "10000",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(time.time()) + seconds),
    }


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition of another thread holds."""
    for _ in range(5000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it never came so far")


LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
ENDS = st.sampled_from(["answer"] * 8 + ["fail", "cancel"])
ANSWERS = st.tuples(
    st.sampled_from([200, 200, 200, 404, 429, 429, 503]),
    st.sampled_from([50, 50, 50, 50, 20, 10_000, 0]),
    st.sampled_from([0, 1, 10, 40, 49]),
    st.sampled_from([60, 60, 60, 60, 120, 0, -60, 300, 86_400]),
    st.sampled_from([None, None, None, 0.0, 1.0, 30.0, 3600.0]),
)
"""Status, limit, remaining, the reset after the begin of the minute, and `Retry-After`."""


class Twin(Pacer):
    """The policy and the script side by side, which must agree at every step."""

    __slots__ = ("_client", "_keys", "_named", "_shared", "steps")

    FIELDS = (
        *("limit", "length", "others", "seen", "floor", "reset", "newest", "remaining", "base", "sampled", "trusted"),
        *("sent", "counted", "entered_at", "ends_at", "reset_margin", "granted", "blocked", "off", "bare", "hollow"),
    )
    PARTS = (
        *("_block.since", "_block.held", "_block.confirmed", "_block.probed", "_block.probing"),
        *("_pause.strikes", "_pause.struck", "_pause.until", "_clock._low", "_clock._high", "_clock._synced"),
    )
    """Fields of the policy's parts; each has the last word of its name in Redis, but for one."""

    def __init__(self, server: RedisServer, name: str) -> None:
        super().__init__()
        self.steps = 0
        self._named = 0
        self._client: Any = _client(server.url)
        self._shared = _SharedAccount(self._client, name)
        self._shared.introduce("", [])
        self._client.flushall()

    def _run(self, now: float, *step: str | float) -> Any:
        self.steps += 1
        return self._shared.run([step], format(now, ".17g"))[0]

    def _compare(self) -> None:
        stored = {name.decode(): float(value) for name, value in self._client.hgetall(self._shared._keys[0]).items()}
        mine = {name: getattr(self, f"_{name}") for name in self.FIELDS}
        for path in self.PARTS:
            name = {"until": "paused"}.get(path.rpartition(".")[2], path.rpartition(".")[2].lstrip("_"))
            mine[name] = attrgetter(path)(self)
        assert set(stored) == set(mine)
        for name, value in mine.items():
            number = float(value or 0)
            if isinf(number):
                number = 1e15 if number > 0 else -1e15
            if name == "synced" and mine["low"] == -inf:
                continue  # nothing to be right about yet
            assert stored[name] == pytest.approx(number, rel=1e-12, abs=1e-6), name
        assert self._client.zcard(self._shared._keys[1]) == self._charges.in_flight
        assert self._client.zcard(self._shared._keys[2]) == len(self._charges) - self._charges.in_flight

    def grant(self, now: float) -> list[Reservation]:
        """Grant what both allow, a part of the window at a time."""
        settled: list[Reservation] = []
        while self.queue:
            room = self.available(now)
            wanted = len(self.queue)
            granted, time, _, *waits = self._run(now, "acquire", "p:", self._named + 1, wanted)
            expected = min(room.free, wanted, ceil(self._limit / 8) if self._limit else wanted)
            assert granted == expected
            assert float(time) == now
            if not granted:
                assert [float(wait) for wait in waits] == pytest.approx(list(room[1:]), rel=1e-12, abs=1e-6)
                settled += self.queue.refuse(room, now)
                self.chance_at = now + self.queue.look(room, now)
                break
            for ticket in self.grant_unchecked(granted, now):
                self._named += 1
                ticket.mark = f"p:{self._named}"
                settled.append(ticket)
            self._compare()
        return settled

    def observe(self, ticket: Reservation, reading: Reading, now: float) -> None:
        """Report a response to both."""
        retry_after = "" if reading.retry_after is None else reading.retry_after
        super().observe(ticket, reading, now)
        self._run(now, "observe", ticket.mark, format(ticket.sent, ".17g"), *reading[:-1], retry_after)
        self._compare()

    def fail(self, ticket: Reservation, now: float) -> None:
        """Report a failure to both."""
        super().fail(ticket, now)
        self._run(now, "fail", ticket.mark, format(ticket.sent, ".17g"))
        self._compare()

    def cancel(self, ticket: Reservation) -> None:
        """Cancel a request in both."""
        self.cancel_at(ticket, ticket.sent)

    def cancel_at(self, ticket: Reservation, now: float) -> None:
        """Cancel a request in both at some time."""
        granted = ticket.state == "granted"
        super().cancel(ticket)
        if granted:
            self._run(now, "cancel", ticket.mark, format(ticket.sent, ".17g"))
            self._compare()


def plain(_: Simulation) -> None:
    """Change nothing."""


def others_spend(simulation: Simulation) -> None:
    """Let another client spend a third."""
    for moment in range(200):
        simulation.at(moment / 4, lambda: simulation.server.spend(simulation.now, 3))


def clock_is_set_back(simulation: Simulation) -> None:
    """Set the clock back by an hour."""

    def act() -> None:
        simulation.server.skew -= 3600

    simulation.at(7.0, act)


def limit_is_cut(simulation: Simulation) -> None:
    """Cut the limit from 50 to 20."""

    def act() -> None:
        simulation.server.limit = 20

    simulation.at(7.0, act)


def limit_is_raised(simulation: Simulation) -> None:
    """Raise the limit from 50 to 80."""

    def act() -> None:
        simulation.server.limit = 80

    simulation.at(7.0, act)


def edges_are_late(simulation: Simulation) -> None:
    """Let windows end 0.7 s later than reported."""
    simulation.server.edge = 0.7


def midnight_comes(simulation: Simulation) -> None:
    """Exhaust the day budget some seconds before midnight."""
    simulation.server.skew = DAY - EPOCH % DAY - 20
    simulation.server.daily = 150


def some_answers_are_bare(simulation: Simulation) -> None:
    """Omit the headers now and then, and for a while always."""
    observe = simulation.pacer.observe

    def lossy(ticket: Reservation, reading: Reading, now: float) -> None:
        if 6 < now < 9 or simulation.network.random.random() < 0.05:
            status = simulation.network.random.choice([200, 200, 503, reading.status])
            reading = type(reading)(status, retry_after=None)
        observe(ticket, reading, now)

    simulation.pacer.observe = lossy  # type: ignore[method-assign]


def requests_are_not_sent(simulation: Simulation) -> None:
    """Cancel one request in ten."""
    send = simulation._send

    def fickle(ticket: Reservation) -> None:
        if simulation.network.random.random() < 0.1:
            simulation.pacer.cancel(ticket)
            simulation.pacer.reserve(ticket, float("inf"), simulation.now)
            simulation.at(simulation.now, simulation.pump)
        else:
            send(ticket)

    simulation._send = fickle  # type: ignore[method-assign]


class MutableTwin(Twin):
    """A twin whose methods a scenario can replace."""


@needs_server
class TestScript:
    @pytest.mark.parametrize(
        "trouble",
        [
            plain,
            others_spend,
            clock_is_set_back,
            limit_is_cut,
            limit_is_raised,
            edges_are_late,
            midnight_comes,
            some_answers_are_bare,
            requests_are_not_sent,
        ],
    )
    def test_the_script_is_the_policy(self, server: RedisServer, trouble: Callable[[Simulation], None]) -> None:
        """The script and the policy grant the same requests and remember the same, step by step."""
        twin = MutableTwin(server, "twin")
        network = Network(Random(11), longest=0.3, tail=0.02, tail_longest=40.0, lost=0.01)
        simulation = Simulation(Server(skew=300.3, drift=5e-5), network, twin)
        trouble(simulation)
        simulation.calls(300)
        outcome = simulation.run()
        twin._client.close()
        assert outcome.served >= 290  # those that are never answered are replaced; bare ones count as served
        assert twin.steps > 500

    @pytest.mark.parametrize("trouble", troubles.TROUBLES)
    def test_the_script_is_the_policy_when_it_is_lied_to(
        self, server: RedisServer, trouble: Callable[[Simulation], None]
    ) -> None:
        """Blocks, probes and pauses are the same in the script."""
        twin = MutableTwin(server, "twin")
        simulation = Steady(trouble, seed=5, every=3.7).run(twin)
        twin._client.close()
        assert simulation.outcome.served > 60
        assert twin.steps > 200

    @given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 5), ANSWERS, ENDS), max_size=40))
    @settings(max_examples=2000 if LONG else 30)
    def test_the_script_and_the_python_policy_agree(
        self, server: RedisServer, steps: list[tuple[float, int, tuple[int, int, int, float, float | None], str]]
    ) -> None:
        """Also with random responses at random moments."""
        twin = Twin(server, "twin")
        now = 1000.0
        flying: list[Reservation] = []
        for passed, callers, (status, limit, remaining, reset_in, retry_after), end in steps:
            now += passed
            for _ in range(callers):
                twin.reserve(None, 65.0, now)
            flying += [ticket for ticket in twin.grant(now) if ticket.state == "granted"]
            if not flying:
                continue
            ticket = flying.pop(len(flying) // 2)
            if end == "fail":
                twin.fail(ticket, now)
            elif end == "cancel":
                twin.cancel_at(ticket, now)
            else:
                date = float(int(EPOCH + now))
                reset = int((EPOCH + now) // 60 * 60 + reset_in)
                left = min(remaining, limit) if status != 429 else 0
                twin.observe(ticket, Reading(status, limit, left, reset, date, retry_after), now)
        twin._client.close()

    def test_what_is_kept_is_short_lived_and_holds_no_secret(self, server: RedisServer) -> None:
        """Keys contain a digest and expire."""
        account = RedisLimiter(server.url).account("https://enprompta.com ep_secret")
        account.cancel(account.acquire(max_wait=65.0))
        wait_for(lambda: account._thread is None)
        client: Any = _client(server.url)
        name = digest("https://enprompta.com ep_secret")
        keys = client.keys(f"enprompta:*{name}*")
        assert keys
        assert all(b"ep_secret" not in key and 0 < client.ttl(key) < 200 for key in keys)
        client.close()

    def test_a_process_that_died_costs_nothing_for_long(self, server: RedisServer) -> None:
        """Its requests in flight are dropped when they have been counted for certain."""
        client: Any = _client(server.url)
        shared = _SharedAccount(client, "died")
        shared.introduce("a:", [])
        observed = ("observe", "a:1", 0, 200, 8, 7, EPOCH + 60, EPOCH, "")
        shared.run([("acquire", "a:", 1, 1)], "0")
        shared.run([observed], "0.1")
        for first in range(2, 9):
            assert shared.run([("acquire", "a:", first, 8)], "0.2")[0][0] == 1
        assert shared.run([("acquire", "b:", 1, 8)], "0.3")[0][0] == 0
        assert shared.run([("acquire", "b:", 1, 8)], "62")[0][0] == 1
        client.close()


@needs_server
class TestProcesses:
    def test_two_processes_keep_to_one_budget(self, server: RedisServer) -> None:
        """With all kinds of waiters: no 429, and the windows are used."""
        accounts = [process(server, "two"), process(server, "two")]
        reports = [Report() for _ in range(4)]
        with StrictServer(Rules(skew=-299.7)) as strict:
            port = strict.port
            works: list[Callable[[], object]] = [
                lambda: BlockingClient(accounts[0], port, reports[0]).in_threads(20, 60),
                lambda: trio.run(TrioClient(accounts[0], port, reports[1]).in_tasks, 60),
                lambda: BlockingClient(accounts[1], port, reports[2]).in_threads(20, 60),
                lambda: asyncio.run(AsyncioClient(accounts[1], port, reports[3]).in_tasks(60)),
            ]
            run_all(works)
        assert [(report.ok, report.answered_429) for report in reports] == [(60, 0)] * 4
        assert max(strict.use) == 1.0
        assert accounts[0].rate_limit is not None

    def test_redis_killed_and_restarted(self, caplog: pytest.LogCaptureFixture) -> None:
        """No call is lost, a few get 429, each process warns once or twice; then the two share again."""
        caplog.set_level(logging.INFO, "enprompta")
        with RedisServer() as own, StrictServer(Rules()) as strict:
            accounts = [process(own, "killed"), process(own, "killed")]
            reports = [Report(), Report()]
            port = strict.port

            def calls(number: int) -> None:
                asyncio.run(AsyncioClient(accounts[number], port, reports[number]).in_tasks(150))

            threads = [threading.Thread(target=calls, args=(number,)) for number in range(2)]
            for thread in threads:
                thread.start()
            wait_for(lambda: strict.tally.served.total() > 60)
            own.kill()
            wait_for(lambda: all(account._is_unavailable for account in accounts))
            wait_for(lambda: strict.tally.served.total() > 130)
            own.start()
            wait_for(lambda: not any(account._is_unavailable for account in accounts))
            for thread in threads:
                thread.join()
        assert [report.ok for report in reports] == [150, 150]
        assert strict.tally.refused <= 30, "a tenth of the calls, even if the machine is so busy that news comes late"
        events = [record.getMessage().split()[0] for record in caplog.records]
        # A Redis that is slow to start, on a busy machine, may be found and lost again before it is there to stay.
        assert 2 <= events.count("limiter.redis_away") <= 4
        assert events.count("limiter.redis_back") >= 2

    def test_a_redis_that_is_back_is_trusted_when_all_must_have_found_it(self, server: RedisServer) -> None:
        """Until then a process asks it for no more than its share, because others may still spend theirs alone."""
        account = process(server, "wary")
        with account._lock:
            account._thread = threading.current_thread()
            account._processes = 4
        account._pace_locally(ConnectionError())
        account._introduce().close()
        pacer, now = account._pacer, time.monotonic()
        first = pacer.reserve(None, 65.0, now)
        pacer.grant(now)
        pacer.observe(first, Reading(200, 40, 39, int(time.time()) + 60, time.time()), now)
        for _ in range(30):
            pacer.reserve(None, 65.0, now)
        assert account._wanted_count(now + 0.1) == 9
        assert account._wanted_count(now + 60.0) == 30
        assert pacer.process_count == 1

    def test_a_process_without_a_share_checks_again_soon(self, server: RedisServer) -> None:
        """A process that has spent its share checks again while a caller waits."""
        account = process(server, "again soon")
        shared = account._introduce()
        pacer, now = account._pacer, time.monotonic()
        pacer.process_count, account._sharing_from = 2, now + 60
        with account._lock:
            account._thread = threading.current_thread()
            flying = pacer.reserve(None, 65.0, now)
            pacer.grant(now)
            pacer.reserve(None, 65.0, now)
        assert flying.state == "granted"
        assert account._exchange(shared) == module._SHORTEST_POLL
        shared.close()

    def test_a_redis_that_was_never_there(self) -> None:
        """Each process paces alone from its first call on."""
        nowhere = RedisServer()
        account = process(nowhere, "nowhere")
        report = Report()
        with StrictServer(Rules()) as strict:
            BlockingClient(account, strict.port, report).in_threads(20, 100)
        assert (report.ok, report.answered_429) == (100, 0)

    def test_a_redis_that_hangs_counts_as_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that accepts and never answers holds a call for a moment only."""
        import socket

        monkeypatch.setattr(module, "_TIMEOUT", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
            account = RedisAccount(lambda: _SharedAccount(_client(url), "mute"))
            assert account.acquire(max_wait=65.0).waited < 2
            wait_for(lambda: account._thread is None)

    def test_an_unnoticed_restart(self, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
        """A Redis that lost the script gets the requests in flight again, without a warning."""
        account = process(server, "restart")
        first = account.acquire(max_wait=65.0)
        client: Any = _client(server.url)
        client.flushall()
        client.script_flush()
        client.close()
        got: list[Reservation] = []
        waiter = threading.Thread(target=lambda: got.append(account.acquire(max_wait=65.0)))
        waiter.start()
        account.cancel(first)
        waiter.join(5)
        assert [ticket.state for ticket in got] == ["granted"]
        assert not caplog.records

    def test_an_exiting_process_reports_its_last_responses(self, server: RedisServer) -> None:
        """The last responses do not stay charged to the other processes."""
        program = """
            import sys
            from enprompta.limiters import RedisLimiter
            account = RedisLimiter(sys.argv[1]).account("exit")
            tickets = [account.acquire(max_wait=65.0)]
            account.failed(tickets[0])
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(program), server.url], check=True, timeout=20)
        client: Any = _client(server.url)
        _, flight, lost, _ = _SharedAccount(client, digest("exit"))._keys
        assert (client.zcard(flight), client.zcard(lost)) == (0, 1)
        client.close()

    def test_flushing_needs_a_redis_that_is_there(self, server: RedisServer) -> None:
        """It also needs an account with steps to report."""
        account = RedisLimiter(server.url).account("flush")
        account.flush(60.0)
        account.failed(account.acquire(max_wait=65.0))
        module._flush()
        assert account._outbox == []
        account._is_unavailable = True
        account.flush(60.0)

    def test_max_wait_and_deadlines(self, server: RedisServer) -> None:
        """They work as with a local account."""
        account = process(server, "max_wait")
        first = account.acquire(max_wait=65.0)
        with pytest.raises(DeadlineReached):
            account.acquire(max_wait=65.0, deadline=time.monotonic() + 0.1)
        account.observe(first, 429, used_up(3600))
        other = process(server, "max_wait")
        with pytest.raises(WaitTooLong) as caught:
            other.acquire(max_wait=20.0)
        assert 3590 < caught.value.wait <= 3605

    def test_a_failed_request_lets_the_next_one_try(self, server: RedisServer) -> None:
        """In another process too."""
        one, other = process(server, "failed"), process(server, "failed")
        first = one.acquire(max_wait=65.0)
        threading.Timer(0.1, lambda: one.failed(first)).start()
        assert other.acquire(max_wait=65.0).waited < 1

    def test_abandoned_requests_give_up_their_place(self, server: RedisServer) -> None:
        """A request that left the queue while Redis was asked does not keep its place in Redis."""
        account = process(server, "left")
        shared = account._introduce()
        with account._lock:
            account._thread = threading.current_thread()
            ticket = account._pacer.reserve(None, 65.0, time.monotonic())
        account._named += 1
        (result,) = shared.run([("acquire", account._prefix, 1, 1)])
        account.cancel(ticket)
        assert account._apply_grants(1, Room(int(result[0])), float(result[1])) == 0.0
        assert account._outbox[0][:2] == ("cancel", f"{account._prefix}1")
        account._exchange(shared)
        assert shared.run([("acquire", "other:", 1, 1)])[0][0] == 1
        shared.close()

    def test_requests_in_flight_are_reported_again(self, server: RedisServer) -> None:
        """After an outage Redis charges the requests in flight, and not those answered meanwhile."""
        client: Any = _client(server.url)
        account = process(server, "again")
        account._is_unavailable = True
        with account._lock:
            account._thread = threading.current_thread()
        flying = account.acquire(max_wait=65.0)
        account._introduce().close()
        assert flying.mark is not None
        _, flight, lost, _ = _SharedAccount(client, "again")._keys
        assert client.zrange(flight, 0, -1) == [flying.mark[0].encode()]
        account._pacer.fail(flying, 0.0)
        account._introduce().close()
        assert client.zcard(flight) == 0
        assert client.zrange(lost, 0, -1) == [flying.mark[0].encode()]
        account._note("observe", flying)  # it has ended: nothing to report
        assert account._outbox == []
        client.close()

    def test_a_thread_that_cannot_be_started_is_done_without(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call from an exit handler is paced alone."""

        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", start)
        assert process(server, "exit").acquire(max_wait=65.0).state == "granted"

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
    def test_a_child_after_a_fork_has_its_own_connection(self, server: RedisServer) -> None:
        """Parent and child continue, and share."""
        program = """
            import os, sys
            from enprompta.limiters import RedisLimiter
            account = RedisLimiter(sys.argv[1]).account("fork")
            account.cancel(account.acquire(max_wait=65.0))
            child = os.fork()
            account.cancel(account.acquire(max_wait=65.0))
            if child == 0:
                os._exit(0 if not account._is_unavailable else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(program), server.url], check=True, timeout=20)


@needs_server
class TestBlocks:
    """Several processes that are refused, by the clock of the script."""

    LIE = ("observe", "a:1", 0, 429, 10_000, 0, EPOCH + DAY, EPOCH, "")
    GOOD = (200, 50, 40, EPOCH + 120, EPOCH + 60, "")

    @pytest.fixture
    def shared(self, server: RedisServer) -> Iterator[_SharedAccount]:
        """Return an account that learned at 0.5 that the day is exhausted."""
        client: Any = _client(server.url)
        client.flushall()
        shared = _SharedAccount(client, "blocks")
        shared.introduce("a:", [])
        assert shared.run([("acquire", "a:", 1, 1)], "0")[0][0] == 1
        shared.run([self.LIE], "0.5")
        yield shared
        client.close()

    def test_one_probe_for_the_fleet(self, shared: _SharedAccount) -> None:
        """Of two processes one sends the probe; its good response frees both."""
        assert shared.run([("acquire", "a:", 2, 5)], "30.4")[0][0] == 0
        assert shared.run([("acquire", "a:", 3, 5)], "30.6")[0][0] == 1
        assert shared.run([("acquire", "b:", 1, 5)], "30.7")[0][0] == 0
        shared.run([("observe", "a:3", 30.6, *self.GOOD)], "31")
        assert shared.run([("acquire", "b:", 2, 5)], "31.1")[0][0] == 5

    def test_a_process_that_dies_with_the_probe_delays_the_next_one_by_a_minute(self, shared: _SharedAccount) -> None:
        """The probe is never answered."""
        assert shared.run([("acquire", "a:", 2, 1)], "31")[0][0] == 1
        assert shared.run([("acquire", "b:", 1, 1)], "90.9")[0][0] == 0
        assert shared.run([("acquire", "b:", 2, 1)], "91")[0][0] == 1

    def test_a_block_outlives_a_restart_of_the_programs_and_can_be_lifted(self, shared: _SharedAccount) -> None:
        """A new process finds it, and a reset in any process ends it."""
        assert shared.run([("acquire", "new:", 1, 1)], "10")[0][0] == 0
        assert shared._client.ttl(shared._keys[0]) > DAY - 100  # type: ignore[attr-defined]
        shared.run([("reset",)], "11")
        assert shared.run([("acquire", "new:", 2, 5)], "12")[0][0] == 1

    @pytest.mark.parametrize(
        "garbage",
        [
            {"blocked": "1e99"},
            {"blocked": "nan"},
            {"blocked": "soon"},
            {"blocked": ""},
            {"limit": "-5", "remaining": "-7"},
            {"limit": "5", "remaining": "6"},
            {"limit": "5", "others": "1e9"},
            {"sampled": "0.5"},
            {"length": "1e-9"},
            {"reset": "99999999999"},
            {"reset": "5", "ends_at": "1e14"},
            {"ends_at": "-3"},
            {"low": "9", "high": "3"},
            {"floor": "999999999999"},
            {"off": "7"},
            {"paused": "1e15"},
        ],
    )
    def test_what_makes_no_sense_is_ignored(self, shared: _SharedAccount, garbage: dict[str, str]) -> None:
        """The account starts again; unknown fields do no harm."""
        client: Any = shared._client
        client.delete(*shared._keys)
        client.hset(shared._keys[0], mapping={"stranger": "\xff", **garbage})
        assert shared.run([("acquire", "a:", 9, 5)], "1000")[0][0] == 1
        shared.run([("observe", "a:9", 1000, 200, 50, 49, EPOCH + 30, EPOCH, "")], "1000.1")
        assert shared.run([("acquire", "a:", 10, 5)], "1000.2")[0][0] == 5

    def test_keys_of_another_type_and_charges_of_another_time_are_dropped(self, shared: _SharedAccount) -> None:
        """Text, lists and scores far in the future do not stop the processes; every key expires."""
        client: Any = shared._client
        client.delete(*shared._keys)
        client.set(shared._keys[0], "text")
        client.rpush(shared._keys[1], "list")
        client.zadd(shared._keys[2], {f"x{number}": 1e14 for number in range(100)})
        client.sadd(shared._keys[3], "set")
        assert shared.run([("acquire", "a:", 9, 5)], "1000")[0][0] == 1
        shared.run([("observe", "a:9", 1000, 200, 50, 49, EPOCH + 30, EPOCH, "")], "1000.1")
        assert shared.run([("acquire", "a:", 10, 5)], "1000.2")[0][0] == 5
        assert all(client.ttl(key) > 0 for key in shared._keys if client.exists(key))

    def test_a_clock_of_redis_that_was_set_back_does_not_delay_probes(self, shared: _SharedAccount) -> None:
        """Times in the future count from now."""
        shared.run([("acquire", "a:", 2, 1)], "40")
        assert shared.run([("acquire", "a:", 3, 1)], "-100")[0][0] == 0
        assert shared.run([("acquire", "a:", 4, 1)], "-39")[0][0] == 1

    def test_a_reset_reaches_redis(self, server: RedisServer) -> None:
        """Another process goes at once, and the limiter resets all accounts of its Redis."""
        limiter = RedisLimiter(server.url)
        account, other = limiter.account("reset"), process(server, digest("reset"))
        for reset in (account.reset, limiter.reset_rate_limit):
            account.observe(account.acquire(max_wait=65.0), 429, used_up(3600))
            account.flush(5.0)
            with pytest.raises(WaitTooLong):
                other.acquire(max_wait=1.0)
            reset()
            account.flush(5.0)
            assert account.rate_limit is None
            ticket = other.acquire(max_wait=1.0)
            assert ticket.waited < 1.0
            other.cancel(ticket)
            other.flush(5.0)
        RedisLimiter("redis://localhost:1/0").reset_rate_limit()

    def test_a_reset_while_redis_is_unavailable_is_sent_when_it_is_back(self, server: RedisServer) -> None:
        """This process forgets at once, Redis when it is available again."""
        account, other = process(server, "reset later"), process(server, "reset later")
        account.observe(account.acquire(max_wait=65.0), 429, used_up(3600))
        account.flush(5.0)
        with account._lock:
            account._outbox.clear()
            account._must_reset = True
        account._introduce().close()
        assert not account._must_reset
        assert other.acquire(max_wait=1.0).waited < 1.0


def run_all(works: list[Callable[[], object]]) -> None:
    """Run each function in its thread, and wait for all."""
    workers = [threading.Thread(target=work) for work in works]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


class TestLimiter:
    def test_one_account_for_a_key(self) -> None:
        """Per process and Redis."""
        url = "redis://localhost:1/0"
        assert RedisLimiter(url).account("a") is RedisLimiter(url).account("a")
        assert RedisLimiter(url).account("a") is not RedisLimiter("redis://localhost:2/0").account("a")

    def test_it_pickles_and_does_not_show_its_password(self) -> None:
        """A client's settings travel to other processes and into logs."""
        limiter = pickle.loads(pickle.dumps(RedisLimiter("redis://user:hunter2@localhost:6379/3")))
        assert repr(limiter) == "RedisLimiter('redis://localhost:6379/3')"
        assert limiter._url == "redis://user:hunter2@localhost:6379/3"

    def test_a_wrong_url_is_an_error_at_once(self) -> None:
        """Before any call, and without the URL, which may contain a password."""
        with pytest.raises(ConfigurationError, match="RedisLimiter cannot use its URL"):
            RedisLimiter("http://localhost")
        with pytest.raises(ConfigurationError, match="takes the URL of a Redis as text, not int"):
            RedisLimiter(6379)  # type: ignore[arg-type]

    def test_the_missing_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what to install."""
        monkeypatch.setitem(sys.modules, "redis", None)
        with pytest.raises(ConfigurationError, match=r"enprompta\[redis\]"):
            RedisLimiter("redis://localhost")

    def test_it_is_imported_when_asked_for(self) -> None:
        """A program that paces locally does not import it."""
        import enprompta.limiters

        assert enprompta.limiters.RedisLimiter is RedisLimiter
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            enprompta.limiters.Nothing  # noqa: B018
