"""The interface of senders, and the limits and errors that all of them share.

A sender sends one request and returns an `Answer`, whose body is read and decompressed by `content`, or raises what its
HTTP library raises.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import httpx

from enprompta._http.senders.deadline import remaining_timeout

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType

    from enprompta._core.steps import Answer

CorePart: TypeAlias = Any
"""A pool, connection, stream, request or response of httpcore or httpcore2, whose private attributes are used."""
KEEP_ALIVE_SECONDS = 5.0
"""How long an idle connection is kept. Servers close idle connections too, and using one at that moment fails."""
MAX_CONNECTIONS = 500
"""Open connections per client. Each request in flight needs one. When all are in use, a request waits for a free
connection, and only the deadline bounds that wait."""


def errors_of(library: ModuleType) -> tuple[type[Exception], ...]:
    """Return the exceptions that a library, or a layer below it, may raise instead of returning a response.

    httpx raises RuntimeError when it is closed, and ValueError for a redirect that sets a non-ASCII cookie.
    """
    return (library.HTTPError, library.InvalidURL, library.StreamError, OSError, RuntimeError, ValueError)


HTTPX_ERRORS = errors_of(httpx)


class Sender(Protocol):
    """Sends the requests of a blocking client; requests and responses are those of httpx or httpx2."""

    errors: tuple[type[Exception], ...]
    """Exceptions that `send` may raise."""

    @property
    def is_closed(self) -> bool: ...
    def send(self, request: httpx.Request) -> Answer: ...
    def close(self) -> None: ...


class AsyncSender(Protocol):
    """Sends the requests of an async client; requests and responses are those of httpx or httpx2."""

    errors: tuple[type[Exception], ...]
    """Exceptions that `send` may raise."""

    async def send(self, request: httpx.Request) -> Answer: ...
    async def aclose(self) -> None: ...


def library_of(client: object) -> ModuleType:
    """Return the library that a client belongs to; for a subclass, the library of its base class."""
    for base in type(client).__mro__:
        if (name := base.__module__.partition(".")[0]) in {"httpx", "httpx2"}:
            return import_module(name)
    return httpx


def library_named(kind: object) -> ModuleType:
    """Return the library whose requests a client sends by itself: httpx2 if it is named, else httpx."""
    return import_module("httpx2") if kind == "httpx2" else httpx


def finish(steps: Generator[None, None, Answer], too_late: type[Exception]) -> Answer:
    """Run the steps of decompressing a body; raise `too_late` when this thread's deadline passes."""
    try:
        while True:
            next(steps)
            remaining_timeout(None, too_late)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


async def afinish(steps: Generator[None, None, Answer]) -> Answer:
    """Run the steps of decompressing a body; other tasks run between them, and cancellation can end them."""
    try:
        while True:
            next(steps)
            await yield_to_others()
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


async def yield_to_others() -> None:
    """Let other tasks run."""
    import anyio.lowlevel  # noqa: PLC0415 (httpx loads anyio with its first async request)

    await anyio.lowlevel.checkpoint()
