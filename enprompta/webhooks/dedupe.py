"""Handle each event once, although the service may deliver it several times.

    deduplicator = Deduplicator(SQLiteStore("events.db"))

    with deduplicator.claim(event.id) as claim:
        if claim.is_mine:
            handle(event)

While one handler runs, no other handler gets the event. If the handler raises or its process dies, the event can be
claimed again, so that the service's next attempt handles it. Once a handler has succeeded, the event is done.
"""

from __future__ import annotations

import math
import threading
import uuid
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError
from enprompta.webhooks.stores import ClaimState, MemoryStore, RedisStore, SQLiteStore, Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

__all__ = ["Claim", "ClaimState", "Deduplicator", "MemoryStore", "RedisStore", "SQLiteStore", "Store"]

_RELEASE_GRACE = 0.1  # seconds that a cancelled task waits to release its claim; only a store that hangs takes longer


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of an attempt to claim an event."""

    event_id: str
    state: ClaimState
    """NEW: handle it. DONE: already handled, reply 200. BUSY: being handled and may fail, reply 503."""
    token: str
    """A random token that identifies this claim in the store."""

    @property
    def is_mine(self) -> bool:
        """True if the caller holds the claim and must handle the event."""
        return self.state is ClaimState.NEW


class Deduplicator:
    """Claims events in a store.

    Args:
        store: Where claims are kept; None for a new `MemoryStore`.
        lease: Seconds until a claim that was not ended expires, so that an event whose process was killed can be
            handled again. Must exceed the longest handler run: otherwise a second handler may run beside the first.
    """

    def __init__(self, store: Store | None = None, *, lease: float = 300.0) -> None:
        if not 0 < lease < math.inf:
            raise ConfigurationError(f"lease must be a positive number of seconds, not {lease}")
        self._store: Store = store if store is not None else MemoryStore()
        self._lease = lease

    def begin(self, event_id: str) -> Claim:
        """Try to claim an event; end a granted claim with `finish` or `give_back`."""
        token = uuid.uuid4().hex
        return Claim(event_id, self._store.claim(event_id, token, self._lease), token)

    def finish(self, claim: Claim) -> bool:
        """Mark an event as handled; False if the claim had expired."""
        return self._store.complete(claim.event_id, claim.token)

    def give_back(self, claim: Claim) -> bool:
        """Release an event that was not handled; False if the claim had expired."""
        return self._store.release(claim.event_id, claim.token)

    @contextmanager
    def claim(self, event_id: str) -> Generator[Claim, None, None]:
        """Try to claim an event for the length of a `with` block.

        Yields:
            The claim; handle the event only if it `is_mine`. The claim is finished when the block ends, and given back
            if the block raises.
        """
        claim = self.begin(event_id)
        try:
            yield claim
        except BaseException:
            if claim.is_mine:
                self.give_back(claim)
            raise
        if claim.is_mine:
            self.finish(claim)

    @asynccontextmanager
    async def aclaim(self, event_id: str) -> AsyncGenerator[Claim, None]:
        """Claim an event for the length of an `async with` block; the store runs in a worker thread.

        A store that hangs does not block a task that is cancelled or has timed out. The thread continues in the
        background: it ends the claim once the store responds, and releases a claim that is granted too late.

        Yields:
            The claim, as in `claim`.
        """
        claim = await self._abegin(event_id)
        try:
            yield claim
        except BaseException as failure:
            if claim.is_mine:
                await _run_to_completion(self.give_back, claim, failure)
            raise
        if claim.is_mine:
            await _run_to_completion(self.finish, claim)

    async def _abegin(self, event_id: str) -> Claim:
        from anyio import to_thread  # noqa: PLC0415 (verification and synchronous handlers need no event loop)

        handover = _ClaimHandover(self, event_id)
        try:
            return await to_thread.run_sync(handover.fetch, abandon_on_cancel=True)
        except BaseException as failure:
            granted = handover.abandon()
            if granted is not None and granted.is_mine:
                await _run_to_completion(self.give_back, granted, failure)
            raise


class _ClaimHandover:
    """Passes a claim from a worker thread to the task that asked for it, which may have been cancelled meanwhile."""

    def __init__(self, deduplicator: Deduplicator, event_id: str) -> None:
        self._deduplicator = deduplicator
        self._event_id = event_id
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._abandoned = False

    def fetch(self) -> Claim:
        """Claim the event, in the worker thread; release it if the task has abandoned it."""
        claim = self._deduplicator.begin(self._event_id)
        with self._lock:
            self._claim, abandoned = claim, self._abandoned
        if abandoned and claim.is_mine:
            self._deduplicator.give_back(claim)
        return claim

    def abandon(self) -> Claim | None:
        """Record that the task is cancelled; return a claim that was already granted, which the task must release."""
        with self._lock:
            self._abandoned = True
            return self._claim


async def _run_to_completion(work: Callable[[Claim], bool], claim: Claim, failure: BaseException | None = None) -> None:
    """Run a store operation in a thread even if the task is cancelled; the task waits only until its deadline."""
    import anyio  # noqa: PLC0415 (as above)

    cancelled = isinstance(failure, anyio.get_cancelled_exc_class())
    left = 0.0 if cancelled else anyio.current_effective_deadline() - anyio.current_time()
    with anyio.move_on_after(max(_RELEASE_GRACE, left), shield=True):
        # A separate limiter: threads that hang may use up the shared one, and this operation would never start.
        own = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(work, claim, abandon_on_cancel=True, limiter=own)
