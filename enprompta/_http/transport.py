"""The only place that does I/O and sleeps: two small drivers of the same steps, one blocking and one async."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import time
import warnings
from concurrent.futures import wait
from contextlib import suppress
from functools import lru_cache
from inspect import currentframe
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakSet, ref

import httpx

from enprompta._http.deadline import reads_end_at
from enprompta._http.exchange import Admit, Send, Sleep, Step, Steps
from enprompta._http.failures import transport_error
from enprompta._http.masking import mask_for
from enprompta.errors import APITimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from concurrent.futures import Future

    from enprompta._http.auth import ApiKeyAuth, ClientCredentials
    from enprompta.errors import EnpromptaError

T = TypeVar("T")

# Enough for the busiest process; the pool opens connections as they are needed.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)

# What httpx and what is below it may raise instead of an answer. RuntimeError is how httpx says "closed"; a ValueError
# comes of a redirect that sets a cookie of letters that are not ASCII.
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError, ValueError)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Load the trusted certificates once a process: it takes some 15 ms, more than all else a client does."""
    return httpx.create_ssl_context()


_transports: WeakSet[SyncTransport | AsyncTransport] = WeakSet()


def _after_fork() -> None:
    """Give each client of a child process connections of its own: two processes cannot share one."""
    if _transports:
        from enprompta._http.bound_streams import abandon_inherited  # noqa: PLC0415 (loaded by the first client)

        abandon_inherited()
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
        self._made_at = _caller()
        self._http = http_client or _sync_client()
        _bound(self._http)
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
                if step.ends is not None:
                    _bound_pool_wait(step.request, step.ends)
                with reads_end_at(step.ends):
                    response = self._http.send(step.request, follow_redirects=False)
            except FOREIGN as error:
                failure = _failure(step, error, self._auth)
            else:
                if self._http.is_closed and (stream := response.extensions.get("network_stream")):
                    stream.close()  # it was being opened when the others were closed
                return response
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
            self._used = False
            self._http = _sync_client()
            _bound(self._http)

    def __del__(self) -> None:
        if getattr(self, "_owned", False) and self._used and not self._http.is_closed:
            self._http.close()
            _warn_unclosed(self, "Enprompta", "with", "close", self._made_at)


# The guards of all pools, so that the garbage collector never comes upon one before we do: loops would complain of it.
_guards: dict[httpx.AsyncClient, AsyncGenerator[None, None]] = {}


class _Pool(NamedTuple):
    """The connections of one event loop."""

    loop: Any
    http: httpx.AsyncClient
    guard: AsyncGenerator[None, None]
    """Closes them; the loop has it do so when it ends."""


class AsyncTransport:
    """Drives steps on asyncio or trio."""

    def __init__(self, http_client: httpx.AsyncClient | None, auth: ApiKeyAuth | ClientCredentials) -> None:
        self._given = http_client
        if http_client is not None:
            _guard_handshakes(http_client)
        self._auth = auth
        # Connections belong to the event loop that opened them, so each loop has its own pool: a client made outside
        # of any loop, or used by one `asyncio.run` after another, just works. A loop that ends closes its pool.
        self._pools: dict[Any, _Pool] = {}
        self._current: _Pool | None = None
        self._closed = False
        self._made_at = _caller()
        _transports.add(self)

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        loop = current_loop()
        current = self._current  # one tuple, read once: threads with loops of their own may share this client
        if current is not None and current.loop is loop:
            return current.http
        if self._closed:
            raise RuntimeError("closed")  # as httpx says it
        self._current = pool = self._pools.get(loop) or self._open(loop)
        return pool.http

    def _open(self, loop: Any) -> _Pool:  # noqa: ANN401 (a loop of either kind)
        for other in list(self._pools):
            if isinstance(other, asyncio.AbstractEventLoop) and other.is_closed():
                self.forget(other)  # it ended without closing what it had begun, and nobody can do that any more
        http = _async_client()
        guard = _until_loop_ends(http, ref(self), loop)
        with suppress(StopIteration):
            guard.__anext__().send(None)  # goes as far as its yield; from here on the loop knows of it
        _guards[http] = guard
        pool = self._pools[loop] = _Pool(loop, http, guard)
        return pool

    def forget(self, loop: Any) -> None:  # noqa: ANN401 (a loop of either kind)
        """Let go of a loop that has ended."""
        if (pool := self._pools.pop(loop, None)) is not None:
            _guards.pop(pool.http, None)
        current = self._current
        if current is not None and current.loop is loop:
            self._current = None

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
                    response = await self._http.send(step.request, follow_redirects=False)
                else:
                    response = await self._send_until(step, step.ends)
            except APITimeoutError:  # ours, which is an OSError too
                raise
            except FOREIGN as error:
                failure = _failure(step, error, self._auth)
            else:
                if self._closed and (stream := response.extensions.get("network_stream")):
                    await stream.aclose()  # it was being opened when the others were closed
                return response
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
        pools, self._pools, self._current = self._pools, {}, None
        here = pools.pop(current_loop(), None)
        for pool in pools.values():
            _end(pool)
        if here is not None:
            await here.guard.aclose()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._closed if self._given is None else self._given.is_closed

    def after_fork(self) -> None:
        """Start with fresh connections in a child process."""
        self._auth.after_fork()
        self._pools = {}  # the parent's are kept with their guards, for nothing here can close them
        self._current = None

    def __del__(self) -> None:
        if pools := getattr(self, "_pools", None):
            for pool in pools.values():
                _end(pool)
            _warn_unclosed(self, "AsyncEnprompta", "async with", "aclose", self._made_at)


