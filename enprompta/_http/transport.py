"""The only place that does I/O and sleeps: two small drivers of the same steps, one blocking and one async."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import warnings
from concurrent.futures import wait
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import httpx

from enprompta._http.deadline import bound_reads, reads_end_at
from enprompta._http.exchange import Admit, Send, Sleep, Step, Steps
from enprompta._http.failures import transport_error
from enprompta._http.masking import mask_for
from enprompta.errors import APITimeoutError

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Future

    from enprompta._http.auth import ApiKeyAuth, ClientCredentials
    from enprompta.errors import EnpromptaError

T = TypeVar("T")

# Enough for the busiest process; the pool opens connections as they are needed.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)

# What httpx and what is below it may raise instead of an answer. RuntimeError is how httpx says "closed".
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError)

_UNCLOSED = "an {} client was not closed: use it in a with block, or call its {}"


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Load the trusted certificates once a process: it takes some 15 ms, more than all else a client does."""
    return httpx.create_ssl_context()


_transports: WeakSet[SyncTransport | AsyncTransport] = WeakSet()


def _after_fork() -> None:
    """Give each client of a child process connections of its own: two processes cannot share one."""
    for transport in list(_transports):
        transport.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


class SyncTransport:
    """Drives steps by blocking the thread."""

    def __init__(self, http_client: httpx.Client | None, auth: ApiKeyAuth | ClientCredentials) -> None:
        self._owned = http_client is None
        self._auth = auth
        self._used = False
        self._http = http_client or _sync_client()
        bound_reads(self._http)
        _transports.add(self)

    def run(self, steps: Steps[T]) -> T:
        """Do step after step until the result is there."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = self._perform(step)
                except Exception as error:  # noqa: BLE001 (the steps decide what an error means)
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    def _perform(self, step: Step) -> Any:  # noqa: ANN401 (each step has its own outcome)
        if isinstance(step, Admit):
            return step.account.acquire(step.ticket, max_wait=step.max_wait, deadline=step.ends)
        if isinstance(step, Send):
            try:
                self._used = True
                with reads_end_at(step.ends):
                    return self._http.send(step.request, follow_redirects=False)
            except FOREIGN as error:
                failure = _failure(step, error, self._auth)
            raise failure  # out here, so that its context is not what it may have left out of its causes
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        if step.gate in wait([step.gate], _left(step.ends)).done:
            return None
        raise gate_timeout()

    def close(self) -> None:
        """Close the connections, unless they are of a client the caller made."""
        if self._owned:
            self._http.close()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._http.is_closed

    def after_fork(self) -> None:
        """Start with fresh connections in a child process."""
        self._auth.after_fork()
        if self._owned and not self._http.is_closed:
            # Not closed: a thread of the parent may have held the pool's lock, and will never give it back here.
            self._parents = self._http
            self._http = _sync_client()
            bound_reads(self._http)

    def __del__(self) -> None:
        if getattr(self, "_owned", False) and self._used and not self._http.is_closed:
            warnings.warn(_UNCLOSED.format("Enprompta", "close()"), ResourceWarning, source=self, stacklevel=2)
            self._http.close()


class AsyncTransport:
    """Drives steps on asyncio or trio."""

    def __init__(self, http_client: httpx.AsyncClient | None, auth: ApiKeyAuth | ClientCredentials) -> None:
        self._given = http_client
        self._auth = auth
        # Connections belong to the event loop that opened them, so each loop has its own pool: a client made outside
        # of any loop, or used by one `asyncio.run` after another, just works.
        self._pools: WeakKeyDictionary[Any, httpx.AsyncClient] = WeakKeyDictionary()
        self._current: tuple[Any, httpx.AsyncClient] | None = None
        self._closed = False
        _transports.add(self)

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        loop = current_loop()
        current = self._current  # one tuple, read once: threads with loops of their own may share this client
        if current is not None and current[0] is loop:
            return current[1]
        if self._closed:
            raise RuntimeError("closed")  # as httpx says it
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = httpx.AsyncClient(verify=tls_context(), limits=LIMITS)
        self._current = loop, pool
        return pool

    async def run(self, steps: Steps[T]) -> T:
        """Do step after step until the result is there."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = await self._perform(step)
                except Exception as error:  # noqa: BLE001 (the steps decide what an error means)
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    async def _perform(self, step: Step) -> Any:  # noqa: ANN401 (each step has its own outcome)
        if isinstance(step, Admit):
            return await step.account.acquire_async(step.ticket, max_wait=step.max_wait, deadline=step.ends)
        if isinstance(step, Send):
            try:
                if step.ends is None:
                    return await self._http.send(step.request, follow_redirects=False)
                return await self._send_until(step, step.ends)
            except FOREIGN as error:
                failure = _failure(step, error, self._auth)
            raise failure  # out here, so that its context is not what it may have left out of its causes
        if isinstance(step, Sleep):
            return await sleep(step.seconds)
        import anyio  # noqa: PLC0415 (httpx brings it and loads it with its first async request)

        with anyio.move_on_after(_left(step.ends)):
            return await opened(step.gate)
        raise gate_timeout()

    async def _send_until(self, step: Send, ends: float) -> httpx.Response:
        import anyio  # noqa: PLC0415

        with anyio.move_on_after(max(0.0, ends - time.monotonic())):
            return await self._http.send(step.request, follow_redirects=False)
        raise APITimeoutError(f"{step.call}: the deadline passed")

    async def aclose(self) -> None:
        """Close the connections, unless they are of a client the caller made."""
        if self._given is not None:
            return
        self._closed = True
        pool = self._pools.pop(current_loop(), None)
        self._pools.clear()  # of loops that have ended, which nothing can be awaited on any more
        self._current = None
        if pool is not None:
            await pool.aclose()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._closed if self._given is None else self._given.is_closed

    def after_fork(self) -> None:
        """Start with fresh connections in a child process."""
        self._auth.after_fork()
        self._parents = self._pools
        self._pools = WeakKeyDictionary()
        self._current = None

    def __del__(self) -> None:
        if getattr(self, "_pools", None) and not self._closed:
            warnings.warn(_UNCLOSED.format("AsyncEnprompta", "aclose()"), ResourceWarning, source=self, stacklevel=2)


def _sync_client() -> httpx.Client:
    return httpx.Client(verify=tls_context(), limits=LIMITS)


def current_loop() -> Any:  # noqa: ANN401 (an asyncio loop, or trio's token, which stands for its run)
    """What tells the running event loop from others."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # A coroutine that runs outside asyncio runs on trio, which is then imported already.
        return sys.modules["trio"].lowlevel.current_trio_token()


async def sleep(seconds: float) -> None:
    """Sleep on the event loop that runs: asyncio's or trio's."""
    import anyio  # noqa: PLC0415

    await anyio.sleep(seconds)


async def opened(gate: Future[Any]) -> None:
    """Wait until a gate is done, on asyncio or trio; cancelling the wait leaves the gate alone."""
    loop = current_loop()
    if isinstance(loop, asyncio.AbstractEventLoop):
        await asyncio.shield(asyncio.wrap_future(gate))
    else:
        event = sys.modules["trio"].Event()
        gate.add_done_callback(lambda _: loop.run_sync_soon(event.set))
        await event.wait()


def _failure(step: Send, error: Exception, auth: ApiKeyAuth | ClientCredentials) -> EnpromptaError:
    return transport_error(step.call, step.request.url.host, error, mask_for(step.request, auth.secrets()))


def gate_timeout() -> APITimeoutError:
    """Say that the deadline passed while another caller was fetching the token."""
    return APITimeoutError("the deadline passed while waiting for an access token")


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - time.monotonic())
