"""Claims hold between processes: through a SQLite file, through Redis, over forks and kills.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 8 processes and 1,000 events.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from enprompta.errors import ConfigurationError
from enprompta.webhooks import ClaimState, Deduplicator, RedisStore, SQLiteStore, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSES, EVENTS = (8, 1_000) if os.environ.get("ENPROMPTA_LONG_TESTS") else (3, 100)
REDIS_SERVER = shutil.which("redis-server")


def handle_once(deduplicator: Deduplicator, event: str, rng: random.Random, log: Path) -> ClaimState:
    """Handle an event if it can be claimed, which fails once in ten; a handled event is a line in the log."""
    with deduplicator.claim(event) as claim:
        if claim.is_mine:
            if rng.random() < 0.1:
                raise ValueError
            with log.open("a") as lines:
                lines.write(f"{event}\n")
        return claim.state


def receive_all(make: Callable[[], Store], events: int, log: Path, seed: int) -> None:
    """Take every event five times in random order, as one of several processes.

    What is not accepted, because it failed or is being handled elsewhere, comes again, as from the service.
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
    # How many is told, for a process of its own is given no setting of the tests.
    processes = [context.Process(target=receive_all, args=(make, EVENTS, log, seed)) for seed in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert Counter(log.read_text().split()) == {str(number): 1 for number in range(EVENTS)}


def test_processes_handle_each_event_once_through_sqlite(tmp_path: Path) -> None:
    """Several processes, given the same events five times each, handle every event exactly once."""
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
    """A store may be used before a server forks: parent and children share the claims, not a connection."""
    command = [sys.executable, "-W", "error", "-c", FORKING, str(tmp_path / "events.db")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=True)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis of our own, without persistence."""
    pytest.importorskip("redis", reason="redis-py is not installed")
    if REDIS_SERVER is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen([REDIS_SERVER, *options], stdout=subprocess.DEVNULL) as server:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


def test_redis_keeps_claims(redis_url: str) -> None:
    """A RedisStore goes through the same states as the others, whatever its client decodes."""
    import redis

    for decode in (False, True):
        with redis.Redis.from_url(redis_url, decode_responses=decode) as client:
            store = RedisStore(client, prefix=f"test:{decode}:")
            assert store.claim("e", "a", 60) is ClaimState.NEW
            assert 0 < client.pttl(f"test:{decode}:e") <= 60_000
            assert store.claim("e", "b", 60) is ClaimState.BUSY
            assert not store.release("e", "b")
            assert store.release("e", "a")
            assert store.claim("e", "b", 60) is ClaimState.NEW
            assert not store.complete("e", "a")
            assert store.complete("e", "b")
            assert store.claim("e", "c", 60) is ClaimState.DONE
            assert 60_000 < client.pttl(f"test:{decode}:e") <= 7 * 86_400_000


def test_redis_leases_end(redis_url: str) -> None:
    """A claim in Redis is void when its lease has ended, and then its first holder can end nothing."""
    import redis

    with redis.Redis.from_url(redis_url) as client:
        store = RedisStore(client, prefix="lease:")
        assert store.claim("e", "a", 60) is ClaimState.NEW
        client.delete("lease:e")  # what the server does by itself after 60 seconds
        assert store.claim("e", "b", 60) is ClaimState.NEW
        assert not store.complete("e", "a")
        assert not store.release("e", "a")
        assert store.claim("f", "a", 0.001) is ClaimState.NEW
        assert 0 < client.pttl("lease:e") <= 60_000


def test_processes_handle_each_event_once_through_redis(redis_url: str, tmp_path: Path) -> None:
    """Several processes, given the same events five times each, handle every event exactly once."""
    exactly_once(partial(RedisStore, redis_url), tmp_path / "handled.log")


def test_redis_is_reached_when_it_is_used() -> None:
    """A RedisStore from a URL connects with its first claim, so that it can be made before Redis is up."""
    redis = pytest.importorskip("redis", reason="redis-py is not installed")
    with socket.socket() as closed:  # bound and not listening: whoever connects is refused
        closed.bind(("127.0.0.1", 0))
        store = RedisStore(f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        with pytest.raises(redis.ConnectionError):
            store.claim("e", "t", 60)


def test_redis_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py, a RedisStore from a URL says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'enprompta\[redis\]'"):
        RedisStore("redis://localhost")


def die_while_handling(path: Path) -> None:
    """Claim an event and be killed in the middle of handling it."""
    with Deduplicator(SQLiteStore(path), lease=60).claim("e") as claim:
        assert claim.is_mine
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_event_whose_process_was_killed_is_handled(tmp_path: Path) -> None:
    """A process killed with SIGKILL while it handles an event loses nothing: after the lease it can be claimed."""
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
