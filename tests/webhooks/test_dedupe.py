"""One of any number of concurrent claims on an event is granted; after a failure the event can be claimed again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from enprompta.webhooks import Claim, ClaimState, Deduplicator, MemoryStore, SQLiteStore, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Provide a stopped clock."""
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Store]:
    """Provide each store that accepts a clock, with a TTL of 1,000 seconds."""
    if request.param == "memory":
        yield MemoryStore(ttl=1_000, clock=clock)
        return
    with closing(SQLiteStore(tmp_path / "events.db", ttl=1_000, clock=clock)) as sqlite:
        yield sqlite


def test_a_key_goes_from_new_to_busy_to_done(store: Store) -> None:
    """One caller gets a key; the others see whether it is being handled or done."""
    assert store.claim("e", "a", 60) is ClaimState.NEW
    assert store.claim("e", "b", 60) is ClaimState.BUSY
    assert store.claim("other", "b", 60) is ClaimState.NEW
    assert store.complete("e", "a")
    assert store.claim("e", "b", 60) is ClaimState.DONE
    assert not store.complete("e", "a")
    assert not store.release("e", "a")


def test_a_key_that_is_given_back_is_new(store: Store) -> None:
    """After a failure the next caller gets the key."""
    assert store.claim("e", "a", 60) is ClaimState.NEW
    assert not store.release("e", "b")
    assert store.release("e", "a")
    assert store.claim("e", "b", 60) is ClaimState.NEW


def test_a_lease_ends(store: Store, clock: Clock) -> None:
    """After its lease a key can be taken over, and its first holder can no longer end it."""
    store.claim("e", "a", 60)
    clock.now += 59
    assert store.claim("e", "b", 60) is ClaimState.BUSY
    clock.now += 1
    assert store.claim("e", "b", 60) is ClaimState.NEW
    assert not store.complete("e", "a")
    assert not store.release("e", "a")
    assert store.complete("e", "b")


def test_a_late_holder_may_still_finish(store: Store, clock: Clock) -> None:
    """A late holder can finish its key if no other caller has taken it over."""
    store.claim("e", "a", 60)
    clock.now += 100
    assert store.complete("e", "a")
    assert store.claim("e", "b", 60) is ClaimState.DONE


def test_what_is_done_is_forgotten_in_the_end(store: Store, clock: Clock) -> None:
    """A finished key is remembered for `ttl` seconds."""
    store.claim("e", "a", 60)
    store.complete("e", "a")
    clock.now += 999
    assert store.claim("e", "b", 60) is ClaimState.DONE
    clock.now += 1
    assert store.claim("e", "b", 60) is ClaimState.NEW


def test_memory_forgets_the_least_recently_seen() -> None:
    """A MemoryStore keeps a limited number of finished events and evicts the least recently seen."""
    store = MemoryStore(max_events=2)
    for key in ("1", "2"):
        store.claim(key, "t", 60)
        store.complete(key, "t")
    assert store.claim("1", "u", 60) is ClaimState.DONE
    store.claim("3", "t", 60)
    store.complete("3", "t")
    assert store.claim("1", "u", 60) is ClaimState.DONE
    assert store.claim("2", "u", 60) is ClaimState.NEW


