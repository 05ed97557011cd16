"""The cache behind `prompts.get_live`.

Each prompt has at most one pending fetch. The first caller starts it; the others wait for its future, or are served
what is cached. Futures work for threads and for the tasks of any event loop.
"""

from __future__ import annotations

import copy
import logging
import random
from concurrent.futures import Future
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from enprompta._common import log
from enprompta._common.clock import monotonic
from enprompta._common.forks import run_in_child
from enprompta._common.headers import is_header_text
from enprompta._common.narrowing import is_mapping
from enprompta._core.runner import Raw
from enprompta._core.steps import WaitForFuture
from enprompta.cache import freshness
from enprompta.cache.background_runners import Tasks, Threads
from enprompta.cache.fallback import as_prompt, call
from enprompta.cache.freshness import EMPTY, CacheDecision, CachedPrompt
from enprompta.cache.memory import FETCH_LEASE_SECONDS, Lookup, Memory
from enprompta.cache.snapshots import Disk
from enprompta.errors import APIError, APIStatusError, APITimeoutError, EnpromptaError, NotFoundError
from enprompta.models.live_prompts import CacheInfo, LivePrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from enprompta._core.call import RequestOptions
    from enprompta._core.runner import Flow
    from enprompta.cache.background_runners import Background
    from enprompta.cache.entries import CacheEntry, PendingFetch, Request
    from enprompta.cache.keys import CacheMetrics, PromptKey
    from enprompta.cache.snapshots import Snapshot

MAX_PROMPTS = 1_000  # maximum in memory; the least recently used is evicted
_NOT_MODIFIED = 304

_caches: WeakSet[LiveCache] = WeakSet()


def _after_fork() -> None:
    """Reset all caches in a child process, where the parent's threads do not exist."""
    for cache in list(_caches):
        cache.after_fork()


run_in_child(_after_fork)


