"""Threads, asyncio and trio that wait at one account."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from enprompta.limiters import LocalLimiter, blocks, pacer
from enprompta.limiters.local import AccountRegistry, LocalAccount
from enprompta.limiters.pacer import Pacer
from enprompta.limiters.sleepers import DeadlineReached, WaitTooLong, async_sleeper
from tests.limiters.wire import LIES, AsyncioClient, BlockingClient, Report, Rules, StrictServer, TrioClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.limiters.wait_queue import Reservation


def budget(remaining: int, *, limit: int = 50, reset_in: float = 30.0, **more: str) -> dict[str, str]:
    """Return the headers of a response."""
    return {
        "Date": formatdate(time.time(), usegmt=True),
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(time.time() + reset_in)),
    } | {name.replace("_", "-"): value for name, value in more.items()}


@pytest.fixture
def account() -> LocalAccount:
    """Return an account that has learned nothing."""
    return LocalAccount()


@pytest.fixture
def empty() -> LocalAccount:
    """Return an account whose window is exhausted for half a minute."""
    account = LocalAccount()
    account.observe(account.acquire(max_wait=65.0), 200, budget(0))
    return account


def run(library: str, function: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function in a library's event loop."""

    async def main() -> Any:
        return await function()

    return trio.run(main) if library == "trio" else asyncio.run(main())


LIBRARIES = pytest.mark.parametrize("library", ["asyncio", "trio"])


