"""Pacing for a fleet: every process that shares a Redis shares one account of the budget.

The policy runs in Redis, as one script (`redis_pacer.lua`), by the clock of Redis: whatever the clocks of the
machines say, there is one account and one order of events. Each process has its queue, first come, first served, and
one thread that talks to Redis for every caller in the queue, thread or task of any event loop. It is a thread
because a connection that belongs to an event loop would be of no use to the others, and because telling Redis of an
answer must not hold up the call that has just got it.

Beside that the process keeps its own `Pacer` up to date with every request and answer. When Redis is away it takes
over at once, so nobody waits for Redis to come back. Each process then paces alone, within its equal share of each
window: it knows from Redis how many they were. When Redis is back, it is told what is under way, and decides again;
until all the others must have found it too, each still keeps to its share.
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
"""Into how many parts a window is cut when several processes ask for it: at most one part each time."""
_LAYOUT = 2
"""Version of what the script keeps in Redis; it goes into the names of the keys, so that two versions never mix."""
_PATIENCE = 1.0
"""Seconds for Redis to connect or to answer, after which it counts as away."""
_RETRY_EVERY = 1.0
"""Seconds between two attempts to reach a Redis that is away."""
_WARY = _RETRY_EVERY + 2 * _PATIENCE
"""Seconds within which all processes find a Redis that is back."""
_IDLE = 5.0
"""Seconds without anything to do after which the thread ends and the connection is closed."""
_SHORTEST_POLL, _LONGEST_POLL = 0.05, 1.0
"""Seconds between two questions while others may free something; the nearer the chance, the more often."""
_MOST_AT_ONCE = 1000
"""Requests to ask for in one step: while pacing is off, Redis allows all of them."""
_LONG_AGO = -1e15
"""When a request was let go that Redis did not let go: too long ago to tell anything of the server's server_clock."""


@cache
def _script() -> str:
    """Put the constants of the policy in front of the script."""
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
    """As much of `redis.Redis` as is used here."""

    def script_load(self, script: str) -> str: ...
    def pipeline(self, *, transaction: bool) -> _Pipeline: ...
    def close(self) -> None: ...


class _SharedAccount:
    """The account in Redis, as one process sees it: what to run, in one round trip."""

    def __init__(self, client: _Client, name: str) -> None:
        tag = f"enprompta:{_LAYOUT}:{{{name}}}"  # the braces keep the keys on one node of a cluster
        self._keys = [tag, f"{tag}:flight", f"{tag}:lost", f"{tag}:processes"]
        self._client = client
        self._sha = ""

    def introduce(self, prefix: str, members: list[str], *, forgets: bool = False) -> None:
        """Make sure that the script is there, and report what is in flight.

        Args:
            prefix: What the names of this process's requests begin with.
            members: Those in flight.
            forgets: True to forget first what answers have reported.
        """
        self._sha = self._client.script_load(_script())
        first: list[tuple[str | float, ...]] = [("reset",)] if forgets else []
        self.run([*first, ("adopt", prefix, *members)])

    def run(self, steps: list[tuple[str | float, ...]], time: str = "") -> list[Any]:
        """Run steps of the script in their order; tell what each returned.

        Args:
            steps: Each a name and its arguments, as the script describes them.
            time: The present, in seconds; empty for the clock of Redis.
        """
        pipeline = self._client.pipeline(transaction=False)
        for step in steps:
            pipeline.evalsha(self._sha, len(self._keys), *self._keys, time, *step)
        return pipeline.execute()

    def close(self) -> None:
        """Close the connection; the next step opens another one."""
        self._client.close()


