"""Close an async client from synchronous code, on the event loop that opened its connections."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from enprompta.hooks import RequestRecord


class LoopKeeper:
    """A hook that remembers the last event loop of an async client, to close its connections there."""

    def __init__(self) -> None:
        self._last: asyncio.AbstractEventLoop | None = None

    def on_request(self, _: RequestRecord) -> None:
        """Remember the event loop of a request; trio's are ignored, because they never outlive a test."""
        with suppress(RuntimeError):
            self._last = asyncio.get_running_loop()

    def run(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Close a client, even if its event loop is closed or running elsewhere."""
        if self._last is not None and not (self._last.is_closed() or self._last.is_running()):
            self._last.run_until_complete(close())  # the loop is kept open for other tests
        else:
            # The loop is closed, or runs on another thread and closes the connections there. Both need a loop, on a new
            # thread so that this thread's current loop, which other plugins manage, stays untouched.
            thread = threading.Thread(target=lambda: asyncio.run(close()), name="enprompta-testing")
            thread.start()
            thread.join()
