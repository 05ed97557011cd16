"""The specifics of each store: what it forgets, how long it waits, and what it keeps in its file or in Redis."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.errors import ConfigurationError
from enprompta.webhooks import ClaimState, Deduplicator, MemoryStore, RedisStore, SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Redis:
    """Records its commands; no key is claimed."""

    def __init__(self) -> None:
        """Start without commands."""
        self.asked: list[tuple[Any, ...]] = []

    def set(self, name: str, value: str, *, nx: bool, px: int) -> object:
        """Set a key."""
        self.asked.append((name, value, nx, px))
        return True

    def get(self, name: str) -> object:
        """Return no value."""
        return None

    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> object:
        """Record a script."""
        self.asked.append(keys_and_args)
        return 1


def finish(store: MemoryStore, *keys: str) -> None:
    """Claim some keys in order, and mark them as done."""
    for key in keys:
        assert store.claim(key, "t", 60) is ClaimState.NEW
        assert store.complete(key, "t")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: MemoryStore(ttl=0), "ttl must be greater than 0, not 0"),
        (lambda: MemoryStore(max_events=0), "max_events must be greater than 0, not 0"),
        (lambda: SQLiteStore("x", ttl=-1), "ttl must be greater than 0, not -1"),
        (lambda: RedisStore(Redis(), ttl=float("nan")), "ttl must be greater than 0, not nan"),
        (lambda: Deduplicator(lease=0), "lease must be a positive number of seconds, not 0"),
        (lambda: Deduplicator(lease=float("inf")), "lease must be a positive number of seconds, not inf"),
    ],
)
def test_invalid_numbers_are_refused(make: Callable[[], object], problem: str) -> None:
    """An invalid duration or size is a configuration error that names the argument."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value) == problem


def test_half_a_second_is_a_time() -> None:
    """Durations below a second work."""
    redis = Redis()
    with Deduplicator(RedisStore(redis, ttl=0.5), lease=0.25).claim("e") as claim:
        assert claim.is_mine
    assert [redis.asked[0][3], redis.asked[1][3]] == [250, "500"]


def test_redis_gets_whole_milliseconds() -> None:
    """Redis rejects a time of 0, so the shortest lease there is a millisecond."""
    redis = Redis()
    RedisStore(redis).claim("e", "t", 0.0001)
    assert redis.asked == [("enprompta:webhooks:e", "t", True, 1)]


def test_a_claim_lasts_five_minutes_by_default() -> None:
    """The default lease of a `Deduplicator` is 300 seconds."""
    redis = Redis()
    Deduplicator(RedisStore(redis)).begin("e")
    assert redis.asked[0][3] == 300_000


def test_what_redis_keeps_has_the_same_name_in_every_version() -> None:
    """After an upgrade, claims of the previous version are found: the default prefix is unchanged."""
    redis = Redis()
    store = RedisStore(redis)
    store.claim("e", "t", 60)
    store.complete("e", "t")
    store.release("e", "t")
    assert [asked[0] for asked in redis.asked] == ["enprompta:webhooks:e"] * 3
    assert redis.asked[1] == ("enprompta:webhooks:e", "t", "done", "604800000")


def test_a_redis_that_hangs_is_given_five_seconds() -> None:
    """A store from a URL times out after 5 seconds for a connection and a response; the URL may set another timeout."""
    redis = pytest.importorskip("redis", reason="redis-py is not installed")

    def patience(url: str) -> tuple[float, float]:
        client: Any = RedisStore(url)._client
        assert isinstance(client, redis.Redis)
        told = client.connection_pool.connection_kwargs
        return told["socket_timeout"], told["socket_connect_timeout"]

    assert patience("redis://localhost") == (5.0, 5.0)
    assert patience("redis://localhost?socket_timeout=2") == (2.0, 5.0)


def test_memory_holds_a_hundred_thousand_events_by_default() -> None:
    """With one more finished event than the default maximum of 100,000, a MemoryStore forgets the first."""
    store = MemoryStore()
    finish(store, *map(str, range(100_000)))
    assert store.claim("0", "u", 60) is ClaimState.DONE  # now the most recently seen
    finish(store, "another")
    assert store.claim("1", "u", 60) is ClaimState.NEW
    assert store.claim("0", "u", 60) is ClaimState.DONE


def test_memory_counts_an_event_that_was_forgotten_as_a_new_one() -> None:
    """An event finished again after its TTL is the most recently seen, and is not evicted first."""
    now = 0.0
    store = MemoryStore(ttl=10, max_events=2, clock=lambda: now)
    finish(store, "1", "2")
    now = 10.0
    finish(store, "1", "3")
    assert store.claim("1", "u", 60) is ClaimState.DONE
    assert store.claim("3", "u", 60) is ClaimState.DONE


def test_sqlite_sweeps_once_in_so_many_completions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired claims stay in the file until the next purge, which is too slow to run every time."""
    monkeypatch.setattr(SQLiteStore, "_PURGE_EVERY", 4)
    path, now, rows = tmp_path / "events.db", 0.0, list[int]()
    with closing(SQLiteStore(path, ttl=1, clock=lambda: now)) as store, closing(sqlite3.connect(path)) as reader:
        for number in range(9):
            store.claim(str(number), "t", 60)
            store.complete(str(number), "t")
            rows += reader.execute("SELECT count(*) FROM claims").fetchone()
            now += 1
    assert rows == [1, 2, 3, 1, 2, 3, 4, 1, 2]


def test_sqlite_keeps_one_connection_until_it_is_closed(tmp_path: Path) -> None:
    """A store opens its file once, in WAL mode so that readers and a writer do not block each other, and closes it."""
    store = SQLiteStore(tmp_path / "events.db")
    store.claim("e", "a", 60)
    connection = store._connection
    assert connection is not None
    store.complete("e", "a")
    assert store._connection is connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (1,)  # NORMAL
    store.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")


def test_sqlite_waits_for_its_timeout(tmp_path: Path) -> None:
    """While another process writes, a store waits `timeout` seconds, and then raises SQLite's own error."""
    path = tmp_path / "events.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
        for statement in ("BEGIN EXCLUSIVE", "COMMIT", "BEGIN IMMEDIATE"):
            other.execute(statement)
            with closing(SQLiteStore(path, timeout=0.05)) as store:
                started = time.monotonic()
                if statement == "COMMIT":
                    assert store.claim("e", "a", 60) is ClaimState.NEW
                else:
                    with pytest.raises(sqlite3.OperationalError, match="locked"):
                        store.claim("f", "a", 60)
                assert time.monotonic() - started < 4  # SQLite's own default would be 5 seconds