class RedisAccount(LocalAccount):
    """One budget as all processes spend it that share a Redis; see `LocalAccount` for what it does for callers."""

    def __init__(self, connect: Callable[[], _SharedAccount], where: str = "") -> None:
        """Make an account; nothing is connected before the first request.

        Args:
            connect: Makes the connection.
            where: A digest of where Redis is; the URL itself may hold a password.
        """
        self._connect = connect
        self.where = where
        super().__init__()

    def renew(self) -> None:
        """Start afresh: a child after a fork has neither the parent's thread nor its connection."""
        super().renew()
        self._prefix = f"{token_hex(8)}:"  # the names of this process's requests begin with it
        self._named = 0
        self._outbox: list[tuple[str | float, ...]] = []  # steps that Redis has to be told of
        self._work = Event()  # there is something to tell or to ask
        self._speaker: Thread | None = None  # who speaks to Redis
        self._stirred = 0.0  # when a caller last did something
        self._away = False  # Redis is, and this process paces alone
        self._processes = 1  # that share the account, as Redis last told
        self._wary_until = 0.0  # when to trust a Redis that is back
        self._told = Event()  # Redis knows of everything that has happened
        self._forgets = False  # Redis has to forget the account, and has not been told yet

    def reset(self) -> None:
        """Forget what answers have reported, for every process that shares the account.

        Redis is told by the thread that talks to it; this does not wait for it.
        """
        with self._lock:
            self._forgets = True
            self._outbox.append(("reset",))
            self._pacer.reset()
            self._run_policy(monotonic())

    def flush(self, timeout: float) -> None:
        """Wait until Redis knows of everything that has happened, unless it is away.

        Args:
            timeout: Seconds after which to wait no longer.
        """
        with self._lock:
            if self._away or self._speaker is None:
                return
            self._told.clear()
            self._work.set()
        self._told.wait(timeout)

    # The callers' side. They hold the lock.

    def _run_policy(self, now: float, looking: Reservation | None = None) -> None:
        self._stir(now)
        if self._away:
            super()._run_policy(now, looking)

    def _recheck(self, now: float, looking: Reservation) -> None:
        if self._away:
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

    def _stir(self, now: float) -> None:
        """See to it that somebody speaks to Redis while there is something to say."""
        if not self._pacer.line and not self._outbox:
            return
        self._stirred = now
        if self._speaker is None:
            self._speaker = Thread(target=self._speak, name="enprompta-redis-limiter", daemon=True)
            try:
                self._speaker.start()
            except RuntimeError:  # the interpreter is shutting down
                self._speaker, self._away = None, True
        if not self._away:  # else there is a time for the next attempt
            self._work.set()

    # The speaker's side.

    def _speak(self) -> None:
        """Speak to Redis until nothing has happened for a while."""
        shared: _SharedAccount | None = None
        proven = False  # the connection has worked, so that its end may be no more than that
        while not self._is_idle():
            self._work.clear()
            try:
                shared = shared or self._introduce()
                pause = self._exchange(shared)
                proven = True
            except Exception as error:  # noqa: BLE001 (nobody must wait for ever, whatever it was)
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
        """Tell whether to stop; a later caller then starts another speaker."""
        with self._lock:
            if self._pacer.line or monotonic() - self._stirred < _IDLE:
                return False
            self._speaker = None
            return True

    def _introduce(self) -> _SharedAccount:
        """Connect, and tell what this process has under way; from then on Redis decides."""
        shared = self._connect()
        with self._lock:
            self._outbox.clear()  # what ended before is told by its absence
            for ticket in self._pacer.under_way:
                if ticket.mark is None:
                    ticket.mark = self._name(1), _LONG_AGO
            members = [ticket.mark[0] for ticket in self._pacer.under_way]
            forgets = self._forgets
        shared.introduce(self._prefix, members, forgets=forgets)
        with self._lock:
            self._forgets = self._forgets and not forgets
            if self._away:
                self._away = False
                self._wary_until = monotonic() + _WARY
                self._pacer.chance_at = inf  # whoever waits waits for the speaker
                _log(logging.INFO, "limiter.redis_back")
        return shared

    def _name(self, count: int) -> str:
        """Name the next requests; tell the first one's name, whose number the others' follow."""
        first = self._named + 1
        self._named += count
        return f"{self._prefix}{first}"

    def _exchange(self, shared: _SharedAccount) -> float:
        """Tell Redis what has happened, and ask for those who wait; give the seconds to the next time."""
        with self._lock:
            steps, self._outbox = self._outbox, []
            wanted = self._wanted_count(monotonic())
            first = self._named + 1
            self._named += wanted
            if not steps and not wanted:
                self._told.set()
                return _SHORTEST_POLL if self._pacer.line else _IDLE
        if wanted:
            steps.append(("acquire", self._prefix, first, wanted))
        results = shared.run(steps)
        if ("reset",) in steps:
            self._forgets = False
        if not wanted:
            return 0.0
        allowed, time, self._processes, *waits = results[-1]
        return self._apply_grants(first, Room(int(allowed), *map(float, waits)), float(time))

    def _wanted_count(self, now: float) -> int:
        """Tell for how many requests to ask; the lock is held."""
        wanted = min(len(self._pacer.line), _MOST_AT_ONCE)
        if self._pacer.sharers > 1:
            if now < self._wary_until:
                return min(wanted, self._pacer.available(now)[0])
            self._pacer.sharers = 1
        return wanted

    def _apply_grants(self, first: int, room: Room, time: float) -> float:
        """Let the requests go that Redis allows, and refuse those whose next chance is too far away.

        Args:
            first: Number of the first of the requests that Redis let go.
            room: How many those are, and what to wait for when there are none.
            time: When Redis let them go, by its clock.

        Returns:
            Seconds to the next question.
        """
        allowed = room.free
        with self._lock:
            names = [f"{self._prefix}{number}" for number in range(first, first + allowed)]
            settled = self._pacer.grant_unchecked(allowed, monotonic())
            for name, ticket in zip(names, settled, strict=False):
                ticket.mark = name, time
            self._outbox += [("cancel", name, time) for name in names[len(settled) :]]  # who asked has left since
            look = room.look
            if not allowed:
                now = monotonic()
                settled = self._pacer.line.refuse(room, now)
                look = self._pacer.line.look(room, now)
            self._wake(settled)
        if allowed:
            return 0.0
        return min(look, max(_SHORTEST_POLL, min(look / 20, _LONGEST_POLL)))

    def _pace_locally(self, error: Exception) -> None:
        """Pace without Redis."""
        with self._lock:
            if not self._away:
                self._away = True
                self._pacer.sharers = self._processes
                if self._processes > 1:
                    self._pacer.distrust_window()
                self._told.set()
                _log(logging.WARNING, "limiter.redis_away", error=f"{type(error).__name__}: {error}")
            super()._run_policy(monotonic())


