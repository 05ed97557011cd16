"""The only place that does I/O and sleeps: two small drivers of the same steps, one blocking and one async."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from enprompta._http.exchange import Send, Step, Steps
from enprompta._http.failures import transport_error
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable

T = TypeVar("T")

# Enough for the busiest process; the pool opens connections as they are needed.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)

# What httpx and what is below it may raise instead of an answer. RuntimeError is how httpx says "closed".
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Load the trusted certificates once a process: it takes some 15 ms, more than all else a client does."""
    return httpx.create_ssl_context()


class SyncTransport:
    """Drives steps by blocking the thread."""

    def __init__(self, http_client: httpx.Client | None) -> None:
        self._owned = http_client is None
        self._http = http_client or httpx.Client(verify=tls_context(), limits=LIMITS)

    def run(self, steps: Steps[T]) -> T:
        """Do step after step until the result is there."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = self._perform(step)
                except EnpromptaError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    def _perform(self, step: Step) -> Any:  # noqa: ANN401 (each step has its own outcome)
        if isinstance(step, Send):
            try:
                return self._http.send(step.request, follow_redirects=False)
            except FOREIGN as error:
                raise transport_error(step.call, step.request.url.host, error) from error
        return time.sleep(step.seconds)

    def close(self) -> None:
        """Close the connections, unless they are of a client the caller made."""
        if self._owned:
            self._http.close()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._http.is_closed


class AsyncTransport:
    """Drives steps on asyncio or trio."""

    def __init__(self, http_client: httpx.AsyncClient | None) -> None:
        self._owned = http_client is None
        self._http = http_client or httpx.AsyncClient(verify=tls_context(), limits=LIMITS)

    async def run(self, steps: Steps[T]) -> T:
        """Do step after step until the result is there."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = await self._perform(step)
                except EnpromptaError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    async def _perform(self, step: Step) -> Any:  # noqa: ANN401 (each step has its own outcome)
        if isinstance(step, Send):
            try:
                return await self._http.send(step.request, follow_redirects=False)
            except FOREIGN as error:
                raise transport_error(step.call, step.request.url.host, error) from error
        return await sleep(step.seconds)

    async def aclose(self) -> None:
        """Close the connections, unless they are of a client the caller made."""
        if self._owned:
            await self._http.aclose()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._http.is_closed


def sleep(seconds: float) -> Awaitable[None]:
    """Sleep on the event loop that runs: asyncio's or trio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # A coroutine that runs outside asyncio runs on trio, which is then imported already.
        return sys.modules["trio"].sleep(seconds)  # type: ignore[no-any-return]
    return asyncio.sleep(seconds)
