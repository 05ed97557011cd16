"""The cache entries in memory and their pending fetches: all state that threads share, under one lock."""

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

FETCH_LEASE_SECONDS = 60.0  # after this long a pending fetch counts as lost, as when its event loop is blocked


class Lookup(NamedTuple):
    """The state of an entry and the action for one caller."""

    cached: CachedPrompt
    now: float
    decision: CacheDecision
    pending: PendingFetch | None
    """The fetch that is in flight or that this caller must start; None if no fetch is needed."""
    is_leader: bool
    """True if this caller must run the fetch."""
    is_patient: bool
    """True if there is no stale prompt or fallback, so that the caller must wait for the fetch."""


class Memory:
    """An LRU map of cache entries.

    The lock is never held across a request. The state of an entry is an immutable value, replaced in one step, so a
    process that forks during an update sees the old state or the new one.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[PromptKey, CacheEntry] = OrderedDict()
        self._counts = dict.fromkeys(CacheMetrics.__slots__, 0)

    def after_fork(self) -> None:
        """Replace the lock and drop pending work, whose threads do not exist in a child process."""
        self._lock = Lock()
        for entry in self._entries.values():
            entry.pending = None
            if entry.reading is not None and not entry.reading.done():
                entry.reading = None

    @property
    def metrics(self) -> CacheMetrics:
        """Outcomes of `get_live` calls so far."""
        return CacheMetrics(**self._counts)

    def __len__(self) -> int:
        return len(self._entries)

    def count(self, name: str) -> None:
        """Increment a counter."""
        with self._lock:
            self._counts[name] += 1

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()

    def fresh(self, key: PromptKey, ttl: float | None) -> tuple[CachedPrompt, float] | None:
        """Return a fresh entry's state and the time, and count a hit; None if the entry is not fresh."""
        with self._lock:
            now = self._clock()
            entry = self._entries.get(key)
            if entry is None or not entry.cached.is_fresh(now, ttl):
                return None
            self._entries.move_to_end(key)
            self._counts["hits"] += 1
            return entry.cached, now

    def entry(self, key: PromptKey) -> CacheEntry:
        """Return the entry of a prompt, new or as it is."""
        entries = self._entries
        with self._lock:
            entry = entries.get(key)
            if entry is None:
                entry = entries[key] = CacheEntry()
                if len(entries) > self._most:
                    entries.popitem(last=False)
            else:
                entries.move_to_end(key)
            return entry

    def decide(self, request: Request, entry: CacheEntry) -> Lookup:
        """Compare the cached value with the request; join the pending fetch or start one."""
        has_fallback = request.fallback is not None
        with self._lock:
            cached, now = entry.cached, self._clock()
            decision = freshness.decide(cached, now, request.ttl, has_fallback=has_fallback)
            pending, is_leader = None, False
            if decision in {CacheDecision.STALE, CacheDecision.MISS}:
                pending = entry.pending
                if is_leader := pending is None or now - pending.began >= FETCH_LEASE_SECONDS:
                    entry.pending = pending = PendingFetch(now)
        return Lookup(cached, now, decision, pending, is_leader, not (has_fallback or freshness.can_serve(cached)))

    def complete_fetch(self, entry: CacheEntry, pending: PendingFetch, outcome: CachedPrompt | None) -> None:
        """Complete a fetch and store its result, unless the entry was invalidated or the fetch lost its lease."""
        with self._lock:
            if pending.future.done():
                return
            if entry.pending is pending:
                entry.pending = None
                entry.cached = replace(entry.cached, was_abandoned=True) if outcome is None else outcome
            self._counts["errors"] += outcome is not None and outcome.error is not None
        pending.future.set_result(outcome)  # outside the lock, because it wakes waiting callers

    def start_reading(self, entry: CacheEntry, future: Future[Snapshot | None]) -> Future[Snapshot | None]:
        """Return the future of the first caller that reads the snapshot; that caller runs the read."""
        with self._lock:
            if entry.reading is None:
                entry.reading = future
            return entry.reading

    def adopt_snapshot(self, entry: CacheEntry, snapshot: Snapshot) -> None:
        """Store a snapshot read from disk, if the entry is still empty."""
        with self._lock:
            if entry.cached is EMPTY:
                since = self._clock() - snapshot.age
                entry.cached = CachedPrompt(snapshot.value, snapshot.etag, since, is_valid=False, is_snapshot=True)

    def invalidate(self, matches: Callable[[PromptKey, CachedPrompt], bool]) -> int:
        """Invalidate the entries that match; return their number."""
        with self._lock:
            found = [entry for key, entry in self._entries.items() if matches(key, entry.cached)]
            for entry in found:
                entry.cached = freshness.invalidated(entry.cached)
                entry.pending = None  # it may return the old version: only callers that already wait for it get that
        return len(found)
