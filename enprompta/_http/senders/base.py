"""The interface of senders, and the limits, errors and deadline that all of them share.

A sender sends one request and returns an `Answer`, whose body is read and decompressed by `content`, or raises what its
HTTP library raises.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, overload

from enprompta._common.clock import monotonic
from enprompta._http import direct

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType

    import httpx

    from enprompta._core.steps import Answer

KEEP_ALIVE_SECONDS = 5.0
"""How long an idle connection is kept. Servers close idle connections too, and using one at that moment fails."""
MAX_CONNECTIONS = 500
"""Open connections per client. Each request in flight needs one. When all are in use, a request waits for a free
connection, and only the deadline bounds that wait."""


def errors_of(library: ModuleType) -> tuple[type[Exception], ...]:
    """Return the exceptions that a library, or a layer below it, may raise instead of returning a response.

    httpx raises RuntimeError when it is closed, and ValueError for a redirect that sets a non-ASCII cookie.
    """
    own = direct.errors() if library is direct else (library.HTTPError, library.InvalidURL, library.StreamError)
    return (*own, OSError, RuntimeError, ValueError)


def own_errors(kind: object) -> tuple[type[Exception], ...]:
    """Return the exceptions that an own client may raise instead of returning a response.

    Args:
        kind: Name of the HTTP library; None for httpx, or for httpcore until httpx is imported.
    """
    errors = errors_of(library_named(kind))
    return errors if kind is not None else (*errors, *errors_of(direct))  # httpx may have been imported meanwhile


class Sender(Protocol):
    """Sends the requests of a blocking client; requests and responses are those of httpx, httpx2 or `direct`."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Exceptions that `send` may raise."""
        ...

    @property
    def is_closed(self) -> bool: ...
    def send(self, request: httpx.Request) -> Answer: ...
    def close(self) -> None: ...


class AsyncSender(Protocol):
    """Sends the requests of an async client; requests and responses are those of httpx, httpx2 or `direct`."""

    async def send(self, request: httpx.Request) -> Answer: ...
    async def aclose(self) -> None: ...


def library_of(part: object) -> ModuleType:
    """Return the library that a client or a request belongs to; for a subclass, the library of its base class."""
    if isinstance(part, direct.Request):
        return direct
    for base in type(part).__mro__:
        if (name := base.__module__.partition(".")[0]) in {"httpx", "httpx2"}:
            return import_module(name)
    return import_module("httpx")


def library_named(kind: object) -> ModuleType:
    """Return the library of a client without an `http_client`, or with the name of one.

    Args:
        kind: `"httpx2"`; `"aiohttp"` for httpx; None for httpx if it is imported, else `direct`.
    """
    if kind is None:
        return direct.loaded_httpx() or direct
    return import_module("httpx2" if kind == "httpx2" else "httpx")


class _ThreadDeadline(threading.local):
    at: float | None = None


thread_deadline = _ThreadDeadline()
"""The end of this thread's socket operations, `at` a time in monotonic seconds; None for no limit. One thread sends a
request and reads its response."""


def is_bound() -> bool:
    """True if this thread has a deadline."""
    return thread_deadline.at is not None


@overload
def remaining_timeout(timeout: float, too_late: type[Exception]) -> float: ...
@overload
def remaining_timeout(timeout: float | None, too_late: type[Exception]) -> float | None: ...
def remaining_timeout(timeout: float | None, too_late: type[Exception]) -> float | None:
    """Return the timeout of an operation, or the remaining time if that is shorter.

    Raises:
        Exception: `too_late`, if the deadline has passed.
    """
    deadline = thread_deadline.at
    if deadline is None:
        return timeout
    remaining = deadline - monotonic()
    if remaining <= 0:
        raise too_late("the deadline passed")
    return remaining if timeout is None else min(timeout, remaining)


def finish(steps: Generator[None, None, Answer], too_late: type[Exception]) -> Answer:
    """Run the steps of decompressing a body; raise `too_late` when this thread's deadline passes."""
    try:
        while True:
            next(steps)
            remaining_timeout(None, too_late)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return] # the result of the generator


async def afinish(steps: Generator[None, None, Answer]) -> Answer:
    """Run the steps of decompressing a body; other tasks run between them, and cancellation can end them."""
    try:
        while True:
            next(steps)
            await yield_to_others()
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return] # the result of the generator


async def yield_to_others() -> None:
    """Let other tasks run."""
    import anyio.lowlevel  # noqa: PLC0415 (httpx loads anyio with its first async request)

    await anyio.lowlevel.checkpoint()
