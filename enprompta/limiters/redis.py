"""Pacing for several processes: all processes that share a Redis share one account of the budget.

The policy runs in Redis as one script (`redis_pacer.lua`), with the clock of Redis, so the clocks of the machines do
not matter. Each process has its own first-in, first-out queue and one thread that talks to Redis for all callers. It is
a thread because a connection that belongs to one event loop is useless to the others, and because reporting a response
to Redis must not delay the call that received it.

Each process also keeps its own `Pacer` up to date. If Redis is unavailable, that pacer takes over at once, within the
process's equal share of each window; Redis has reported the number of processes. When Redis is back, the process
reports its requests in flight and Redis decides again. Until every process must have noticed, each keeps to its share.
"""

from __future__ import annotations

import atexit
import logging
from functools import cache
from importlib import import_module
from math import inf
from secrets import token_hex
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from enprompta._common.clock import monotonic
from enprompta._common.data import read_data
from enprompta.errors import ConfigurationError
from enprompta.limiters import rules, server_clock
from enprompta.limiters.blocks import Room
from enprompta.limiters.local import AccountRegistry, LocalAccount, digest
from enprompta.limiters.rate_limit_headers import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.limiters.rate_limit_headers import Reading
    from enprompta.limiters.wait_queue import Reservation

__all__ = ["RedisAccount", "RedisLimiter"]

_LOG = logging.getLogger("enprompta")

_CHUNKS = 8
"""Parts of a window when several processes ask for budget: at most one part each time."""
_LAYOUT = 3
"""Version of the data that the script keeps in Redis; part of the key names, so that versions never mix."""
_TIMEOUT = 1.0
"""Timeout in seconds of a connection or response of Redis, after which it is unavailable."""
_RETRY_EVERY = 1.0
"""Seconds between attempts to reach an unavailable Redis."""
_NOTICED = _RETRY_EVERY + 2 * _TIMEOUT
"""Seconds within which all processes notice that Redis is back."""
_IDLE = 5.0
"""Idle seconds after which the thread ends and closes the connection."""
_SHORTEST_POLL, _LONGEST_POLL = 0.05, 1.0
"""Seconds between requests for budget while other processes may free some; shorter near the next chance."""
_MOST_AT_ONCE = 1000
"""Requests to ask for at once: while pacing is off, Redis allows all of them."""
_LONG_AGO = -1e15
"""Grant time of a request that Redis did not grant: too long ago to say anything about the server's clock."""


@cache
def _script() -> str:
    """Return the script with the constants of the policy before it."""
    constants = {name: getattr(rules, name) for name in rules.__all__} | {
        "DRIFT": server_clock.DRIFT,
        "STEP": server_clock.STEP,
        "LONGEST_WAIT": LONGEST_WAIT,
        "CHUNKS": _CHUNKS,
    }
    lines = [f"local {name} = {value!r}" for name, value in constants.items()]
    return "\n".join([*lines, read_data("enprompta.limiters", "redis_pacer.lua").decode()])


class _Pipeline(Protocol):
    def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | float) -> object: ...
    def execute(self) -> list[Any]: ...


class _Client(Protocol):
    """The part of `redis.Redis` that is used here."""

    def script_load(self, script: str) -> str: ...
    def pipeline(self, *, transaction: bool) -> _Pipeline: ...
    def close(self) -> None: ...


