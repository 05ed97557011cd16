"""Handle each event once, although the service may send it many times.

    deduplicator = Deduplicator(SQLiteStore("events.db"))

    with deduplicator.claim(event.id) as claim:
        if claim.is_mine:
            handle(event)

An event's handler succeeds once. While it runs, nobody else gets the event; when it raises, or its process dies, the
event can be claimed again, so that the service's next attempt handles it.
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

_MOMENT = 0.1  # seconds that a cancelled task waits for its claim to be given back; only a hung store takes longer


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim on an event."""

    event_id: str
    state: ClaimState
    """NEW: handle it. DONE: it was handled, answer 200. BUSY: it is being handled and may fail, answer 503."""
    token: str
    """What proves the claim to the store."""

    @property
    def is_mine(self) -> bool:
        """Whether the claimant is the one to handle the event."""
        return self.state is ClaimState.NEW


class Deduplicator:
    """Claims on events, kept in a store.

    Args:
        store: Where the claims are kept; None for a `MemoryStore` of its own.
        lease: Seconds after which a claim is void unless it has ended before, so that an event whose process was killed
            can be handled again. Choose it longer than any handler takes: a handler that is still at work when its
            lease ends may run beside another one.
    """

    def __init__(self, store: Store | None = None, *, lease: float = 300.0) -> None:
        if not 0 < lease < math.inf:
            raise ConfigurationError(f"lease must be a positive number of seconds, not {lease}")
        self._store: Store = store if store is not None else MemoryStore()
        self._lease = lease

    def begin(self, event_id: str) -> Claim:
        """Try to claim an event; one that is granted must end in `finish` or `give_back`."""
        token = uuid.uuid4().hex
        return Claim(event_id, self._store.claim(event_id, token, self._lease), token)

    def finish(self, claim: Claim) -> bool:
        """Say that an event is handled; False when the claim was void by then."""
        return self._store.complete(claim.event_id, claim.token)

    def give_back(self, claim: Claim) -> bool:
        """Say that an event could not be handled; False when the claim was void by then."""
        return self._store.release(claim.event_id, claim.token)

    @contextmanager
    def claim(self, event_id: str) -> Generator[Claim, None, None]:
        """Try to claim an event for the length of a `with` block.

        Yields:
            The claim; handle the event only if it `is_mine`. It is finished when the block ends, and given back when
            the block raises.
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
        """Do what `claim` does in an `async with` block, with the store's work in a worker thread.

        A store that hangs holds no task that is cancelled, or whose time is up: the thread goes on, ends the claim when
        the store can be reached again, and gives back what is granted too late.

        Yields:
            The claim, as in `claim`.
        """
        claim = await self._abegin(event_id)
        try:
            yield claim
        except BaseException as failure:
            if claim.is_mine:
                await _surely(self.give_back, claim, failure)
            raise
        if claim.is_mine:
            await _surely(self.finish, claim)

    async def _abegin(self, event_id: str) -> Claim:
        from anyio import to_thread  # noqa: PLC0415 (verifying and sync handlers need no event loop)

        handover = _Handover(self, event_id)
        try:
            return await to_thread.run_sync(handover.fetch, abandon_on_cancel=True)
        except BaseException as failure:
            granted = handover.leave()
            if granted is not None and granted.is_mine:
                await _surely(self.give_back, granted, failure)
            raise


class _Handover:
    """A claim on its way from a worker thread to the task that asked for it, which may be gone when it comes."""

    def __init__(self, deduplicator: Deduplicator, event_id: str) -> None:
        self._deduplicator = deduplicator
        self._event_id = event_id
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._gone = False

    def fetch(self) -> Claim:
        """Claim the event, on the thread; give it back if nobody is there to handle it."""
        claim = self._deduplicator.begin(self._event_id)
        with self._lock:
            self._claim, gone = claim, self._gone
        if gone and claim.is_mine:
            self._deduplicator.give_back(claim)
        return claim

    def leave(self) -> Claim | None:
        """Say that the task goes; a claim that has come already is given, and is then the task's to give back."""
        with self._lock:
            self._gone = True
            return self._claim


async def _surely(work: Callable[[Claim], bool], claim: Claim, failure: BaseException | None = None) -> None:
    """Have a store's work done in a thread whatever becomes of the task, which waits only as long as it has time."""
    import anyio  # noqa: PLC0415 (as above)

    cancelled = isinstance(failure, anyio.get_cancelled_exc_class())
    left = 0.0 if cancelled else anyio.current_effective_deadline() - anyio.current_time()
    with anyio.move_on_after(max(_MOMENT, left), shield=True):
        # A limiter of its own: threads that hang may stand in the line of the shared one, and then it would not begin.
        own = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(work, claim, abandon_on_cancel=True, limiter=own)
