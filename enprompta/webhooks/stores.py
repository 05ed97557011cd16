"""Stores for claims on events: in memory, in a SQLite file, or in Redis.

A key has three states. Unknown: it is not claimed, or its claim or TTL has expired. Claimed: the holder of a token
handles it, until the lease ends. Done: it was handled; the store remembers it for `ttl` seconds. The step from
unknown to claimed is atomic: of any number of concurrent callers, exactly one gets the key.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

from enprompta._common.clock import monotonic, real_time
from enprompta._common.private_files import create_private
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClaimState", "MemoryStore", "RedisStore", "SQLiteStore", "Store"]

_DAY = 86_400.0
_DEFAULT_TTL = 7 * _DAY  # longer than the service retries a delivery
_REDIS_TIMEOUT = 5.0  # seconds for Redis to accept a connection, and for each response


class ClaimState(Enum):
    """The result of an attempt to claim a key."""

    NEW = "new"
    """The caller holds the key."""
    BUSY = "busy"
    """Another caller holds the key and may still fail."""
    DONE = "done"
    """The key is done."""


class Store(Protocol):
    """The interface that a `Deduplicator` needs; implement it for another backend. Every method must be atomic."""

    def claim(self, key: str, token: str, lease: float) -> ClaimState:
        """Try to claim a key for the holder of a token, for at most `lease` seconds."""
        ...

    def complete(self, key: str, token: str) -> bool:
        """Mark a key as done; return False and change nothing if the token no longer holds it."""
        ...

    def release(self, key: str, token: str) -> bool:
        """Release a key; return False and change nothing if the token no longer holds it."""
        ...


class MemoryStore:
    """Keeps claims in memory, for a single process and for tests.

    Args:
        ttl: Seconds for which a finished event is remembered.
        max_events: Maximum number of finished events; the least recently seen is evicted first.
        clock: Returns seconds from any starting point.
    """

    def __init__(
        self, *, ttl: float = _DEFAULT_TTL, max_events: int = 100_000, clock: Callable[[], float] = monotonic
    ) -> None:
        self._ttl = _positive("ttl", ttl)
        self._max_events = int(_positive("max_events", max_events))
        self._clock = clock
        self._lock = threading.Lock()
        self._claims: dict[str, tuple[str, float]] = {}  # key: token, end of the lease
        self._done: OrderedDict[str, float] = OrderedDict()  # key: expiry; least recently seen first

    def claim(self, key: str, token: str, lease: float) -> ClaimState:
        """Try to claim a key; see `Store`."""
        with self._lock:
            now = self._clock()
            if self._done.get(key, now) > now:
                self._done.move_to_end(key)
                return ClaimState.DONE
            self._done.pop(key, None)
            claim = self._claims.get(key)
            if claim is not None and claim[1] > now:
                return ClaimState.BUSY
            self._claims[key] = token, now + lease
            return ClaimState.NEW

    def complete(self, key: str, token: str) -> bool:
        """Mark a key as done; see `Store`."""
        with self._lock:
            claim = self._drop(key, token)
            if claim:
                self._done[key] = self._clock() + self._ttl
                if len(self._done) > self._max_events:
                    self._done.popitem(last=False)
            return claim

    def release(self, key: str, token: str) -> bool:
        """Release a key; see `Store`."""
        with self._lock:
            return self._drop(key, token)

    def _drop(self, key: str, token: str) -> bool:
        claim = self._claims.get(key)
        if claim is None or claim[0] != token:
            return False
        del self._claims[key]
        return True


class SQLiteStore:
    """Keeps claims in a SQLite file: survives restarts and serves all processes of one machine.

    The file is created on first use, readable only by its owner. A store can be used from several threads and after a
    fork.

    Args:
        path: The file, on a local disk: SQLite's locks do not hold on network file systems.
        ttl: Seconds for which a finished event is remembered.
        timeout: Seconds to wait for writes of other processes before `sqlite3.OperationalError` is raised.
        clock: Returns Unix seconds, the same for all processes.
    """

    _PURGE_EVERY = 1_000  # completions between two purges of expired claims

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ttl: float = _DEFAULT_TTL,
        timeout: float = 30.0,
        clock: Callable[[], float] = real_time,
    ) -> None:
        self._path = os.fspath(path)
        self._ttl = _positive("ttl", ttl)
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._completions = 0

    def claim(self, key: str, token: str, lease: float) -> ClaimState:
        """Try to claim a key; see `Store`."""
        now = self._clock()
        # One statement, so one transaction: insert the claim, take over an expired one, or change nothing.
        taken = self._execute(
            "INSERT INTO claims (key, token, ends) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET token = excluded.token, ends = excluded.ends WHERE claims.ends <= ?",
            (key, token, now + lease, now),
        ).rowcount
        if taken == 1:
            return ClaimState.NEW
        row = cast(
            "tuple[str | None] | None", self._execute("SELECT token FROM claims WHERE key = ?", (key,)).fetchone()
        )
        # No row: the holder released the key between the two statements. The next attempt gets it.
        return ClaimState.DONE if row is not None and row[0] is None else ClaimState.BUSY

    def complete(self, key: str, token: str) -> bool:
        """Mark a key as done; see `Store`."""
        now = self._clock()
        self._completions += 1
        if self._completions % self._PURGE_EVERY == 0:
            self._execute("DELETE FROM claims WHERE ends <= ?", (now,))
        done = "UPDATE claims SET token = NULL, ends = ? WHERE key = ? AND token = ?"
        return self._execute(done, (now + self._ttl, key, token)).rowcount == 1

    def release(self, key: str, token: str) -> bool:
        """Release a key; see `Store`."""
        return self._execute("DELETE FROM claims WHERE key = ? AND token = ?", (key, token)).rowcount == 1

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
                self._connection = None

    def _execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            if self._connection is None:
                self._connection = self._open()
            return self._connection.execute(statement, values)

    def _after_fork(self) -> None:
        # SQLite forbids a child process to use or close its parent's connection, so it is kept untouched. A thread that
        # does not exist here may have held the lock.
        self._lock = threading.Lock()
        self._pid = os.getpid()
        if self._connection is not None:
            self._inherited.append(self._connection)
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        create_private(self._path)
        connection = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        # Several processes may try this at once, and one success is enough: the mode is a property of the file. WAL
        # only makes it faster; claims are correct in any mode.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS claims"
            " (key TEXT PRIMARY KEY, token TEXT, ends REAL NOT NULL) WITHOUT ROWID"  # a NULL token means done
        )
        connection.execute("CREATE INDEX IF NOT EXISTS claims_ends ON claims (ends)")
        return connection


class RedisClient(Protocol):
    """The methods of `redis.Redis` that `RedisStore` uses."""

    def set(self, name: str, value: str, *, nx: bool, px: int) -> object:
        """Set a key if it does not exist."""
        ...

    def get(self, name: str) -> object:
        """Read a key."""
        ...

    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> object:
        """Run a script atomically."""
        ...


class RedisStore:
    """Keeps claims in Redis, for several machines. Needs the extra `enprompta[redis]`.

    Args:
        client: A `redis.Redis`, or a URL such as `redis://localhost:6379/0`. With a URL, connecting and each response
            time out after 5 seconds; append `?socket_timeout=2` for another timeout.
        ttl: Seconds for which a finished event is remembered.
        prefix: Prefix of this store's keys. Receivers that handle the same events for different purposes need different
            prefixes.
    """

    _DONE = "done"
    # Only the holder may end a claim: after the lease, another caller may have taken it over.
    _COMPLETE = (
        "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end "
        "redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1"
    )
    _RELEASE = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('del', KEYS[1])"

    def __init__(
        self, client: RedisClient | str, *, ttl: float = _DEFAULT_TTL, prefix: str = "enprompta:webhooks:"
    ) -> None:
        self._ttl = _milliseconds(_positive("ttl", ttl))
        self._client = _connect(client) if isinstance(client, str) else client
        self._prefix = prefix

    def claim(self, key: str, token: str, lease: float) -> ClaimState:
        """Try to claim a key; see `Store`."""
        name = self._prefix + key
        if self._client.set(name, token, nx=True, px=_milliseconds(lease)):
            return ClaimState.NEW
        # No value: the holder released the key in between. The next attempt gets it.
        return ClaimState.DONE if self._client.get(name) in {self._DONE, self._DONE.encode()} else ClaimState.BUSY

    def complete(self, key: str, token: str) -> bool:
        """Mark a key as done; see `Store`."""
        return self._client.eval(self._COMPLETE, 1, self._prefix + key, token, self._DONE, str(self._ttl)) == 1

    def release(self, key: str, token: str) -> bool:
        """Release a key; see `Store`."""
        return self._client.eval(self._RELEASE, 1, self._prefix + key, token) == 1


def _connect(url: str) -> RedisClient:
    try:
        import redis  # noqa: PLC0415 (an extra)
    except ImportError:
        raise ConfigurationError("RedisStore needs redis-py: pip install 'enprompta[redis]'") from None
    make: object = redis.Redis.from_url  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    # Without a timeout, a Redis that hangs would block the thread of each delivery. Options in the URL take precedence.
    return make(url, socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ConfigurationError(f"{name} must be greater than 0, not {value}")
    return value
