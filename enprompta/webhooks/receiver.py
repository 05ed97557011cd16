"""A webhook endpoint that runs as an ASGI or WSGI application.

    receiver = WebhookReceiver(secret, store=SQLiteStore("events.db"))

    @receiver.on("prompt.executed")
    def count(event: PromptExecuted) -> None:
        ledger.add(event.data.cost)

    app = receiver.asgi      # Starlette, FastAPI, or uvicorn itself;  receiver.wsgi for Flask, Django, gunicorn

Responses:

======  ==========================================================================================================
200     handled, already handled, or no handler is registered for this event
400     signed, but not an event
401     not signed with the secret
405     not a POST
413     larger than `max_body`
500     the handler raised, took longer than `timeout`, or the store failed; the service sends the event again
503     the event is being handled, perhaps by another process, and may fail; the service sends the event again
======  ==========================================================================================================
"""

from __future__ import annotations

import contextvars
import functools
import math
import queue
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, overload

from enprompta.errors import ConfigurationError
from enprompta.webhooks._delivery import NOT_A_POST, TOO_LARGE, DeliveryHandler, Handler, Reply, refused, timed_out
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
    from enprompta.webhooks.signature import Headers, Secret
    from enprompta.webhooks.stores import Store


__all__ = ["Reply", "WebhookReceiver"]

_MEGABYTE = 1_048_576

E = TypeVar("E")
R = TypeVar("R")
Environ: TypeAlias = dict[str, Any]  # as PEP 3333 has it
_BAD_LENGTH = refused(400, "INVALID_REQUEST", "The Content-Length is not a number")
_CHUNK = 65_536


class Register(Protocol[E]):
    """A decorator that registers handlers for one kind of event and returns them unchanged."""

    def __call__(self, handler: Callable[[E], R], /) -> Callable[[E], R]:
        """Register the handler."""
        ...


class WebhookReceiver:
    """Verifies deliveries, skips duplicates and calls the handlers registered with `on`.

    Args:
        secret: The webhook's secret, or several while it is being rotated.
        store: Where claims on events are kept, so that each event is handled once. None for a `MemoryStore`, which
            serves one process; several processes need a `SQLiteStore` or a `RedisStore`.
        timeout: Seconds until a delivery is answered with 500 although its handler has not finished; None waits
            forever. An async handler is then cancelled. A sync handler continues in its thread and keeps its claim;
            if it succeeds, the next delivery of the event is answered with 200.
        lease: Seconds until the claim of a process that died expires; must exceed the longest handler run.
        max_body: Maximum size of a delivery in bytes.
        tolerance: As in `construct_event`.
        max_reserialized: As in `verify_signature`.

    Raises:
        ConfigurationError: A secret is empty, or a number is out of range.
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
        self._deliveries = DeliveryHandler(
            secret_keys(secret), deduplicator, timeout, max_body, tolerance, max_reserialized
        )

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
            event: The event's name; `"*"` for all events without a handler. An event that this version does not know is
                passed as `UnknownEvent`. The handler, a function or coroutine function, is called with the event. Its
                return value is ignored; if it raises, the service sends the event again.

        Raises:
            ConfigurationError: The event already has a handler.
        """

        def register(handler: Handler) -> Handler:
            if event in self._deliveries.handlers:
                raise ConfigurationError(
                    f"The event {event!r} already has a handler: call both functions from one handler"
                )
            self._deliveries.handlers[event] = handler
            return handler

        return register

    @functools.cached_property
    def asgi(self) -> Application:
        """The receiver as an ASGI application, for asyncio and trio."""
        from enprompta.webhooks._asgi import Application  # noqa: PLC0415 (a WSGI server needs no event loop)

        return Application(self._deliveries)

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request as a WSGI application."""
        body = _read(self._deliveries, environ)
        reply = body if isinstance(body, Reply) else self.handle(body, _headers(environ))
        status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
        start_response(status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
        return [reply.body]

    async def ahandle(self, body: bytes, headers: Headers) -> Reply:
        """Process one delivery without blocking the event loop, for use inside an existing async endpoint.

        Args:
            body: The raw body, unchanged.
            headers: The request's headers; names are case-insensitive.
        """
        from enprompta.webhooks._asgi import handle_delivery  # noqa: PLC0415 (as in `asgi`)

        return await handle_delivery(self._deliveries, body, headers)

    def handle(self, body: bytes, headers: Headers) -> Reply:
        """Process one delivery, for use inside an existing endpoint such as a Django view.

        Args:
            body: The raw body, unchanged.
            headers: The request's headers; names are case-insensitive.
        """
        pending = self._deliveries.verify(body, headers)
        if isinstance(pending, Reply):
            return pending
        replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        # Only a thread can be left running after a timeout, and a new thread can start an event loop for async
        # handlers. It inherits the caller's context variables.
        context = contextvars.copy_context()
        settle = functools.partial(self._deliveries.handle, pending)
        name = f"webhook {pending.event.id}"
        threading.Thread(target=lambda: replies.put(context.run(settle)), name=name, daemon=True).start()
        try:
            return replies.get(timeout=self._deliveries.timeout)
        except queue.Empty:
            return timed_out(pending.event)


class StartResponse(Protocol):
    """The callable with which a WSGI application starts its response."""

    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> object:
        """Send the status and the headers."""
        ...


class Input(Protocol):
    """The stream that holds the request body."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; empty at the end of the stream."""
        ...


def _read(deliveries: DeliveryHandler, environ: Environ) -> bytes | Reply:
    """Read the body, up to the maximum size."""
    if environ["REQUEST_METHOD"] != "POST":
        return NOT_A_POST
    content_length: str = environ.get("CONTENT_LENGTH") or ""
    if content_length and not (content_length.isascii() and content_length.isdigit()):
        return _BAD_LENGTH
    if content_length:
        length = int(content_length[:20])
        if length > deliveries.max_body:
            return TOO_LARGE
    else:
        # Without a length, a read may block forever unless the server ends the stream after a chunked body. Reading one
        # byte more than the maximum is enough to reject the delivery.
        length = deliveries.max_body + 1 if environ.get("wsgi.input_terminated") else 0
    return _take(environ["wsgi.input"], length)


def _take(source: Input, length: int) -> bytes:
    """Read `length` bytes, or fewer if the stream ends first."""
    body = bytearray()
    while len(body) < length:
        chunk = source.read(min(_CHUNK, length - len(body)))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _headers(environ: Environ) -> dict[str, str]:
    """Restore header names from the CGI form `HTTP_X_NAME`."""
    return {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
