"""Drive the steps of calls: a blocking and an async driver, the only code that does I/O and sleeps."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import suppress
from inspect import currentframe
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakSet, ref

from enprompta._common import clock
from enprompta._common.clock import monotonic
from enprompta._common.event_loop import current_loop, is_asyncio, move_on_after, sleep, waker
from enprompta._common.forks import run_in_child
from enprompta._common.handler_errors import callback_errors, handler_error
from enprompta._core.steps import SendRequest, Sleep, Step, Steps, WaitForBudget, WaitForFuture
from enprompta._http import failures
from enprompta._http.route import route_to
from enprompta._http.senders.base import own_errors, thread_deadline
from enprompta._http.senders.httpx_senders import AsyncClientSender, AsyncTransportSender, ClientSender, TransportSender
from enprompta.errors import APITimeoutError, EnpromptaError
from enprompta.limiters.sleepers import ThreadSleeper

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from concurrent.futures import Future

    import httpx

    from enprompta._common.event_loop import Loop
    from enprompta._core.steps import Answer, Credentials
    from enprompta._http.route import Route
    from enprompta._http.senders.base import AsyncSender, Sender

T = TypeVar("T")

_transports: WeakSet[SyncDriver | AsyncDriver] = WeakSet()


def _after_fork() -> None:
    """Reset the connections of all clients in a child process, because processes cannot share them."""
    # Not imported: another thread may have been importing it at the fork, and nothing releases its lock in the child.
    streams = sys.modules.get("enprompta._http.senders.deadline_streams")
    if (close := getattr(streams, "close_inherited_sockets", None)) is not None:
        close()
    for transport in list(_transports):
        transport.after_fork()


run_in_child(_after_fork)


class SyncDriver:
    """Drives steps and blocks the thread meanwhile."""

    def __init__(self, http_client: object, auth: Credentials, base_url: str) -> None:
        self._owned = http_client is None or isinstance(http_client, str)
        self._kind = http_client
        self._auth = auth
        self._used = False
        self._made_at = _caller()
        self._route = route_to(base_url, http_client) if self._owned else None
        client: Any = http_client
        self._sender: Sender = ClientSender(client) if self._route is None else TransportSender(self._route, client)
        _transports.add(self)

    def run(self, steps: Steps[T]) -> T:
        """Perform the steps and return their result."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = self._perform(step)
                except Exception as error:  # noqa: BLE001 (the steps handle errors)
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return] # the result of the generator
        finally:
            steps.close()

    def _perform(self, step: Step) -> Any:  # noqa: ANN401 (each kind of step has its own result)
        if isinstance(step, WaitForBudget):
            return step.account.acquire(step.ticket, max_wait=step.max_wait, deadline=step.ends)
        if isinstance(step, SendRequest):
            self._used = True
            outside = sys.exc_info()[1]
            try:
                if step.ends is not None:
                    _bound_pool_wait(step.request, step.ends)
                thread_deadline.at = step.ends  # also None: a signal handler may have interrupted the last call
                try:
                    return self._sender.send(step.request)
                finally:
                    thread_deadline.at = None
            except EnpromptaError:  # our own errors, which are OSErrors (deadline) or ValueErrors (settings) too
                raise
            except Exception as error:  # noqa: BLE001 (raised again below)
                raised = handler_error(error, outside=outside)
                failure = raised or _failure(step, error, self._sender.errors, self._auth, self._route)
            raise failure  # outside the `except` block, so that `__context__` does not hold an error that was left out
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        sleeper = ThreadSleeper()
        step.gate.add_done_callback(lambda _: sleeper.wake())
        left = _left(step.ends)
        sleeper.sleep(inf if left is None else left)
        if step.gate.done():
            return None
        raise _token_timeout()

    def close(self) -> None:
        """Close the connections, unless they belong to the caller's `http_client`."""
        if self._owned:
            self._sender.close()

    @property
    def is_closed(self) -> bool:
        """True if the client can no longer make calls."""
        return self._sender.is_closed

    def after_fork(self) -> None:
        """Open new connections in a child process."""
        self._auth.after_fork()
        if self._route is not None and not self._sender.is_closed:
            # Kept open: a thread of the parent may hold one of its locks, which is never released here.
            self._parents = self._sender
            self._used = False
            self._sender = TransportSender(self._route, self._kind)

    def __del__(self) -> None:
        if getattr(self, "_owned", False) and self._used and not self._sender.is_closed:
            self._sender.close()
            _warn_unclosed(self, "Enprompta", "with", "close", self._made_at)


# Keeps the guards of all loops alive: event loops warn about async generators that are garbage-collected.
_guards: dict[AsyncSender, AsyncGenerator[None, None]] = {}