def test_sqlite_sweeps_what_is_over(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished events are deleted from the file after their TTL, so that it does not grow forever."""
    monkeypatch.setattr(SQLiteStore, "_PURGE_EVERY", 10)
    path = tmp_path / "events.db"
    with closing(SQLiteStore(path, ttl=5, clock=clock)) as store:
        for number in range(100):
            clock.now += 1
            store.claim(str(number), "t", 60)
            store.complete(str(number), "t")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM claims").fetchone()[0] < 20


def test_sqlite_survives_restarts_and_reopens(tmp_path: Path) -> None:
    """Finished events persist for the next process, and a closed store reopens its file."""
    path = tmp_path / "events.db"
    store = SQLiteStore(path)
    store.close()
    store.claim("e", "a", 60)
    store.complete("e", "a")
    store.close()
    store.close()
    assert store.claim("e", "b", 60) is ClaimState.DONE
    store.close()
    with closing(SQLiteStore(str(path))) as again:
        assert again.claim("e", "b", 60) is ClaimState.DONE


def test_sqlite_claim_given_back_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a claim disappears during the check, the key counts as busy, and the event is delivered again."""
    with closing(SQLiteStore(tmp_path / "events.db")) as store:
        store.claim("e", "a", 60)
        execute = store._execute

        def vanish(statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
            if statement.startswith("SELECT"):
                execute("DELETE FROM claims", ())
            return execute(statement, values)

        monkeypatch.setattr(store, "_execute", vanish)
        assert store.claim("e", "b", 60) is ClaimState.BUSY


def test_a_block_that_ends_has_handled_the_event(store: Store) -> None:
    """A `with` block finishes its claim, and later claims on the event are refused."""
    deduplicator = Deduplicator(store)
    with deduplicator.claim("e") as claim:
        assert claim.is_mine
        with deduplicator.claim("e") as other:
            assert (other.is_mine, other.state) == (False, ClaimState.BUSY)
    with deduplicator.claim("e") as other:
        assert (other.is_mine, other.state) == (False, ClaimState.DONE)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_gives_the_event_back(store: Store, failure: type[BaseException]) -> None:
    """After any exception in a handler the event can be claimed again; a block without the claim releases nothing."""
    deduplicator = Deduplicator(store)

    def fail() -> None:
        with deduplicator.claim("e"):
            raise failure

    with deduplicator.claim("e"), pytest.raises(failure):
        fail()
    assert deduplicator.begin("e").state is ClaimState.DONE
    deduplicator = Deduplicator(MemoryStore())
    for _ in range(2):
        with pytest.raises(failure):
            fail()
    assert deduplicator.begin("e").is_mine


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_claims(store: Store, backend: str) -> None:
    """`aclaim` does what `claim` does, on asyncio and trio."""
    deduplicator = Deduplicator(store)

    async def handle(states: list[ClaimState], *, failing: bool) -> None:
        async with deduplicator.aclaim("e") as claim:
            states.append(claim.state)
            with suppress(ValueError):
                async with deduplicator.aclaim("e") as other:
                    states.append(other.state)
                    raise ValueError  # must not release a claim of another block
            if failing:
                raise ValueError

    async def scenario() -> list[ClaimState]:
        states: list[ClaimState] = []
        with suppress(ValueError):
            await handle(states, failing=True)
        await handle(states, failing=False)
        await handle(states, failing=False)
        return states

    new, busy, done = ClaimState.NEW, ClaimState.BUSY, ClaimState.DONE
    assert anyio.run(scenario, backend=backend) == [new, busy, new, busy, done, done]


def test_cancelling_gives_the_event_back() -> None:
    """A cancelled handler has not succeeded: its event can be claimed again."""
    deduplicator = Deduplicator()

    async def scenario() -> bool:
        with anyio.move_on_after(0.01):
            async with deduplicator.aclaim("e"):
                await anyio.sleep_forever()
        return deduplicator.begin("e").is_mine

    assert anyio.run(scenario)


class HangingStore(MemoryStore):
    """A store that hangs in one method until it is released, and then completes the operation."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.asked, self.goes_on = threading.Event(), threading.Event()
        self.done: list[str] = []

    def _hang(self, method: str) -> None:
        if method == self.method:
            self.asked.set()
            assert self.goes_on.wait(30)

    def claim(self, key: str, token: str, lease: float) -> ClaimState:
        """Claim a key, after the release."""
        self._hang("claim")
        state = super().claim(key, token, lease)
        self.done.append("claim")
        return state

    def complete(self, key: str, token: str) -> bool:
        """Mark a key as done, after the release."""
        self._hang("complete")
        held = super().complete(key, token)
        self.done.append("complete")
        return held

    def release(self, key: str, token: str) -> bool:
        """Release a key, after the release."""
        self._hang("release")
        held = super().release(key, token)
        self.done.append("release")
        return held

    def has_done(self, *methods: str) -> bool:
        """Release the store; return True if it then does the expected operation."""
        self.goes_on.set()
        deadline = time.monotonic() + 30
        while len(self.done) < len(methods) and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.done == list(methods)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("method", "last"), [("claim", "release"), ("complete", "complete"), ("release", "release")])
def test_a_store_that_hangs_holds_no_task(backend: str, method: str, last: str) -> None:
    """A task that times out continues; the store completes its operation later, and a late claim is released."""
    store = HangingStore(method)

    async def scenario() -> float:
        with anyio.move_on_after(0.2):
            async with Deduplicator(store).aclaim("e"):
                if method == "release":
                    await anyio.sleep_forever()
        return time.monotonic()

    started = time.monotonic()
    assert anyio.run(scenario, backend=backend) - started < 5
    assert store.asked.is_set()
    assert store.has_done("claim", last)


def test_a_store_that_hangs_holds_no_task_that_asyncio_cancels() -> None:
    """`asyncio.wait_for` and `task.cancel()`, which set no deadline, end a task just as quickly."""
    store = HangingStore("release")

    async def scenario() -> float:
        async def handle() -> None:
            async with Deduplicator(store).aclaim("e"):
                await asyncio.sleep(30)

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle(), 0.2)
        return time.monotonic()

    started = time.monotonic()
    assert asyncio.run(scenario()) - started < 5
    assert store.has_done("claim", "release")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_claim_that_comes_with_the_cancellation_is_given_back(backend: str) -> None:
    """A claim granted at the moment its task is cancelled is released at once, not after its lease."""
    store = HangingStore("claim")
    granted = threading.Event()

    class Watched(Deduplicator):
        def begin(self, event_id: str) -> Claim:
            claim = super().begin(event_id)
            granted.set()
            return claim

    async def scenario() -> None:
        async with anyio.create_task_group() as group:

            async def claim() -> None:
                async with Watched(store).aclaim("e"):
                    raise AssertionError  # the task was cancelled before

            group.start_soon(claim)
            await anyio.to_thread.run_sync(store.asked.wait)
            store.goes_on.set()
            assert granted.wait(30)
            time.sleep(0.05)  # noqa: ASYNC251 (block the event loop, so that the granted claim waits for its task)
            group.cancel_scope.cancel()

    anyio.run(scenario, backend=backend)
    assert store.has_done("claim", "release")


def test_a_cancelled_task_is_not_held_while_a_late_claim_is_given_back() -> None:
    """A task cancelled by asyncio, with no deadline, as its claim is granted does not wait for a store that hangs."""
    store = HangingStore("claim")
    granted = threading.Event()

    class Watched(Deduplicator):
        def begin(self, event_id: str) -> Claim:
            claim = super().begin(event_id)
            store.method = "release"
            store.goes_on.clear()
            granted.set()
            return claim

    async def scenario() -> float:
        async def handle() -> None:
            async with Watched(store).aclaim("e"):
                raise AssertionError  # the task was cancelled before

        task = asyncio.create_task(handle())
        await asyncio.to_thread(store.asked.wait)
        store.goes_on.set()
        assert granted.wait(30)
        time.sleep(0.05)  # noqa: ASYNC251 (as above)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic()

    started = time.monotonic()
    assert asyncio.run(scenario()) - started < 5
    assert store.has_done("claim", "release")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_task_that_has_time_waits_for_its_store(backend: str) -> None:
    """With a slow store the block waits until the operation is done, however long it takes."""
    store = HangingStore("complete")

    async def scenario() -> list[str]:
        async with Deduplicator(store).aclaim("e"):
            threading.Timer(0.4, store.goes_on.set).start()
        return list(store.done)

    assert anyio.run(scenario, backend=backend) == ["claim", "complete"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_claim_ends_when_no_thread_is_free(backend: str) -> None:
    """If every worker thread of the event loop hangs, as when a database is unavailable, a claim is still finished."""
    store = MemoryStore()

    async def scenario() -> None:
        threads = anyio.to_thread.current_default_thread_limiter()
        with anyio.move_on_after(5):
            async with Deduplicator(store).aclaim("e"):
                for number in range(int(threads.total_tokens)):
                    threads.acquire_on_behalf_of_nowait(number)

    anyio.run(scenario, backend=backend)
    assert store.claim("e", "t", 60) is ClaimState.DONE


def test_threads_claim_once(store: Store) -> None:
    """Of many threads that claim the same events at once, one handles each event."""
    deduplicator, handled, start = Deduplicator(store), Counter[str](), threading.Barrier(8)

    def work() -> None:
        start.wait()
        for number in range(50):
            with deduplicator.claim(str(number)) as claim:
                if claim.is_mine:
                    handled[str(number)] += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handled == {str(number): 1 for number in range(50)}


def test_a_forked_store_leaves_its_parents_connection_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the inherited connection is neither used nor closed, and the store opens a new one."""
    store = SQLiteStore(tmp_path / "events.db")
    store.claim("e", "a", 60)
    inherited = store._connection
    assert inherited is not None
    for pid in (-1, -2):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        assert store.claim("e", "b", 60) is ClaimState.BUSY
        own = store._connection
        assert own is not inherited
        assert store.claim("e", "b", 60) is ClaimState.BUSY
        assert store._connection is own
        store.close()
    assert inherited.execute("SELECT count(*) FROM claims").fetchone() == (1,)
    assert store._inherited == [inherited]  # kept, because garbage collection would close it
    inherited.close()