class _SharedAccount:
    """The account in Redis: runs steps of the script in one round trip."""

    def __init__(self, client: _Client, name: str) -> None:
        tag = f"enprompta:{_LAYOUT}:{{{name}}}"  # the braces keep the keys on one node of a cluster
        self._keys = [tag, f"{tag}:flight", f"{tag}:lost", f"{tag}:processes"]
        self._client = client
        self._sha = ""

    def introduce(self, prefix: str, members: list[str], *, forgets: bool = False) -> None:
        """Load the script and report the requests in flight.

        Args:
            prefix: Prefix of the names of this process's requests.
            members: Names of the requests in flight.
            forgets: True to forget first what responses have reported.
        """
        self._sha = self._client.script_load(_script())
        first: list[tuple[str | float, ...]] = [("reset",)] if forgets else []
        self.run([*first, ("adopt", prefix, *members)])

    def run(self, steps: list[tuple[str | float, ...]], time: str = "") -> list[Any]:
        """Run steps of the script in order and return their results.

        Args:
            steps: A name and its arguments each, as the script documents them.
            time: Current time in seconds; empty for the clock of Redis.
        """
        pipeline = self._client.pipeline(transaction=False)
        for step in steps:
            pipeline.evalsha(self._sha, len(self._keys), *self._keys, time, *step)
        return pipeline.execute()

    def close(self) -> None:
        """Close the connection; the next step opens a new one."""
        self._client.close()


