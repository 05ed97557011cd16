"""The cache behind `prompts.get_live`: who asks, who waits, who gets what.

A prompt is asked for by one *flight* at a time. Whoever finds none begins it; the others join it, by waiting for its
gate, or are given what is held. Gates are futures, which threads and the tasks of any event loop can wait for.
"""

from __future__ import annotations

import copy
import logging
import os
import random
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from enprompta._common import log
from enprompta._common.clock import monotonic
from enprompta._common.headers import is_header_text
from enprompta._core.runner import Raw
from enprompta._core.steps import WaitForFuture
from enprompta.cache import freshness
from enprompta.cache.fallback import as_prompt, call
from enprompta.cache.freshness import EMPTY, CacheDecision, CachedPrompt
from enprompta.cache.memory import FETCH_LEASE_SECONDS, Lookup, Memory
from enprompta.errors import APIError, APIStatusError, APITimeoutError, EnpromptaError, NotFoundError
from enprompta.models.prompts import CacheInfo, LivePrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta._core.call import RequestOptions
    from enprompta._core.runner import Flow
    from enprompta.cache.background_runners import Background
    from enprompta.cache.entries import CacheEntry, PendingFetch, Request
    from enprompta.cache.keys import CacheMetrics, PromptKey
    from enprompta.cache.snapshots import Disk, Snapshot

MOST_PROMPTS = 1_000  # held at once; the one that was not asked for longest goes first
_NOT_MODIFIED = 304

_caches: WeakSet[LiveCache] = WeakSet()


def _after_fork() -> None:
    """Let a child process wait for no thread of its parent."""
    for cache in list(_caches):
        cache.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