class _LoopConnections:
    """The connections that belong to one event loop.

    Args:
        loop: The event loop.
        sender: The connections.
        guard: Closes them when the loop ends.
    """

    def __init__(self, loop: Loop, sender: AsyncSender, guard: AsyncGenerator[None, None]) -> None:
        self.loop, self.sender, self.guard = loop, sender, guard


class AsyncDriver:
    """Drives steps on asyncio or trio."""

    def __init__(self, http_client: object, auth: Credentials, base_url: str) -> None:
        own = http_client is None or isinstance(http_client, str)
        self._kind = http_client
        self._route = route_to(base_url, http_client) if own else None
        self._given = None if own else AsyncClientSender(cast("httpx.AsyncClient", http_client))
        self._auth = auth
        # Connections belong to the event loop that opened them, so each loop gets its own. A client can be created
        # outside any loop and used by several `asyncio.run` calls in turn. A loop closes its connections when it ends.
        self._locals: dict[Loop, _LoopConnections] = {}
        self._current: _LoopConnections | None = None
        self._closed = False
        self._made_at = _caller()
        _transports.add(self)

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        return own_errors(self._kind) if self._given is None else self._given.errors

    def _sender_on(self, loop: Loop) -> AsyncSender:
        if self._given is not None:
            return self._given
        current = self._current  # read once, because threads with different loops may share this client
        if current is not None and current.loop is loop:
            return current.sender
        if self._closed:
            raise RuntimeError("closed")  # as httpx does
        self._current = local = self._locals.get(loop) or self._open(loop)
        return local.sender

    def _open(self, loop: Loop) -> _LoopConnections:
        for other in list(self._locals):
            if is_asyncio(other) and other.is_closed():
                self.forget(other)  # it ended without closing its connections, which is no longer possible
        sender = _async_sender(self._kind, cast("Route", self._route))
        guard = _until_loop_ends(sender, ref(self), loop)
        with suppress(StopIteration):
            guard.__anext__().send(None)  # runs to its `yield`, which registers it with the loop
        _guards[sender] = guard
        local = self._locals[loop] = _LoopConnections(loop, sender, guard)
        return local

    def forget(self, loop: Loop) -> None:
        """Remove a loop that has ended."""
        if (local := self._locals.pop(loop, None)) is not None:
            _guards.pop(local.sender, None)
        current = self._current
        if current is not None and current.loop is loop:
            self._current = None

    async def run(self, steps: Steps[T]) -> T:
        """Perform the steps and return their result."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = await self._perform(step)
                except Exception as error:  # noqa: BLE001 (the steps handle errors)
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return] # the result of the generator
        finally:
            steps.close()

    def _perform(self, step: Step) -> Awaitable[Any]:
        if isinstance(step, SendRequest):
            return self._send(step)
        if isinstance(step, WaitForBudget):
            return step.account.acquire_async(step.ticket, max_wait=step.max_wait, deadline=step.ends)
        return sleep(step.seconds) if isinstance(step, Sleep) else _wait(step)

    async def _send(self, step: SendRequest) -> Answer:
        outside = sys.exc_info()[1]
        loop = current_loop()
        reports = callback_errors(loop) if is_asyncio(loop) else None
        before = reports and reports.last
        try:
            if step.ends is None and not clock.is_replaced():
                return await self._sender_on(loop).send(step.request)
            return await self._send_within_deadline(step, loop)
        except EnpromptaError as error:  # our own errors, which are OSErrors (deadline) or ValueErrors (settings) too
            failure: BaseException = error
        except Exception as error:  # noqa: BLE001 (raised again below)
            raised = handler_error(error, outside=outside)
            failure = raised or _failure(step, error, self._errors, self._auth, self._route)
        if reports is not None and reports.last is not None and reports.last is not before:
            failure = reports.last
        raise failure  # outside the `except` block, so that `__context__` does not hold an error that was left out

    async def _send_within_deadline(self, step: SendRequest, loop: Loop) -> Answer:
        """Send a request within its deadline and, if the loop's timers do not keep real time, within its timeouts."""
        left = _left(step.ends)
        request, settings, total = step.request, step.request.extensions, None
        if clock.is_replaced():
            total = _total_timeout(request)
            request.extensions = {**settings, "timeout": dict.fromkeys(settings["timeout"])}  # its timers may jump
        bound = min((one for one in (left, total) if one is not None), default=None)
        try:
            with move_on_after(bound):
                return await self._sender_on(loop).send(request)
        finally:
            request.extensions = settings
        reason = "the deadline passed" if bound == left else "the server sent nothing for longer than timeout allows"
        raise APITimeoutError(f"{step.call}: {reason}")

    async def aclose(self) -> None:
        """Close the connections, unless they belong to the caller's `http_client`."""
        if self._given is not None:
            return
        self._closed = True
        others, self._locals, self._current = self._locals, {}, None
        here = others.pop(current_loop(), None)
        for other in others.values():
            _end(other)
        if here is not None:
            await here.guard.aclose()

    @property
    def is_closed(self) -> bool:
        """True if the client can no longer make calls."""
        return self._closed if self._given is None else self._given.is_closed

    def after_fork(self) -> None:
        """Open new connections in a child process."""
        self._auth.after_fork()
        self._locals = {}  # those of the parent stay alive through their guards; they cannot be closed here
        self._current = None

    def __del__(self) -> None:
        if left := getattr(self, "_locals", None):
            for local in left.values():
                _end(local)
            _warn_unclosed(self, "AsyncEnprompta", "async with", "aclose", self._made_at)


