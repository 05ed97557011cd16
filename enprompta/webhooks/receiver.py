"""A webhook endpoint in five lines, mountable wherever ASGI or WSGI is spoken.

    receiver = WebhookReceiver(secret, store=SQLiteStore("events.db"))

    @receiver.on("prompt.executed")
    def count(event: PromptExecuted) -> None:
        ledger.add(event.data.cost)

    app = receiver.asgi      # Starlette, FastAPI, or uvicorn itself;  receiver.wsgi for Flask, Django, gunicorn

What it answers:

======  =======================================================================================================
200     handled; or handled before; or nobody here handles this event
400     signed, but not an event
401     not signed with the secret
405     not a POST
413     larger than `max_body`
500     the handler raised, or took longer than `timeout`, or the store failed: the service sends the event again
503     the event is being handled at this moment, perhaps elsewhere, and may still fail: the same
======  =======================================================================================================
"""

from __future__ import annotations

import contextvars
import functools
import math
import queue
import threading
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

from enprompta.errors import ConfigurationError
from enprompta.webhooks._delivery import DeliveryHandler, Handler, Reply, late
from enprompta.webhooks.dedupe import Deduplicator
from enprompta.webhooks.events import check_tolerance
from enprompta.webhooks.signature import DEFAULT_MAX_RESERIALIZED, check_max_reserialized, secret_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta.models.events import (
        PromptExecuted,
        TeamMemberAdded,
        TeamMemberRemoved,
        WebhookEvent,
        WorkflowCompleted,
        WorkflowFailed,
    )
    from enprompta.webhooks._asgi import Application
    from enprompta.webhooks._wsgi import StartResponse
    from enprompta.webhooks.signature import Headers, Secret
    from enprompta.webhooks.stores import Store

__all__ = ["Reply", "WebhookReceiver"]

_MEGABYTE = 1_048_576

E = TypeVar("E")
R = TypeVar("R")


class Register(Protocol[E]):
    """A decorator that takes handlers of one kind of event and returns them unchanged."""

    def __call__(self, handler: Callable[[E], R], /) -> Callable[[E], R]:
        """Register the handler."""
        ...


class WebhookReceiver:
    """Verifies deliveries, deduplicates them and calls the handlers that are registered with `on`.

    Args:
        secret: The webhook's secret, or several while it is being rotated.
        store: Where claims on events are kept, so that each is handled once. None for a `MemoryStore`, which is right
            for one process; several need a `SQLiteStore` or a `RedisStore`.
        timeout: Seconds after which a delivery is answered with 500 although its handler has not ended; None waits for
            ever. An async handler is then cancelled. A sync one cannot be: it runs on in its thread and keeps its
            claim, so that the event, when it is sent again, is accepted once the handler has succeeded.
        lease: Seconds after which the claim of a process that died is void; longer than any handler takes.
        max_body: Bytes a delivery may have.
        tolerance: As in `construct_event`.
        max_reserialized: As in `verify_signature`.

    Raises:
        ConfigurationError: A secret is empty, or one of the numbers makes no sense.
    """

    def __init__(
        self,
        secret: Secret,
        *,
        store: Store | None = None,
        timeout: float | None = 10.0,
        lease: float = 300.0,
        max_body: int = _MEGABYTE,
        tolerance: float | None = None,
        max_reserialized: int = DEFAULT_MAX_RESERIALIZED,
    ) -> None:
        if timeout is not None and not 0 < timeout < math.inf:
            raise ConfigurationError(f"timeout must be a positive number of seconds or None, not {timeout}")
        if timeout is not None and timeout >= lease:
            raise ConfigurationError(f"lease ({lease:g} s) must be longer than timeout ({timeout:g} s)")
        if max_body <= 0:
            raise ConfigurationError(f"max_body must be a positive number of bytes, not {max_body}")
        check_tolerance(tolerance)
        check_max_reserialized(max_reserialized)
        deduplicator = Deduplicator(store, lease=lease)
        self._desk = DeliveryHandler(secret_keys(secret), deduplicator, timeout, max_body, tolerance, max_reserialized)

    @overload
    def on(self, event: Literal["prompt.executed"], /) -> Register[PromptExecuted]: ...
    @overload
    def on(self, event: Literal["workflow.completed"], /) -> Register[WorkflowCompleted]: ...
    @overload
    def on(self, event: Literal["workflow.failed"], /) -> Register[WorkflowFailed]: ...
    @overload
    def on(self, event: Literal["team.member_added"], /) -> Register[TeamMemberAdded]: ...
    @overload
    def on(self, event: Literal["team.member_removed"], /) -> Register[TeamMemberRemoved]: ...
    @overload
    def on(self, event: Literal["*"], /) -> Register[WebhookEvent]: ...
    @overload
    def on(self, event: str, /) -> Register[Any]: ...
    def on(self, event: str, /) -> Callable[[Handler], Handler]:
        """Register the handler of an event, as a decorator.

        Args:
            event: The event's name; `"*"` for all events that have no handler of their own. An event that this version
                does not know comes as `UnknownEvent`. The handler, a function or a coroutine function, is called with
                the event; what it returns does not matter, what it raises makes the service send the event again.

        Raises:
            ConfigurationError: The event has a handler already: which of them should decide over success?
        """

        def register(handler: Handler) -> Handler:
            if event in self._desk.handlers:
                raise ConfigurationError(f"The event {event!r} has a handler already: call both from one")
            self._desk.handlers[event] = handler
            return handler

        return register

    @functools.cached_property
    def asgi(self) -> Application:
        """The receiver as an ASGI application, for asyncio and trio."""
        from enprompta.webhooks._asgi import Application  # noqa: PLC0415 (a WSGI server needs no event loop)

        return Application(self._desk)

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request, as a WSGI application."""
        from enprompta.webhooks._wsgi import serve  # noqa: PLC0415 (an ASGI server does not need it)

        return serve(self._desk, self.handle, environ, start_response)

    async def ahandle(self, body: bytes, headers: Headers) -> Reply:
        """Take one delivery without blocking the event loop, where no ASGI application can be mounted.

        Args:
            body: The raw body, as it arrived.
            headers: The request's headers, in any case.
        """
        from enprompta.webhooks._asgi import take  # noqa: PLC0415 (as in `asgi`)

        return await take(self._desk, body, headers)

    def handle(self, body: bytes, headers: Headers) -> Reply:
        """Take one delivery, where no WSGI application can be mounted, as in a Django view.

        Args:
            body: The raw body, as it arrived.
            headers: The request's headers, in any case.
        """
        job = self._desk.verify(body, headers)
        if isinstance(job, Reply):
            return job
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        # A thread can be left behind when time is up, which nothing else can; and in a fresh one, unlike in the
        # caller's, an event loop for async handlers can be started. The caller's context variables go with it.
        context = contextvars.copy_context()
        settle = functools.partial(self._desk.handle, job)
        name = f"webhook {job.event.id}"
        threading.Thread(target=lambda: replies.put(context.run(settle)), name=name, daemon=True).start()
        try:
            return replies.get(timeout=self._desk.timeout)
        except queue.Empty:
            return late(job.event)