class TestAccounts:
    def test_all_limiters_share_the_account_of_a_key(self) -> None:
        """Two clients with one credential share a budget; other credentials have their own."""
        assert LocalLimiter().account("a") is LocalLimiter().account("a")
        assert LocalLimiter().account("a") is not LocalLimiter().account("b")

    def test_the_secret_is_not_kept(self) -> None:
        """Neither the account nor the list of accounts holds the key."""
        limiter = LocalLimiter()
        account = limiter.account("https://enprompta.com ep_secret")
        held = [repr(each) for each in gc.get_referrers(account)]
        assert "ep_secret" not in f"{limiter!r} {account!r} {vars(account)} {held}"

    def test_unused_accounts_are_dropped(self) -> None:
        """A program with thousands of keys does not grow; the last ones used are kept for the next client."""
        accounts: AccountRegistry[LocalAccount] = AccountRegistry()
        held = accounts.get("held", LocalAccount)
        for number in range(1000):
            accounts.get(str(number), LocalAccount)
        gc.collect()
        assert len(accounts._accounts) == accounts._KEPT + 1
        assert accounts.get("held", LocalAccount) is held

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
    def test_a_child_starts_afresh_after_a_fork(self) -> None:
        """A child ignores locks and requests of the parent's threads."""
        program = """
            import os, threading
            from enprompta.limiters import LocalLimiter, blocks, pacer
            account = LocalLimiter().account("key")
            first = account.acquire(max_wait=65.0)
            account._lock.acquire()
            child = os.fork()
            if child == 0:
                assert account.acquire(max_wait=65.0).number == 1
                assert LocalLimiter().account("key") is account
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=20)

    def test_what_a_fork_does_to_accounts(self) -> None:
        """Every account of the process is emptied in place and stays usable."""
        accounts: AccountRegistry[LocalAccount] = AccountRegistry()
        account = accounts.get("key", LocalAccount)
        account.observe(account.acquire(max_wait=65.0), 200, budget(7))
        accounts._renew()
        assert account.rate_limit is None
        assert accounts.get("key", LocalAccount) is account

    def test_the_account_reports_the_budget(self, account: LocalAccount) -> None:
        """As the server last reported it, in UTC."""
        assert account.rate_limit is None
        account.observe(account.acquire(max_wait=65.0), 200, budget(7))
        limit = account.rate_limit
        assert limit is not None
        assert (limit.limit, limit.remaining) == (50, 7)
        assert 0 < limit.reset_at.timestamp() - time.time() <= 30
        assert limit.reset_at.utcoffset() is not None

    def test_a_reset_releases_waiting_calls(self, account: LocalAccount) -> None:
        """A block is lifted at once, from any thread, for every limiter of the process."""
        limiter = LocalLimiter()
        for reset in (lambda: limiter.account("reset").reset(), limiter.reset_rate_limit):
            account = limiter.account("reset")
            account.observe(account.acquire(max_wait=65.0), 429, budget(0, reset_in=3600))
            threading.Timer(0.1, reset).start()
            assert 0.05 < account.acquire(max_wait=65.0).waited < 5
            assert account.rate_limit is None
            account.reset()

    def test_the_moment_of_an_answer_can_be_given(self, account: LocalAccount) -> None:
        """A transport can pass the time at which the response came."""
        ticket = account.acquire(max_wait=65.0)
        account.observe(ticket, 200, budget(7), now=time.monotonic())
        assert account.rate_limit is not None


class TestWaiting:
    def test_max_wait_is_refused_at_once(self, empty: LocalAccount) -> None:
        """The error carries the wait that was needed."""
        before = time.monotonic()
        with pytest.raises(WaitTooLong, match="exhausted for another") as caught:
            empty.acquire(max_wait=5.0)
        assert time.monotonic() - before < 0.5
        assert 25 < caught.value.wait < 32
        assert caught.value.waited < 0.5
        assert caught.value.rate_limit is not None

    def test_a_429_with_a_long_wait_refuses_queued_calls(self, account: LocalAccount) -> None:
        """A refusal that comes during the wait reaches every queued call."""
        first = account.acquire(max_wait=65.0)
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                account.acquire(max_wait=20.0)
            except WaitTooLong as error:
                caught.append(error)

        threads = [threading.Thread(target=wait) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(account._pacer.queue) == 5)
        account.observe(first, 429, budget(0, reset_in=3600))
        for thread in threads:
            thread.join(5)
        assert len(caught) == 5

    def test_a_deadline_ends_a_threads_wait(self, empty: LocalAccount) -> None:
        """On time, and its place in the queue is free."""
        before = time.monotonic()
        with pytest.raises(DeadlineReached, match="the deadline passed") as caught:
            empty.acquire(max_wait=65.0, deadline=before + 0.2)
        assert 0.2 <= time.monotonic() - before < 0.7
        assert 0.1 < caught.value.waited < 0.7
        assert len(empty._pacer.queue) == 0

    @LIBRARIES
    def test_a_deadline_ends_a_tasks_wait(self, empty: LocalAccount, library: str) -> None:
        """In asyncio and in trio."""

        async def main() -> None:
            before = time.monotonic()
            with pytest.raises(DeadlineReached):
                await empty.acquire_async(max_wait=65.0, deadline=before + 0.2)
            assert 0.2 <= time.monotonic() - before < 0.7
            assert len(empty._pacer.queue) == 0

        run(library, main)

    @LIBRARIES
    def test_a_task_that_is_cancelled_gives_its_place_back(self, account: LocalAccount, library: str) -> None:
        """The next call in the queue gets it."""

        async def main() -> None:
            first = await account.acquire_async(max_wait=65.0)
            order: list[str] = []

            async def call(name: str) -> None:
                await account.acquire_async(max_wait=65.0)
                order.append(name)

            if library == "trio":
                async with trio.open_nursery() as nursery:
                    scope = trio.CancelScope()

                    async def cancelled() -> None:
                        with scope:
                            await call("cancelled")

                    nursery.start_soon(cancelled)
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(call, "next")
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
                    await trio.testing.wait_all_tasks_blocked()
                    account.cancel(first)
            else:
                tasks = [asyncio.create_task(call(name)) for name in ("cancelled", "next")]
                await asyncio.sleep(0)
                tasks[0].cancel()
                await asyncio.sleep(0)
                account.cancel(first)
                await tasks[1]
            assert order == ["next"]

        run(library, main)

    def test_a_task_cancelled_in_the_moment_of_its_grant_gives_it_back(self, account: LocalAccount) -> None:
        """A grant that is not used goes to the next call."""

        async def main() -> None:
            first = await account.acquire_async(max_wait=65.0)
            tasks = [asyncio.create_task(account.acquire_async(max_wait=65.0)) for _ in range(2)]
            await asyncio.sleep(0)
            account.cancel(first)
            tasks[0].cancel()
            assert (await tasks[1]).state == "granted"
            assert tasks[0].cancelled()

        asyncio.run(main())

    @pytest.mark.skipif(sys.platform == "win32", reason="signals work otherwise")
    def test_an_interrupt_gives_a_threads_place_back(self, empty: LocalAccount) -> None:
        """Ctrl-C during a wait leaves nothing behind."""
        threading.Timer(0.2, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            empty.acquire(max_wait=65.0)
        assert len(empty._pacer.queue) == 0

    def test_a_closed_event_loop_does_not_block_the_queue(self, account: LocalAccount) -> None:
        """Grants of its tasks go to the calls behind them, at any place in the queue."""
        first = account.acquire(max_wait=65.0)
        loop = asyncio.new_event_loop()

        async def desert() -> list[Any]:
            tasks = [asyncio.ensure_future(account.acquire_async(max_wait=65.0)) for _ in range(2)]
            await asyncio.sleep(0)
            return tasks

        deserted = loop.run_until_complete(desert())
        loop.close()
        got: list[Reservation] = []
        waiter = threading.Thread(target=lambda: got.append(account.acquire(max_wait=65.0)))
        waiter.start()
        wait_for(lambda: len(account._pacer.queue) <= 3 and waiter.is_alive())
        time.sleep(0.1)
        account.cancel(first)
        waiter.join(5)
        assert [ticket.state for ticket in got] == ["granted"]
        for task in deserted:
            task._log_destroy_pending = False
            task.get_coro().close()

    def test_the_first_waiter_of_a_closed_event_loop_is_replaced(self, account: LocalAccount) -> None:
        """Another waiter that can still run keeps the time."""
        account.observe(account.acquire(max_wait=65.0), 429, {"Retry-After": "0.3"})
        loop = asyncio.new_event_loop()
        coroutine = account.acquire_async(max_wait=65.0)

        async def desert() -> None:
            task = asyncio.ensure_future(coroutine)
            await asyncio.sleep(0)
            task._log_destroy_pending = False  # type: ignore[attr-defined]

        loop.run_until_complete(desert())
        loop.close()
        account._timer = None, 0.0
        assert account.acquire(max_wait=65.0).waited < 1
        account._pacer.queue.__init__()  # type: ignore[misc]
        coroutine.close()

    def test_without_asyncio_a_task_is_one_of_trio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that never imports asyncio does not have to."""

        async def main() -> str:
            monkeypatch.delitem(sys.modules, "asyncio")
            return type(async_sleeper()).__name__

        assert trio.run(main) == "_TrioSleeper"
        monkeypatch.undo()

    def test_a_trio_run_that_ended_cannot_be_woken(self) -> None:
        """Its sleeper returns False."""

        async def main() -> Any:
            return async_sleeper()

        assert trio.run(main).wake() is False

    def test_a_loop_of_another_thread_that_closed_cannot_be_woken(self) -> None:
        """Its sleeper returns False, from any thread."""
        sleepers: list[Any] = []

        async def main() -> None:
            sleepers.append(async_sleeper())

        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        thread.join()
        assert sleepers[0].wake() is False

    def test_outside_of_a_task_there_is_nothing_to_wait_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what is needed."""
        monkeypatch.delitem(sys.modules, "trio")
        with pytest.raises(RuntimeError, match="asyncio or trio"):
            async_sleeper()

    def test_a_stopped_event_loop_delays_the_queue_by_a_second(self, account: LocalAccount) -> None:
        """A head whose event loop is stopped but not closed costs a second, not the whole wait."""
        account.observe(account.acquire(max_wait=65.0), 429, {"Retry-After": "0.3"})
        account._pacer.reserve(None, 65.0, time.monotonic())  # without a sleeper
        started = time.monotonic()
        with pytest.raises(DeadlineReached):  # the head gets the one chance there is
            account.acquire(max_wait=65.0, deadline=started + 1.8)
        assert len(account._pacer.queue) == 0

    def test_time_in_the_queue_is_reported(self, account: LocalAccount) -> None:
        """Hooks and errors can report the time spent in the queue."""
        first = account.acquire(max_wait=65.0)
        assert first.waited == 0.0
        threading.Timer(0.2, lambda: account.cancel(first)).start()
        assert 0.1 < account.acquire(max_wait=65.0).waited < 1

    def test_a_call_with_room_does_not_suspend(self, account: LocalAccount) -> None:
        """The fast path does not yield to the event loop."""
        account.observe(account.acquire(max_wait=65.0), 200, budget(40))
        coroutine = account.acquire_async(max_wait=65.0)
        with pytest.raises(StopIteration) as finished:
            coroutine.send(None)
        assert finished.value.value.state == "granted"

    def test_a_failed_request_wakes_the_next(self, account: LocalAccount) -> None:
        """At the start, when requests go one at a time."""
        first = account.acquire(max_wait=65.0)
        threading.Timer(0.1, lambda: account.failed(first)).start()
        assert account.acquire(max_wait=65.0).waited < 1

    def test_first_come_first_served_across_libraries(self, account: LocalAccount) -> None:
        """Threads, asyncio and trio share one queue."""
        first = account.acquire(max_wait=65.0)
        order: list[int] = []

        def thread(number: int) -> None:
            take(number, account.acquire(max_wait=65.0))

        async def task(number: int) -> None:
            take(number, await account.acquire_async(max_wait=65.0))

        def take(number: int, ticket: Reservation) -> None:
            order.append(number)
            account.cancel(ticket)

        def join(number: int) -> threading.Thread:
            target: Callable[[], object] = (
                lambda: thread(number),
                lambda: asyncio.run(task(number)),
                lambda: trio.run(task, number),
            )[number % 3]
            worker = threading.Thread(target=target)
            worker.start()
            wait_for(lambda: len(account._pacer.queue) == number + 1)
            return worker

        workers = [join(number) for number in range(12)]
        account.cancel(first)
        for worker in workers:
            worker.join(5)
        assert order == list(range(12))

    def test_pacing_costs_little(self) -> None:
        """A call that does not wait costs some microseconds; ten times 10 allows for a debugger's tracing."""
        account = LocalAccount()
        headers = [(name.encode(), value.encode()) for name, value in budget(10**9 - 1, limit=10**9).items()]
        best = 1.0
        for _ in range(20):
            started = time.thread_time()
            for _ in range(200):
                account.observe(account.acquire(max_wait=65.0), 200, headers)
            best = min(best, (time.thread_time() - started) / 200)
        assert best < 100e-6


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition of another thread holds."""
    for _ in range(5000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it never came so far")


class TestStrictServer:
    """Windows of one second, the hardest case because `Date` has whole seconds."""

    @pytest.mark.parametrize(
        ("library", "skew", "jitter"), [("asyncio", 300.4, 0.0), ("asyncio", -299.7, 0.02), ("trio", 0.0, 0.0)]
    )
    def test_tasks_use_each_window_and_never_exceed_it(self, library: str, skew: float, jitter: float) -> None:
        """All calls at once, each in a task: no 429, and every window is used once the clock is known."""
        report = Report()
        with StrictServer(Rules(skew=skew, jitter=jitter)) as server:
            kind = TrioClient if library == "trio" else AsyncioClient
            run(library, lambda: kind(LocalAccount(), server.port, report).in_tasks(200))
        assert (report.ok, report.answered_429, server.tally.refused) == (200, 0, 0)
        assert max(server.use) == 1.0

    def test_threads_use_each_window_and_never_exceed_it(self) -> None:
        """The same in threads."""
        report = Report()
        with StrictServer(Rules()) as server:
            BlockingClient(LocalAccount(), server.port, report).in_threads(50, 200)
        assert (report.ok, report.answered_429, server.tally.refused) == (200, 0, 0)
        assert max(server.use) == 1.0

    def test_threads_asyncio_and_trio_share_an_account(self) -> None:
        """Three kinds of waiters share one budget."""
        account = LocalAccount()
        reports = [Report(), Report(), Report()]
        with StrictServer(Rules()) as server:
            port = server.port
            works: list[Callable[[], object]] = [
                lambda: BlockingClient(account, port, reports[0]).in_threads(20, 80),
                lambda: asyncio.run(AsyncioClient(account, port, reports[1]).in_tasks(80)),
                lambda: trio.run(TrioClient(account, port, reports[2]).in_tasks, 80),
            ]
            workers = [threading.Thread(target=work) for work in works]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        assert [(report.ok, report.answered_429) for report in reports] == [(80, 0)] * 3
        assert server.tally.refused == 0


@pytest.mark.parametrize("kind", ["asyncio", "trio", "threads"])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_to_the_first_of_many_calls(monkeypatch: pytest.MonkeyPatch, kind: str, lie: str) -> None:
    """Of two hundred calls at once the first gets a false refusal: all are served once a probe has refuted it."""
    monkeypatch.setattr(blocks, "LONG", 0.4)
    monkeypatch.setattr(blocks, "PAUSE", 0.4)
    monkeypatch.setattr(pacer, "LONG", 0.4)
    report, account = Report(), LocalAccount()
    with StrictServer(Rules(limit=200, lie=lie)) as server:
        started = time.monotonic()
        if kind == "threads":
            BlockingClient(account, server.port, report).in_threads(50, 200)
        else:
            client = TrioClient if kind == "trio" else AsyncioClient
            run(kind, lambda: client(account, server.port, report).in_tasks(200))
        assert time.monotonic() - started < 10
    assert report.ok == 200
    assert report.answered_429 <= 1
    assert server.tally.refused == 0


def test_a_pacer_is_made_of_slots() -> None:
    """A misspelled attribute fails instead of silently disabling a rule."""
    assert not hasattr(Pacer(), "__dict__")
