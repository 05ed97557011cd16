"""Notices to clients that the prompt list has changed."""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
from mcp.server.subscriptions import InMemorySubscriptionBus, PromptsListChanged

from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

    from mcp import ServerSession
    from mcp.server.subscriptions import ServerEvent

    from enprompta.mcp.catalog import PromptCatalog

log: logging.Logger = logging.getLogger("enprompta.mcp")

MAX_SESSIONS = 1000  # sessions remembered; the oldest ones get no more notices


class Audience:
    """The clients that can hear a notice: sessions of the older protocol, and subscriptions of the newer one."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[Hashable, ServerSession] = OrderedDict()
        self._streams: dict[Hashable, int] = {}
        self._arrived = anyio.Event()
        self.bus: CountingBus = CountingBus(self._arrive)

    @property
    def is_empty(self) -> bool:
        """True when no client would hear a notice."""
        return not self.bus.listener_count and not self._listening()

    def join(self, key: Hashable, session: ServerSession) -> None:
        """Remember a session, which hears notices while `listening(key)` is open."""
        self._sessions[key] = session
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        self._arrive()

    def leave(self, key: Hashable) -> None:
        """Forget a session."""
        self._sessions.pop(key, None)

    @contextmanager
    def listening(self, key: Hashable) -> Generator[None]:
        """Mark a session as one that has an open stream for notices."""
        self._streams[key] = self._streams.get(key, 0) + 1
        self._arrive()
        try:
            yield
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]

    async def wait(self) -> None:
        """Wait until a client listens."""
        while self.is_empty:
            self._arrived = anyio.Event()
            await self._arrived.wait()

    async def notify(self) -> None:
        """Send the notice to every client that listens."""
        for session in self._listening():
            await session.send_prompt_list_changed()
        await self.bus.publish(PromptsListChanged())

    def _arrive(self) -> None:
        self._arrived.set()

    def _listening(self) -> list[ServerSession]:
        return [session for key, session in self._sessions.items() if key in self._streams]


class CountingBus(InMemorySubscriptionBus):
    """Subscriptions, counted."""

    def __init__(self, on_subscribe: Callable[[], None]) -> None:
        super().__init__()
        self._on_subscribe = on_subscribe
        self.listener_count: int = 0

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener; returns what unregisters it."""
        unsubscribe = super().subscribe(listener)
        self.listener_count += 1
        self._on_subscribe()

        def leave() -> None:
            self.listener_count -= 1
            unsubscribe()

        return leave


class ListWatcher:
    """Polls the prompt list while a client listens, and announces changes.

    A list that no client has seen is not polled. One watcher may run for each connection: they share the list and what
    was announced, so that each change is announced once.
    """

    def __init__(self, catalog: PromptCatalog, audience: Audience, interval: float) -> None:
        self._catalog = catalog
        self._audience = audience
        self._interval = interval
        self._announced = catalog.revision

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self._audience.wait()
            await self._catalog.wait_until_stale(self._interval)
            if self._catalog.is_loaded and not self._audience.is_empty:
                await self._refresh()
            if self._announced != self._catalog.revision:
                self._announced = self._catalog.revision
                await self._audience.notify()

    async def _refresh(self) -> None:
        try:
            await self._catalog.refresh(self._interval / 2)
        except EnpromptaError as error:
            log.warning("The prompt list cannot be refreshed: %s", error)
