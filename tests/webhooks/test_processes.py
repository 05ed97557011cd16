"""Claims hold between processes: through a SQLite file, through Redis, over forks and kills.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 8 processes and 1,000 events.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enprompta.webhooks import ClaimState, Deduplicator, RedisStore, SQLiteStore, Store

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES, EVENTS = (8, 1_000) if os.environ.get("ENPROMPTA_LONG_TESTS") else (3, 100)


def handle_once(deduplicator: Deduplicator, event: str, rng: random.Random, log: Path) -> ClaimState:
    """Handle an event if it can be claimed, failing once in ten times; a handled event is a line in the log."""
    with deduplicator.claim(event) as claim:
        if claim.is_mine:
            if rng.random() < 0.1:
                raise ValueError
            with log.open("a") as lines:
                lines.write(f"{event}\n")
        return claim.state


def receive_all(make: Callable[[], Store], events: int, log: Path, seed: int) -> None:
    """Take every event five times in random order, as one of several processes.

    An event that is not accepted, because it failed or is being handled elsewhere, is delivered again.
    """
    rng = random.Random(seed)
    deduplicator = Deduplicator(make())
    pending = [str(number) for number in range(events)] * 5
    rng.shuffle(pending)
    while pending:
        event = pending.pop()
        state = ClaimState.BUSY
        with suppress(ValueError):
            state = handle_once(deduplicator, event, rng, log)
        if state is ClaimState.BUSY:
            pending.insert(0, event)


def exactly_once(make: Callable[[], Store], log: Path) -> None:
    """Run `receive_all` in several processes and check the log."""
    context = multiprocessing.get_context("spawn")
    # The count is an argument, because the processes do not inherit the settings of the tests.
    processes = [context.Process(target=receive_all, args=(make, EVENTS, log, seed)) for seed in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert Counter(log.read_text().split()) == {str(number): 1 for number in range(EVENTS)}


def test_processes_handle_each_event_once_through_sqlite(tmp_path: Path) -> None:
    """Several processes that get the same events five times each handle every event exactly once."""
    exactly_once(partial(SQLiteStore, tmp_path / "events.db"), tmp_path / "handled.log")


FORKING = """
import os, sys
from enprompta.webhooks import ClaimState, SQLiteStore

store = SQLiteStore(sys.argv[1])
assert store.claim("parent", "p", 60) is ClaimState.NEW
children = []
for number in range(3):
    child = os.fork()
    if not child:
        states = [store.claim("parent", "c", 60), store.claim(f"child {number}", "c", 60)]
        store.close()
        os._exit(states != [ClaimState.BUSY, ClaimState.NEW])
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
assert store.complete("parent", "p")
assert store.claim("child 1", "p", 60) is ClaimState.BUSY
store.close()
"""


def test_a_sqlite_store_survives_a_fork(tmp_path: Path) -> None:
    """A store can be used before a server forks: parent and children share the claims, not a connection."""
    command = [sys.executable, "-W", "error", "-c", FORKING, str(tmp_path / "events.db")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=True)


def test_processes_handle_each_event_once_through_redis(redis_url: str, tmp_path: Path) -> None:
    """Several processes that get the same events five times each handle every event exactly once."""
    exactly_once(partial(RedisStore, redis_url), tmp_path / "handled.log")


def die_while_handling(path: Path) -> None:
    """Claim an event and be killed in the middle of handling it."""
    with Deduplicator(SQLiteStore(path), lease=60).claim("e") as claim:
        assert claim.is_mine
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_event_whose_process_was_killed_is_handled(tmp_path: Path) -> None:
    """If a process is killed with SIGKILL while it handles an event, the event can be claimed after the lease."""
    path = tmp_path / "events.db"
    process = multiprocessing.get_context("spawn").Process(target=die_while_handling, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with closing(SQLiteStore(path)) as store, Deduplicator(store).claim("e") as claim:
        assert claim.state is ClaimState.BUSY
    later = time.time() + 61
    with closing(SQLiteStore(path, clock=lambda: later)) as store:
        with Deduplicator(store).claim("e") as claim:
            assert claim.is_mine
        assert not Deduplicator(store).begin("e").is_mine
