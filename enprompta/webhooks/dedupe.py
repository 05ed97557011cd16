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
import uuid
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError
from enprompta.webhooks.stores import ClaimState, MemoryStore, RedisStore, SQLiteStore, Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

__all__ = ["Claim", "ClaimState", "Deduplicator", "MemoryStore", "RedisStore", "SQLiteStore", "Store"]


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

        Yields:
            The claim, as in `claim`.
        """
        from anyio import CancelScope, to_thread  # noqa: PLC0415 (verifying and sync handlers need no event loop)

        claim = await to_thread.run_sync(self.begin, event_id)  # once begun, not cancelled: it may have been granted
        try:
            yield claim
        except BaseException:
            if claim.is_mine:
                with CancelScope(shield=True):
                    await to_thread.run_sync(self.give_back, claim)
            raise
        if claim.is_mine:
            with CancelScope(shield=True):
                await to_thread.run_sync(self.finish, claim)