class LiveCache:
    """The live prompts of one client and its views.

    Args:
        background: Runs refreshes.
        disk: Stores snapshots; None disables them.
        most: Maximum number of prompts in memory.
        clock: Returns monotonic seconds.
        chance: Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        background: Background,
        disk: Disk | None = None,
        *,
        most: int = MAX_PROMPTS,
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
        """Keep the cached prompts in a child process, and drop pending fetches and background work."""
        self._memory.after_fork()
        self.background.after_fork()

    @property
    def metrics(self) -> CacheMetrics:
        """Outcomes of `get_live` calls so far."""
        return self._memory.metrics

    def __len__(self) -> int:
        """Return the number of prompts in memory."""
        return len(self._memory)

    def __repr__(self) -> str:
        return f"<LiveCache of {len(self)} prompts: {self.metrics}>"

    def invalidate(self, slug: str, *, label: str | None = None) -> int:
        """Mark a prompt as changed: the next call fetches it, and serves the old value only if that fails.

        Args:
            slug: The exact slug.
            label: Only this label; None for all labels.

        Returns:
            Number of cached prompts affected, one for each label and project.
        """
        return self._memory.invalidate(lambda key, _: key.slug == slug and label in {None, key.label})

    def on_event(self, event: object) -> int:
        """Invalidate the prompt that a webhook event reports as changed; ignore other events.

        Args:
            event: An event of `enprompta.webhooks`. It counts if its name begins with `prompt.`, except
                `prompt.executed`, and its data has a `slug` or a `prompt_id`.

        Returns:
            Number of cached prompts affected.
        """
        name, data = getattr(event, "event", None), getattr(event, "data", None)
        if not isinstance(name, str) or not name.startswith("prompt.") or name == "prompt.executed":
            return 0
        fields: Mapping[str, object] = data if is_mapping(data) else {}
        names = {fields[field] for field in ("slug", "prompt_id", "promptId") if isinstance(fields.get(field), str)}
        # `get_live` accepts a prompt id in place of the slug.
        return self._memory.invalidate(
            lambda key, cached: key.slug in names or (cached.value is not None and cached.value.id in names)
        )

    def clear(self) -> None:
        """Remove all prompts from memory."""
        self._memory.clear()

    def get_fresh(self, key: PromptKey, ttl: float | None) -> LivePrompt | None:
        """Return a prompt that is in memory and younger than its TTL; None if there is none."""
        found = self._memory.fresh(key, ttl)
        return None if found is None else _from_cache(*found)

    def get(self, request: Request) -> Flow[LivePrompt]:
        """Return a live prompt: from memory, from the service, or else a stale prompt or the fallback.

        Raises:
            NotFoundError: The prompt does not exist, and the caller passed no fallback.
            APIError: The request failed, and there is no stale prompt or fallback.
        """
        entry = self._memory.entry(request.key)
        if self._disk is not None and entry.cached is EMPTY:
            yield from self._read_snapshot(self._disk, request.key, entry)
        while True:
            found = self._memory.decide(request, entry)
            if found.decision is CacheDecision.FRESH:
                return self._counted("hits", _from_cache(found.cached, found.now))
            if found.pending is not None and found.is_leader and not found.is_patient:
                self._spawn(request, entry, found.pending, request.in_background())
            if found.pending is None or found.decision is CacheDecision.STALE:
                return (yield from self._serve_fallback(request, entry, found.cached, found.cached.error))
            wait = self._fetch_now if found.is_leader and found.is_patient else self._join
            outcome = yield from wait(request, entry, found.pending, found)
            if outcome is not None or not found.is_patient:
                return (yield from self._serve_outcome(request, entry, found, outcome))

    def preload(self, requests: Iterable[Request]) -> Flow[list[LivePrompt]]:
        """Fetch several prompts concurrently and wait for all of them; raises what `get` raises."""
        wanted = list(requests)
        for request in wanted:
            entry = self._memory.entry(request.key)
            if entry.cached is EMPTY:
                found = self._memory.decide(request, entry)
                if found.pending is not None and found.is_leader:
                    self._spawn(request, entry, found.pending, request.options)
        prompts: list[LivePrompt] = []
        for request in wanted:
            prompts.append((yield from self.get(request)))  # noqa: PERF401 (a comprehension cannot yield)
        return prompts

    def _join(self, request: Request, _: CacheEntry, pending: PendingFetch, found: Lookup) -> Flow[CachedPrompt | None]:
        """Wait for a pending fetch and return its result; None if it was abandoned or takes too long.

        A caller with a stale prompt or a fallback waits at most the connect timeout, counted from its start.

        Raises:
            APITimeoutError: The caller's deadline passed, and it has no stale prompt or fallback.
        """
        settings = request.client.settings_for(request.options)
        ends = pending.began + (FETCH_LEASE_SECONDS if found.is_patient else settings.extensions["timeout"]["connect"])
        own = ends if settings.deadline is None else found.now + settings.deadline
        if ends <= found.now:  # the fetch has used up its time
            return None
        try:
            yield WaitForFuture(pending.future, min(ends, own))
        except APITimeoutError:
            if found.is_patient and own < ends:
                raise APITimeoutError(
                    f"prompt {request.key.slug!r}: the deadline of {settings.deadline:g} s passed while another caller "
                    "was fetching it"
                ) from None
            return None
        return pending.future.result()

    def _fetch_now(self, request: Request, entry: CacheEntry, pending: PendingFetch, _: Lookup) -> Flow[CachedPrompt]:
        """Fetch for a caller with no stale prompt or fallback, with the retries of an ordinary call."""
        return _value_or_raise(*(yield from self._run_fetch(request, entry, pending, request.options)))

    def _serve_outcome(
        self, request: Request, entry: CacheEntry, found: Lookup, outcome: CachedPrompt | None
    ) -> Flow[LivePrompt]:
        """Return the fetched prompt, or the best substitute if the fetch failed."""
        if outcome is None:
            return (
                yield from self._serve_fallback(
                    request, entry, found.cached, cast("PendingFetch", found.pending).timeout_error
                )
            )
        if outcome.error is None:
            return self._counted("misses", _from_cache(outcome, self._clock()))
        return (yield from self._serve_fallback(request, entry, outcome, outcome.error))

    def _spawn(self, request: Request, entry: CacheEntry, pending: PendingFetch, options: RequestOptions) -> None:
        """Start a fetch in the background."""
        self._memory.count("refreshes")
        flow = self._refresh(request, entry, pending, options)
        self.background.spawn(request.client, flow, partial(self._memory.complete_fetch, entry, pending, None))

    def _refresh(
        self, request: Request, entry: CacheEntry, pending: PendingFetch, options: RequestOptions
    ) -> Flow[None]:
        if entry.pending is not pending:  # invalidated, or its lease ended while it waited for a thread
            return
        try:
            _, error = yield from self._run_fetch(request, entry, pending, options)
        except EnpromptaError as unsent:
            error = unsent
        if error is not None:
            log.event(
                logging.WARNING, "live_refresh_failed", slug=request.key.slug, label=request.key.label,
                error=type(error).__name__, what=error.message,
            )  # fmt: skip

    def _run_fetch(
        self, request: Request, entry: CacheEntry, pending: PendingFetch, options: RequestOptions
    ) -> Flow[tuple[CachedPrompt, APIError | None]]:
        """Send the request, store its result in memory, and write the snapshot."""
        known = entry.cached
        outcome: CachedPrompt | None = None
        try:
            outcome = yield from self._fetch(request, known, options)
            result: tuple[CachedPrompt, APIError | None] = outcome, None
        except APIError as failure:
            # A copy, because the traceback of the original keeps the frames of the call alive.
            outcome = freshness.failed(known, copy.copy(failure), self._clock(), request.ttl, self._chance())
            result = outcome, failure
        finally:  # waiting callers need a result, however this ends
            self._memory.complete_fetch(entry, pending, outcome)
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
        self, request: Request, entry: CacheEntry, cached: CachedPrompt, error: APIError | None
    ) -> Flow[LivePrompt]:
        """Return a substitute for the live prompt: the cached value, else the fallback; else raise the error."""
        now = self._clock()
        if cached.value is not None and freshness.can_serve(cached):
            return self._counted(
                "stale", cached.value.with_cache_info(CacheInfo(cached.age(now), is_stale=True, error=error))
            )
        fallback = request.fallback
        if fallback is not None:
            cached_fallback = entry.fallback
            if cached_fallback is None or cached_fallback[0] is not fallback or cached_fallback[1] is not error:
                prompt = as_prompt((yield from self._value_of(fallback, request.key)), request.key)
                entry.fallback = cached_fallback = fallback, error, prompt
            return self._counted(
                "fallbacks", cached_fallback[2].with_cache_info(CacheInfo(is_fallback=True, error=error))
            )
        failure = cast("APIError", copy.copy(error))  # a copy per caller, because each raise extends the traceback
        if now < cached.retry_at and not isinstance(failure, NotFoundError):
            failure.add_context(f"get_live sends no further request for {cached.retry_at - now:.1f} s")
        raise failure

    def _value_of(self, fallback: object, key: PromptKey) -> Flow[object]:
        value = call(fallback, key.slug) if callable(fallback) else fallback
        if isawaitable(value):
            future = self.background.run_awaitable(value)
            yield WaitForFuture(future)
            return future.result()
        return value

    def _read_snapshot(self, disk: Disk, key: PromptKey, entry: CacheEntry) -> Flow[None]:
        """Load the snapshot from disk, once for all callers."""
        future: Future[Snapshot | None] = Future()
        first = self._memory.start_reading(entry, future)
        if first is future:
            self.background.offload(future, partial(disk.load, key))
        yield WaitForFuture(first)
        if (snapshot := first.result()) is not None:
            self._memory.adopt_snapshot(entry, snapshot)

    def _write_snapshot(self, disk: Disk, key: PromptKey, known: CachedPrompt, outcome: CachedPrompt) -> Flow[None]:
        """Save a live prompt to disk, or delete the snapshot of one that no longer exists."""
        value, is_new = outcome.value, outcome.value != known.value or outcome.etag != known.etag
        job: Callable[[], None]
        if isinstance(outcome.error, NotFoundError):
            job = partial(disk.delete, key)
        elif outcome.error is None and value is not None:
            job = partial(disk.record, key, value, outcome.etag, is_new=is_new)
        else:
            return
        future: Future[None] = Future()
        self.background.offload(future, job)
        yield WaitForFuture(future)

    def _counted(self, name: str, prompt: LivePrompt) -> LivePrompt:
        self._memory.count(name)
        return prompt


def _from_cache(cached: CachedPrompt, now: float) -> LivePrompt:
    value: Any = cached.value  # not None, because it is fresh
    age = now - cached.confirmed_at
    return value.with_cache_info(CacheInfo(age if age > 0.0 else 0.0))  # noqa: FURB136 (`max` takes five times as long)


def _value_or_raise(outcome: CachedPrompt, error: APIError | None) -> CachedPrompt:
    if error is not None:
        raise error
    return outcome


def open_cache(
    folder: str | PathLike[str] | None, account: str, secrets: Callable[[], Sequence[str]], *, is_async: bool
) -> LiveCache:
    """Open a cache.

    Args:
        folder: The folder of snapshots; None for none.
        account: The base URL and the identity of the credentials.
        secrets: Returns the secrets of the client; the first one signs the snapshots.
        is_async: True to work in tasks of the event loop, False to work in threads.
    """
    disk = None if folder is None else Disk(Path(folder).expanduser(), account, secrets()[0])
    return LiveCache(Tasks() if is_async else Threads(), disk)