class RedisAccount(LocalAccount):
    """One budget that all processes with the same Redis share; `LocalAccount` documents its methods."""

    def __init__(self, connect: Callable[[], _SharedAccount], where: str = "") -> None:
        """Create an account, which connects at the first request.

        Args:
            connect: Opens the connection.
            where: Digest of the URL of Redis, which may contain a password.
        """
        self._connect = connect
        self.where = where
        super().__init__()

    def renew(self) -> None:
        """Start empty in a child after a fork, which has neither the parent's thread nor its connection."""
        super().renew()
        self._prefix = f"{token_hex(8)}:"  # prefix of the names of this process's requests
        self._named = 0
        self._outbox: list[tuple[str | float, ...]] = []  # steps to send to Redis
        self._work = Event()  # there are steps to send or budget to ask for
        self._thread: Thread | None = None  # talks to Redis
        self._last_action = 0.0  # time of the last action of a caller
        self._is_unavailable = False  # Redis is unavailable: this process paces alone
        self._processes = 1  # that share the account, as Redis last reported
        self._sharing_from = 0.0  # when every process has noticed that Redis is back
        self._is_synced = Event()  # Redis knows every step
        self._must_reset = False  # Redis must reset the account and does not know yet

    def reset(self) -> None:
        """Forget what responses have reported, for every process that shares the account.

        Does not wait for Redis: the thread that talks to it sends the reset.
        """
        with self._lock:
            self._must_reset = True
            self._outbox.append(("reset",))
            self._pacer.reset()
            self._run_policy(monotonic())

    def flush(self, timeout: float) -> None:
        """Wait until Redis knows every step, unless it is unavailable.

        Args:
            timeout: Longest wait in seconds.
        """
        with self._lock:
            if self._is_unavailable or self._thread is None:
                return
            self._is_synced.clear()
            self._work.set()
        self._is_synced.wait(timeout)

    # Called by callers, with the lock held.

    def _run_policy(self, now: float, looking: Reservation | None = None) -> None:
        self._wake_thread(now)
        if self._is_unavailable:
            super()._run_policy(now, looking)

    def _recheck(self, now: float, looking: Reservation) -> None:
        if self._is_unavailable:
            super()._run_policy(now, looking)

    def _note(self, step: str, ticket: Reservation, reading: Reading | None = None) -> None:
        if ticket.state != "granted":
            return
        member, sent = ticket.mark or ("", _LONG_AGO)
        if reading is None:
            self._outbox.append((step, member, sent))
        else:
            retry_after = "" if reading.retry_after is None else reading.retry_after
            self._outbox.append((step, member, sent, *reading[:-1], retry_after))

    def _wake_thread(self, now: float) -> None:
        """Start or wake the thread that talks to Redis if there is work for it."""
        if not self._pacer.queue and not self._outbox:
            return
        self._last_action = now
        if self._thread is None:
            self._thread = Thread(target=self._talk, name="enprompta-redis-limiter", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is shutting down
                self._thread, self._is_unavailable = None, True
        if not self._is_unavailable:  # otherwise the next attempt has its time
            self._work.set()

    # Called by the thread that talks to Redis.

    def _talk(self) -> None:
        """Talk to Redis until there has been no work for a while."""
        shared: _SharedAccount | None = None
        proven = False  # the connection has worked, so a failure may be only its end
        while not self._is_idle():
            self._work.clear()
            try:
                shared = shared or self._introduce()
                pause = self._exchange(shared)
                proven = True
            except Exception as error:  # noqa: BLE001 (no caller may wait forever, whatever failed)
                if shared is not None:
                    shared.close()
                    shared = None
                pause = 0.0 if proven else _RETRY_EVERY
                if not proven:
                    self._pace_locally(error)
                proven = False
            self._work.wait(pause)
        if shared is not None:
            shared.close()

    def _is_idle(self) -> bool:
        """Return True if the thread should end; a later caller starts another one."""
        with self._lock:
            if self._pacer.queue or monotonic() - self._last_action < _IDLE:
                return False
            self._thread = None
            return True

    def _introduce(self) -> _SharedAccount:
        """Connect and report the requests in flight of this process; from then on Redis decides."""
        shared = self._connect()
        with self._lock:
            self._outbox.clear()  # a request that has ended is simply not reported
            for ticket in self._pacer.under_way:
                if ticket.mark is None:
                    ticket.mark = self._name(1), _LONG_AGO
            members = [ticket.mark[0] for ticket in self._pacer.under_way]
            forgets = self._must_reset
        shared.introduce(self._prefix, members, forgets=forgets)
        with self._lock:
            self._must_reset = self._must_reset and not forgets
            if self._is_unavailable:
                self._is_unavailable = False
                self._sharing_from = monotonic() + _NOTICED
                self._pacer.chance_at = inf  # waiters wait for this thread
                _log(logging.INFO, "limiter.redis_back")
        return shared

    def _name(self, count: int) -> str:
        """Reserve names for the next requests and return the first; the others have the following numbers."""
        first = self._named + 1
        self._named += count
        return f"{self._prefix}{first}"

    def _exchange(self, shared: _SharedAccount) -> float:
        """Send steps to Redis and ask for budget for the queue; return the seconds until the next exchange."""
        with self._lock:
            steps, self._outbox = self._outbox, []
            wanted = self._wanted_count(monotonic())
            first = self._named + 1
            self._named += wanted
            if not steps and not wanted:
                self._is_synced.set()
                return _SHORTEST_POLL if self._pacer.queue else _IDLE
        if wanted:
            steps.append(("acquire", self._prefix, first, wanted))
        results = shared.run(steps)
        if ("reset",) in steps:
            self._must_reset = False
        if not wanted:
            return 0.0
        allowed, time, self._processes, *waits = results[-1]
        return self._apply_grants(first, Room(int(allowed), *map(float, waits)), float(time))

    def _wanted_count(self, now: float) -> int:
        """Return how many requests to ask for; the lock is held."""
        wanted = min(len(self._pacer.queue), _MOST_AT_ONCE)
        if self._pacer.process_count > 1:
            if now < self._sharing_from:
                return min(wanted, self._pacer.available(now)[0])
            self._pacer.process_count = 1
        return wanted

    def _apply_grants(self, first: int, room: Room, time: float) -> float:
        """Grant the requests that Redis allows, and refuse those whose next chance is too far away.

        Args:
            first: Number of the first request that Redis granted.
            room: How many it granted, or how long to wait if none.
            time: When Redis granted them, by its clock.

        Returns:
            Seconds until the next exchange.
        """
        allowed = room.free
        with self._lock:
            names = [f"{self._prefix}{number}" for number in range(first, first + allowed)]
            settled = self._pacer.grant_unchecked(allowed, monotonic())
            for name, ticket in zip(names, settled, strict=False):
                ticket.mark = name, time
            self._outbox += [("cancel", name, time) for name in names[len(settled) :]]  # their callers have left
            look = room.look
            if not allowed:
                now = monotonic()
                settled = self._pacer.queue.refuse(room, now)
                look = self._pacer.queue.look(room, now)
            self._wake(settled)
        if allowed:
            return 0.0
        return min(look, max(_SHORTEST_POLL, min(look / 20, _LONGEST_POLL)))

    def _pace_locally(self, error: Exception) -> None:
        """Switch to pacing without Redis."""
        with self._lock:
            if not self._is_unavailable:
                self._is_unavailable = True
                self._pacer.process_count = self._processes
                if self._processes > 1:
                    self._pacer.distrust_window()
                self._is_synced.set()
                _log(logging.WARNING, "limiter.redis_away", error=f"{type(error).__name__}: {error}")
            super()._run_policy(monotonic())


def _log(level: int, event: str, **fields: str) -> None:
    """Log an event in the format of the package."""
    text = " ".join(f"{name}={value}" for name, value in fields.items())
    _LOG.log(level, "%s %s", event, text, extra={"event": event, "fields": fields})


_ACCOUNTS: AccountRegistry[RedisAccount] = AccountRegistry()


@cache  # once per process
def _flush_at_exit() -> None:
    atexit.register(_flush)


def _flush() -> None:
    """Report the last responses to Redis before the process ends; otherwise they stay charged for `TRANSIT`."""
    for account in _ACCOUNTS:
        account.flush(_TIMEOUT)


class RedisLimiter:
    """Paces all processes that share a Redis, on one machine or many, so that together they stay within one budget.

    If Redis cannot be reached, each process paces alone and logs one warning; they share again when it is back.
    Needs the extra `redis`: `pip install "enprompta[redis]"`.
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        """Create a limiter, which connects at the first request.

        Args:
            url: URL of Redis: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, `unix://` for a
                socket. One server, or the primary of a replicated one; Redis Cluster is not supported.

        Raises:
            ConfigurationError: The URL is invalid, or the extra `redis` is not installed.
        """
        given: Any = url  # unchecked
        if not isinstance(given, str):
            raise ConfigurationError(f"RedisLimiter takes the URL of a Redis as text, not {type(given).__name__}")
        self._url = url
        _client(url).close()

    def account(self, key: str) -> RedisAccount:
        """Return the account that a client spends from.

        Args:
            key: The base URL and the credential, as one text. Only its digest is kept, here and in Redis.
        """
        _flush_at_exit()
        url = self._url
        return _ACCOUNTS.get(
            digest(url, key), lambda: RedisAccount(lambda: _SharedAccount(_client(url), digest(key)), digest(url))
        )

    def reset_rate_limit(self) -> None:
        """Forget the rate limits learned for this process's clients that share this Redis.

        The accounts in Redis are reset, so every other process forgets too. Blocks are lifted at once, and for each
        credential the next request goes alone and learns the budget again. It does not wait for Redis.
        `Enprompta.reset_rate_limit` does the same for one client's credential.
        """
        for account in _ACCOUNTS:
            if account.where == digest(self._url):
                account.reset()

    def __reduce__(self) -> tuple[type[RedisLimiter], tuple[str]]:
        return RedisLimiter, (self._url,)

    def __repr__(self) -> str:
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        return f"RedisLimiter('{parts.scheme}://{host}{parts.path}')"


def _client(url: str) -> _Client:
    """Create a Redis client without retries and with short timeouts; the account retries by itself."""
    try:
        redis = import_module("redis")
    except ImportError as error:
        raise ConfigurationError('RedisLimiter needs the extra `redis`: pip install "enprompta[redis]"') from error
    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    try:
        client: _Client = redis.Redis.from_url(
            url, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=once
        )
    except ValueError as error:
        raise ConfigurationError(f"RedisLimiter cannot use its URL: {error}") from error
    return client