def _async_sender(kind: object, route: Route) -> AsyncSender:
    """Return the sender of one event loop, for a client without an `http_client` or with the name of a library."""
    if kind == "aiohttp":
        from enprompta._http.senders.aiohttp_sender import AiohttpSender  # noqa: PLC0415 (an extra)

        return AiohttpSender(route)
    return AsyncTransportSender(route, kind)


async def _until_loop_ends(sender: AsyncSender, owner: ref[AsyncDriver], loop: Loop) -> AsyncGenerator[None, None]:
    """Close connections when their event loop ends, while awaiting is still possible.

    `asyncio.run` (with `shutdown_asyncgens`) and `trio.run` close all unfinished async generators before they end.
    Connections that outlive their loop cannot be closed, and asyncio warns about each of them.
    """
    try:
        yield
    finally:
        if (transport := owner()) is not None:
            transport.forget(loop)
        del transport
        _guards.pop(sender, None)
        await sender.aclose()


def _end(local: _LoopConnections) -> None:
    """Have connections closed by their event loop, from outside that loop."""

    async def close() -> None:
        with suppress(Exception):  # no caller waits for the result
            await local.guard.aclose()

    def start() -> None:
        with suppress(RuntimeError):  # trio is about to end and closes the guard itself
            sys.modules["trio"].lowlevel.spawn_system_task(close)

    loop = local.loop
    try:
        if is_asyncio(loop):
            loop.call_soon_threadsafe(lambda: loop.create_task(close()))
        else:
            loop.run_sync_soon(start)
    except RuntimeError:  # the loop has ended
        _guards.pop(local.sender, None)


def _caller() -> tuple[str, int]:
    """Return the file and line that create a client, for the warning that it was not closed."""
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("enprompta."):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)


def _warn_unclosed(transport: object, client: str, block: str, close: str, made_at: tuple[str, int]) -> None:
    file, line = made_at
    text = (
        f"the {client} client created at {file}:{line} was not closed: use it in a `{block}` block, or call `{close}()`"
    )
    # Attributed to that line, not to the line where the garbage collector ran.
    warnings.warn_explicit(text, ResourceWarning, file, line, source=transport)


def _bound_pool_wait(request: httpx.Request, ends: float) -> None:
    """Limit the wait for a free connection to the deadline; socket operations have their own limits."""
    timeouts = request.extensions["timeout"]
    left, longest = max(0.0, ends - monotonic()), timeouts["pool"]
    pool = left if longest is None else min(left, longest)
    request.extensions = {**request.extensions, "timeout": {**timeouts, "pool": pool}}


def _total_timeout(request: httpx.Request) -> float | None:
    """Return the seconds for connecting, sending and the first part of the response together; None for no limit."""
    timeouts = request.extensions["timeout"]
    parts = [timeouts[name] for name in ("connect", "write", "read")]
    return None if None in parts else sum(parts)


async def _wait(step: WaitForFuture) -> None:
    with move_on_after(_left(step.ends)):
        return await wait_for_future(step.gate)
    raise _token_timeout()


async def wait_for_future(future: Future[object]) -> None:
    """Wait until a future is done, on asyncio or trio; canceling the wait does not cancel the future."""
    import anyio  # noqa: PLC0415 (httpx imports it with its first async request)

    event = anyio.Event()
    wake = waker(current_loop(), event.set)
    future.add_done_callback(lambda _: wake())
    await event.wait()


def _failure(
    step: SendRequest, error: Exception, errors: tuple[type[Exception], ...], auth: Credentials, route: Route | None
) -> Exception:
    """Return the error of a failed attempt; exceptions of the caller's code stay unchanged."""
    if not isinstance(error, errors):
        return error
    host = step.request.url.netloc.decode("ascii")  # with the port, which is often the problem
    proxy = None if route is None else route.proxy
    mask = failures.mask_for(step.request, (*auth.secrets(), *(() if proxy is None else proxy.secrets())))
    return failures.transport_error(step.call, host, error, mask, proxy)


def _token_timeout() -> APITimeoutError:
    """Return the error for a deadline that passed while another caller was fetching the token."""
    return APITimeoutError("the deadline passed while waiting for an access token")


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - monotonic())