async def _until_loop_ends(
    http: httpx.AsyncClient, owner: ref[AsyncTransport], loop: object
) -> AsyncGenerator[None, None]:
    """Close connections when their event loop ends, while that can still be awaited.

    Before they end, `asyncio.run` (by `shutdown_asyncgens`) and `trio.run` close each async generator that has begun
    and not finished. Connections that outlive their loop could not be closed: asyncio warns of each of them.
    """
    try:
        yield
    finally:
        if (transport := owner()) is not None:
            transport.forget(loop)
        del transport
        _guards.pop(http, None)
        await http.aclose()


def _end(pool: _Pool) -> None:
    """Have connections closed by the loop they belong to, from outside of it."""

    async def close() -> None:
        with suppress(Exception):  # nobody waits for this
            await pool.guard.aclose()

    def start() -> None:
        with suppress(RuntimeError):  # trio is about to end, and closes the guard itself
            sys.modules["trio"].lowlevel.spawn_system_task(close)

    try:
        if isinstance(pool.loop, asyncio.AbstractEventLoop):
            pool.loop.call_soon_threadsafe(lambda: pool.loop.create_task(close()))
        else:
            pool.loop.run_sync_soon(start)
    except RuntimeError:  # the loop has ended
        _guards.pop(pool.http, None)


def _caller() -> tuple[str, int]:
    """The line outside this package that makes a client, for the warning that it was not closed."""
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("enprompta."):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)


def _warn_unclosed(transport: object, client: str, block: str, close: str, made_at: tuple[str, int]) -> None:
    file, line = made_at
    text = (
        f"the {client} client made at {file}:{line} was not closed: use it in a block of `{block}`, or `{close}()` it"
    )
    # At that line, not where the garbage collector happened to run.
    warnings.warn_explicit(text, ResourceWarning, file, line, source=transport)


def _sync_client() -> httpx.Client:
    return httpx.Client(verify=tls_context(), limits=LIMITS, event_hooks={"response": [_end_if_spoilt]})


def _async_client() -> httpx.AsyncClient:
    async def end_if_spoilt(response: httpx.Response) -> None:
        _end_if_spoilt(response)

    client = httpx.AsyncClient(verify=tls_context(), limits=LIMITS, event_hooks={"response": [end_if_spoilt]})
    _guard_handshakes(client)
    return client


# The two modules below need httpcore, which httpx too loads with its first client: not at import, where it would take
# longer than all the rest of this package.
def _bound(client: httpx.Client) -> None:
    from enprompta._http.bound_streams import bound_reads  # noqa: PLC0415

    bound_reads(client)


def _guard_handshakes(client: httpx.AsyncClient) -> None:
    from enprompta._http.handshake import close_cancelled_handshakes  # noqa: PLC0415

    close_cancelled_handshakes(client)


def _end_if_spoilt(response: httpx.Response) -> None:
    """Use no connection again on which a 204 says that a body follows, as it must not (RFC 9110, 15.3.5) and some do.

    Nobody reads that body, so the next call would take it for its answer.
    """
    if response.status_code == 204 and response.headers.get("content-length", "0") != "0":  # noqa: PLR2004
        sock: Any = response.extensions["network_stream"].get_extra_info("socket")
        with suppress(OSError):  # it is closed already
            if isinstance(sock, ssl.SSLSocket):  # whose own would take the TLS state away from under who closes it
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            else:
                sock.shutdown(socket.SHUT_RDWR)


def _bound_pool_wait(request: httpx.Request, ends: float) -> None:
    """Wait for a free connection no longer than the deadline: it is no operation of a socket, which are bound."""
    timeouts = request.extensions["timeout"]
    left, longest = max(0.0, ends - time.monotonic()), timeouts["pool"]
    pool = left if longest is None else min(left, longest)
    request.extensions = {**request.extensions, "timeout": {**timeouts, "pool": pool}}


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
    import anyio  # noqa: PLC0415

    loop, event = current_loop(), anyio.Event()
    wake = loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon

    def tell(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and who waited with it
            wake(event.set)

    gate.add_done_callback(tell)
    await event.wait()


def _failure(step: Send, error: Exception, auth: ApiKeyAuth | ClientCredentials) -> EnpromptaError:
    return transport_error(step.call, step.request.url.host, error, mask_for(step.request, auth.secrets()))


def gate_timeout() -> APITimeoutError:
    """Say that the deadline passed while another caller was fetching the token."""
    return APITimeoutError("the deadline passed while waiting for an access token")


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - time.monotonic())