def _log(level: int, event: str, **fields: str) -> None:
    """Log an event as the rest of the package does."""
    text = " ".join(f"{name}={value}" for name, value in fields.items())
    _LOG.log(level, "%s %s", event, text, extra={"event": event, "fields": fields})


_ACCOUNTS: AccountRegistry[RedisAccount] = AccountRegistry()


@cache  # once a process
def _flush_at_exit() -> None:
    atexit.register(_flush)


def _flush() -> None:
    """Tell Redis of the last answers before the process ends: untold, they would be charged for `TRANSIT`."""
    for account in _ACCOUNTS:
        account.flush(_PATIENCE)


class RedisLimiter:
    """Paces every process that shares a Redis, on one machine or many, so that together they keep to one budget.

    When Redis cannot be reached each process paces alone, and logs a warning once; when it can be again, they share
    again. Needs the extra `redis`: `pip install "enprompta[redis]"`.
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        """Make a limiter; nothing is connected before the first request.

        Args:
            url: Where Redis is: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, `unix://` for
                a socket. One server, or the primary of a replicated one; a cluster's client is not used.

        Raises:
            ConfigurationError: The URL is none of these, or the extra `redis` is not installed.
        """
        given: Any = url  # whatever the caller gave
        if not isinstance(given, str):
            raise ConfigurationError(f"RedisLimiter takes the URL of a Redis as text, not {type(given).__name__}")
        self._url = url
        _client(url).close()

    def account(self, key: str) -> RedisAccount:
        """Find the account that a client spends from.

        Args:
            key: The base URL and the credential, in one text. Only a digest of it is kept, here and in Redis.
        """
        _flush_at_exit()
        url = self._url
        return _ACCOUNTS.get(
            digest(url, key), lambda: RedisAccount(lambda: _SharedAccount(_client(url), digest(key)), digest(url))
        )

    def reset_rate_limit(self) -> None:
        """Forget what was learned about the rate limits of this process's clients that share this Redis.

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
    """Make a Redis client that tries once and not for long: to try again is the speaker's business."""
    try:
        redis: Any = import_module("redis")
    except ImportError as error:
        raise ConfigurationError('RedisLimiter needs the extra `redis`: pip install "enprompta[redis]"') from error
    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    try:
        client: _Client = redis.Redis.from_url(
            url, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE, retry=once
        )
    except ValueError as error:
        raise ConfigurationError(f"RedisLimiter cannot use its URL: {error}") from error
    return client