class LiveCache:
    """The live prompts of one client and its views.

    Args:
        background: Where refreshes run.
        disk: Where snapshots are kept; None for nowhere.
        most: Prompts that are held at once.
        clock: Tells monotonic seconds.
        chance: Draws a number from 0 to 1.
    """

    def __init__(
        self,
        background: Background,
        disk: Disk | None = None,
        *,
        most: int = MOST_PROMPTS,
        clock: Callable[[], float] = monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.background = background
        self._disk = disk
        self._memory = Memory(most, clock)
        self._clock = clock
        self._chance = chance
        _caches.add(self)

    def after_fork(self) -> None:
        """Start in a child process with what is held, and with nobody at work."""
        self._memory.after_fork()
        self.background.after_fork()

    @property
    def metrics(self) -> CacheMetrics:
        """What became of calls so far."""
        return self._memory.metrics

    def __len__(self) -> int:
        """How many prompts have a place."""
        return len(self._memory)

    def __repr__(self) -> str:
        return f"<LiveCache of {len(self)} prompts: {self.metrics}>"

    def invalidate(self, slug: str, *, label: str | None = None) -> int:
        """Have a prompt asked for anew at its next call; what is held is given only when that fails.

        Args:
            slug: Exactly this one.
            label: Only under this label; None for all.

        Returns:
            How many prompts, one for each label and project, this concerns.
        """
        return self._memory.invalidate(lambda key, _: key.slug == slug and label in {None, key.label})

    def on_event(self, event: object) -> int:
        """Invalidate the prompt that a webhook event says has changed; other events concern none.

        Args:
            event: One of `enprompta.webhooks`. It counts when its name begins with `prompt.`, except `prompt.executed`,
                and its data has a `slug` or a `prompt_id`.

        Returns:
            How many prompts this concerns.
        """
        name, data = getattr(event, "event", None), getattr(event, "data", None)
        if not isinstance(name, str) or not name.startswith("prompt.") or name == "prompt.executed":
            return 0
        told = cast("Mapping[str, object]", data if isinstance(data, Mapping) else {})
        names = {told[field] for field in ("slug", "prompt_id", "promptId") if isinstance(told.get(field), str)}
        # The service finds a prompt by its id as by its slug.
        return self._memory.invalidate(
            lambda key, held: key.slug in names or (held.value is not None and held.value.id in names)
        )

    def clear(self) -> None:
        """Forget what is held in memory."""
        self._memory.clear()

    def get(self, request: Request) -> Flow[LivePrompt]:
        """Give a live prompt: from memory, from the service, or what stands in for it.

        Raises:
            NotFoundError: There is no such prompt, and the caller brought no fallback.
            APIError: The service gave none, and nothing is there to stand in.
        """
        entry, held, now = self._memory.look_up(request.key, request.ttl)
        if entry is None:
            return _served(held, now)
        if self._disk is not None and held is EMPTY:
            yield from self._read_snapshot(self._disk, request.key, entry)
        while True:
            found = self._memory.decide(request, entry)
            if found.verdict is CacheDecision.FRESH:  # it came between two looks
                return self._counted("hits", _served(found.held, found.now))
            if found.flight is not None and found.is_leader and not found.is_patient:
                self._spawn(request, entry, found.flight, request.in_background())
            if found.flight is None or found.verdict is CacheDecision.STALE:
                return (yield from self._serve_fallback(request, entry, found.held, found.held.error))
            wait = self._ask if found.is_leader and found.is_patient else self._join
            outcome = yield from wait(request, entry, found.flight, found)
            if outcome is not None or not found.is_patient:
                return (yield from self._conclude(request, entry, found, outcome))

    def preload(self, requests: Iterable[Request]) -> Flow[list[LivePrompt]]:
        """Ask for several prompts at once, and wait for all of them; raises what `get` raises."""
        wanted = list(requests)
        for request in wanted:
            entry, _, _ = self._memory.look_up(request.key, request.ttl, count=0)
            if entry is not None and entry.held is EMPTY:
                found = self._memory.decide(request, entry)
                if found.flight is not None and found.is_leader:
                    self._spawn(request, entry, found.flight, request.options)
        prompts: list[LivePrompt] = []
        for request in wanted:
            prompts.append((yield from self.get(request)))  # noqa: PERF401 (a comprehension cannot yield)
        return prompts

    def _join(self, request: Request, _: CacheEntry, flight: PendingFetch, found: Lookup) -> Flow[CachedPrompt | None]:
        """Wait for a flight, and give what it brought; None when it brought nothing, or not in time.

        Who has something else waits no longer than connecting may take, counted from the flight's beginning.

        Raises:
            APITimeoutError: The deadline of a caller who has nothing else passed.
        """
        settings = request.client.settings_for(request.options)
        ends = flight.began + (FETCH_LEASE_SECONDS if found.is_patient else settings.timeouts["connect"])
        own = ends if settings.deadline is None else found.now + settings.deadline
        if ends <= found.now:  # it has been waited for long enough
            return None
        try:
            yield WaitForFuture(flight.gate, min(ends, own))
        except APITimeoutError:
            if found.is_patient and own < ends:
                raise APITimeoutError(
                    f"prompt {request.key.slug!r}: the deadline of {settings.deadline:g} s passed while another caller "
                    "was asking for it"
                ) from None
            return None
        return flight.gate.result()

    def _ask(self, request: Request, entry: CacheEntry, flight: PendingFetch, _: Lookup) -> Flow[CachedPrompt]:
        """Ask for a caller who has nothing else, with all the retries of an ordinary call."""
        return _good(*(yield from self._run_fetch(request, entry, flight, request.options)))

    def _conclude(
        self, request: Request, entry: CacheEntry, found: Lookup, outcome: CachedPrompt | None
    ) -> Flow[LivePrompt]:
        """Give what a flight brought, or what there is when it brought nothing."""
        if outcome is None:
            return (
                yield from self._serve_fallback(request, entry, found.held, cast("PendingFetch", found.flight).late)
            )
        if outcome.error is None:
            return self._counted("misses", _served(outcome, self._clock()))
        return (yield from self._serve_fallback(request, entry, outcome, outcome.error))

    def _spawn(self, request: Request, entry: CacheEntry, flight: PendingFetch, options: RequestOptions) -> None:
        """Ask in the background."""
        self._memory.count("refreshes")
        flow = self._refresh(request, entry, flight, options)
        self.background.spawn(request.client, flow, partial(self._memory.complete_fetch, entry, flight, None))

    def _refresh(
        self, request: Request, entry: CacheEntry, flight: PendingFetch, options: RequestOptions
    ) -> Flow[None]:
        if entry.flight is not flight:  # it waited for a thread so long that it was given up, or was invalidated
            return
        try:
            _, error = yield from self._run_fetch(request, entry, flight, options)
        except EnpromptaError as unsent:
            error = unsent
        if error is not None:
            log.event(
                logging.WARNING, "live_refresh_failed", slug=request.key.slug, label=request.key.label,
                error=type(error).__name__, what=error.message,
            )  # fmt: skip

    def _run_fetch(
        self, request: Request, entry: CacheEntry, flight: PendingFetch, options: RequestOptions
    ) -> Flow[tuple[CachedPrompt, APIError | None]]:
        """Make the request, hold what it brings, good or bad, and write it down."""
        known = entry.held
        outcome: CachedPrompt | None = None
        try:
            outcome = yield from self._fetch(request, known, options)
            result: tuple[CachedPrompt, APIError | None] = outcome, None
        except APIError as failure:
            # A copy, for a traceback holds on to whatever was going on.
            outcome = freshness.failed(known, copy.copy(failure), self._clock(), request.ttl, self._chance())
            result = outcome, failure
        finally:  # however it ends: others wait for it
            self._memory.complete_fetch(entry, flight, outcome)
        if self._disk is not None:
            yield from self._write_snapshot(self._disk, request.key, known, result[0])
        return result

    def _fetch(self, request: Request, known: CachedPrompt, options: RequestOptions) -> Flow[CachedPrompt]:
        try:
            response = yield Raw(request.call(known, options))
        except APIStatusError as error:
            if error.status_code != _NOT_MODIFIED or known.value is None:
                raise
            value, etag = known.value, known.etag
        else:
            value, tag = response.data, response.headers.get("etag")
            etag = tag if tag and is_header_text(tag) else None
        return freshness.confirmed(value, etag, self._clock(), self._chance())

    def _serve_fallback(
        self, request: Request, entry: CacheEntry, held: CachedPrompt, error: APIError | None
    ) -> Flow[LivePrompt]:
        """Give what there is in place of what is live: what is held, else the fallback, else the failure."""
        now = self._clock()
        if held.value is not None and freshness.can_serve(held):
            return self._counted(
                "stale", held.value.with_cache_info(CacheInfo(held.age(now), is_stale=True, error=error))
            )
        fallback = request.fallback
        if fallback is not None:
            made = entry.fallback
            if made is None or made[0] is not fallback or made[1] is not error:
                prompt = as_prompt((yield from self._value_of(fallback, request.key)), request.key)
                entry.fallback = made = fallback, error, prompt
            return self._counted("fallbacks", made[2].with_cache_info(CacheInfo(is_fallback=True, error=error)))
        failure = cast("APIError", copy.copy(error))  # each caller's own: a traceback grows with every raise
        if now < held.retry_at and not isinstance(failure, NotFoundError):
            failure.add_context(f"get_live does not ask again for {held.retry_at - now:.1f} s")
        raise failure

    def _value_of(self, fallback: object, key: PromptKey) -> Flow[Any]:
        value = call(cast("Callable[..., Any]", fallback), key.slug) if callable(fallback) else fallback
        if isawaitable(value):
            gate = self.background.adopt(value)
            yield WaitForFuture(gate)
            return gate.result()
        return value

    def _read_snapshot(self, disk: Disk, key: PromptKey, entry: CacheEntry) -> Flow[None]:
        """Take what is on disk for a start; it is read once, whoever needs it."""
        gate: Future[Snapshot | None] = Future()
        first = self._memory.start_reading(entry, gate)
        if first is gate:
            self.background.offload(gate, partial(disk.load, key))
        yield WaitForFuture(first)
        if (snapshot := first.result()) is not None:
            self._memory.take(entry, snapshot)

    def _write_snapshot(self, disk: Disk, key: PromptKey, known: CachedPrompt, outcome: CachedPrompt) -> Flow[None]:
        """Keep on disk what is live now, and nothing of what is no more; a failure changes nothing there."""
        value, is_new = outcome.value, outcome.value != known.value or outcome.etag != known.etag
        job: Callable[[], None]
        if isinstance(outcome.error, NotFoundError):
            job = partial(disk.forget, key)
        elif outcome.error is None and value is not None:
            job = partial(disk.keep, key, value, outcome.etag, is_new=is_new)
        else:
            return
        gate: Future[None] = Future()
        self.background.offload(gate, job)
        yield WaitForFuture(gate)

    def _counted(self, name: str, prompt: LivePrompt) -> LivePrompt:
        self._memory.count(name)
        return prompt


def _served(held: CachedPrompt, now: float) -> LivePrompt:
    return cast("LivePrompt", held.value).with_cache_info(CacheInfo(held.age(now)))


def _good(outcome: CachedPrompt, error: APIError | None) -> CachedPrompt:
    if error is not None:
        raise error
    return outcome
