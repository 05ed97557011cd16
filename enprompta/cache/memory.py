"""What is held in memory, and who is on the way for it: all that threads share, under one lock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from enprompta.cache import freshness
from enprompta.cache.entries import CacheEntry, PendingFetch, Request
from enprompta.cache.freshness import EMPTY, CacheDecision, CachedPrompt
from enprompta.cache.keys import CacheMetrics, PromptKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from enprompta.cache.snapshots import Snapshot

FETCH_LEASE_SECONDS = (
    60.0  # seconds until a flight that has not ended is taken for lost, as when its event loop stands still
)


class Lookup(NamedTuple):
    """What a caller finds, and what is to be done for it."""

    held: CachedPrompt
    now: float
    verdict: CacheDecision
    flight: PendingFetch | None
    """The request that is on its way, or to be made; None when none is."""
    is_leader: bool
    """Whether this caller is to make it."""
    is_patient: bool
    """Whether there is nothing else to give, so that the caller waits for the flight to its end."""


class Memory:
    """The places of prompts, the least recently used of which is given up when there are too many.

    The lock is held for moments only, never across a request. What a place holds is a value that is replaced in one
    step, so a process that forks in between finds the old one or the new one.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[PromptKey, CacheEntry] = OrderedDict()
        self._counts = dict.fromkeys(CacheMetrics.__slots__, 0)

    def after_fork(self) -> None:
        """Wait for no thread of the parent process: none is here."""
        self._lock = Lock()
        for entry in self._entries.values():
            entry.flight = None
            if entry.reading is not None and not entry.reading.done():
                entry.reading = None

    @property
    def metrics(self) -> CacheMetrics:
        """What became of calls so far."""
        return CacheMetrics(**self._counts)

    def __len__(self) -> int:
        return len(self._entries)

    def count(self, name: str) -> None:
        """Count one more of something."""
        with self._lock:
            self._counts[name] += 1

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def look_up(
        self, key: PromptKey, ttl: float | None, *, count: int = 1
    ) -> tuple[CacheEntry | None, CachedPrompt, float]:
        """Find the place of a prompt; None when what is held is fresh, which counts as a hit."""
        entries = self._entries
        with self._lock:
            now = self._clock()
            entry = entries.get(key)
            if entry is None:
                entry = entries[key] = CacheEntry()
                if len(entries) > self._most:
                    entries.popitem(last=False)
            else:
                entries.move_to_end(key)
            held = entry.held
            if not held.is_fresh(now, ttl):
                return entry, held, now
            self._counts["hits"] += count
            return None, held, now

    def decide(self, request: Request, entry: CacheEntry) -> Lookup:
        """Hold what there is against what is asked for; join the flight that is wanted, or begin it."""
        has_fallback = request.fallback is not None
        with self._lock:
            held, now = entry.held, self._clock()
            verdict = freshness.judge(held, now, request.ttl, has_fallback=has_fallback)
            flight, leads = None, False
            if verdict in {CacheDecision.STALE, CacheDecision.MISS}:
                flight = entry.flight
                if leads := flight is None or now - flight.began >= FETCH_LEASE_SECONDS:
                    entry.flight = flight = PendingFetch(now)
        return Lookup(held, now, verdict, flight, leads, not (has_fallback or freshness.can_serve(held)))

    def complete_fetch(self, entry: CacheEntry, flight: PendingFetch, outcome: CachedPrompt | None) -> None:
        """End a flight, and hold what it brought, unless it was invalidated or given up on its way."""
        with self._lock:
            if flight.gate.done():
                return
            if entry.flight is flight:
                entry.flight = None
                entry.held = replace(entry.held, was_abandoned=True) if outcome is None else outcome
            self._counts["errors"] += outcome is not None and outcome.error is not None
        flight.gate.set_result(outcome)  # not under the lock: it wakes those who wait

    def start_reading(self, entry: CacheEntry, gate: Future[Snapshot | None]) -> Future[Snapshot | None]:
        """Give the gate of whoever came first to read what is on disk."""
        with self._lock:
            if entry.reading is None:
                entry.reading = gate
            return entry.reading

    def take(self, entry: CacheEntry, snapshot: Snapshot) -> None:
        """Hold what was read from disk, where nothing is held yet."""
        with self._lock:
            if entry.held is EMPTY:
                since = self._clock() - snapshot.age
                entry.held = CachedPrompt(snapshot.value, snapshot.etag, since, is_valid=False, is_snapshot=True)

    def invalidate(self, concerns: Callable[[PromptKey, CachedPrompt], bool]) -> int:
        """Have those that a rule concerns asked for anew; tells how many."""
        with self._lock:
            found = [entry for key, entry in self._entries.items() if concerns(key, entry.held)]
            for entry in found:
                entry.held = freshness.invalidated(entry.held)
                entry.flight = None  # it may bring what was live before: those who wait for it get that, nobody else
        return len(found)
