"""Closing an async client from outside, by the event loop that opened its connections."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from enprompta.hooks import RequestRecord


class LoopKeeper:
    """A hook of the async client that remembers which event loop used it last, to close its connections there."""

    def __init__(self) -> None:
        self._last: asyncio.AbstractEventLoop | None = None

    def on_request(self, _: RequestRecord) -> None:
        """Note the event loop of a request; trio's need not be noted, for they never outlive a test."""
        with suppress(RuntimeError):
            self._last = asyncio.get_running_loop()

    def run(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Close a client, whatever has become of the loop."""
        if self._last is not None and not (self._last.is_closed() or self._last.is_running()):
            self._last.run_until_complete(close())  # it is kept for other tests, by a plugin or by the test itself
        else:
            # The connections went with their loop, or it runs on another thread, where it is told to close them. That
            # takes a loop too, and not one of this thread, whose current loop is other plugins' business.
            thread = threading.Thread(target=lambda: asyncio.run(close()), name="enprompta-testing")
            thread.start()
            thread.join()
