"""Process one delivery, independent of the framework: verify it, handle the event once, reply."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from enprompta.errors import WebhookPayloadError, WebhookSignatureError
from enprompta.webhooks.events import construct_event
from enprompta.webhooks.stores import ClaimState

if TYPE_CHECKING:
    from enprompta.models.events import WebhookEvent
    from enprompta.webhooks.dedupe import Claim, Deduplicator
    from enprompta.webhooks.signature import Headers

_LOG = logging.getLogger("enprompta.webhooks")

Handler: TypeAlias = Callable[[Any], object]

ANY = "*"
"""The name that registers the handler for all other events."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The HTTP response to a delivery, for any framework."""

    status: int
    body: bytes
    """A JSON document."""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


def accepted(outcome: Literal["handled", "duplicate", "ignored"]) -> Reply:
    """Build a 200 reply, after which the service does not send the event again."""
    return Reply(200, json.dumps({"status": outcome}).encode())


def refused(status: int, code: str, message: str, *headers: tuple[str, str]) -> Reply:
    """Build an error reply in the API's format."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Reply(status, body, (("Content-Type", "application/json"), *headers))


NOT_A_POST = refused(405, "METHOD_NOT_ALLOWED", "Send deliveries with POST", ("Allow", "POST"))
TOO_LARGE = refused(413, "PAYLOAD_TOO_LARGE", "The delivery is larger than this receiver accepts")
BAD_SIGNATURE = refused(401, "INVALID_SIGNATURE", "The delivery is not signed with this receiver's secret")
NOT_AN_EVENT = refused(400, "INVALID_PAYLOAD", "The delivery is signed, but is not an event")
BUSY = refused(503, "EVENT_IN_PROGRESS", "The event is being handled: send it again later")
FAILED = refused(500, "HANDLER_FAILED", "The handler failed: send the event again later")
TIMED_OUT = refused(500, "HANDLER_TIMEOUT", "The handler has not finished: send the event again later")


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A verified event and its handler."""

    event: WebhookEvent
    handler: Handler

    @property
    def is_async(self) -> bool:
        """True if the handler is a coroutine function; one that only returns an awaitable runs in a thread."""
        function = self.handler
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 (not `callable`: the method itself is inspected)
        )


@dataclass(frozen=True, slots=True)
class DeliveryHandler:
    """Verifies and handles deliveries, with the settings of `WebhookReceiver`."""

    secrets: tuple[bytes, ...] = field(repr=False)
    deduplicator: Deduplicator
    timeout: float | None
    max_body: int
    tolerance: float | None
    max_reserialized: int
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])

    def verify(self, body: bytes, headers: Headers) -> PendingEvent | Reply:
        """Verify and parse a delivery and find its handler; return a `Reply` if there is nothing to handle."""
        if len(body) > self.max_body:
            return TOO_LARGE
        try:
            event = construct_event(
                body, headers, self.secrets, tolerance=self.tolerance, max_reserialized=self.max_reserialized
            )
        except WebhookSignatureError as error:
            _LOG.warning("webhook.refused status=401 reason=%s", error)
            return BAD_SIGNATURE
        except WebhookPayloadError as error:
            _LOG.warning("webhook.refused status=400 reason=%s", error)
            return NOT_AN_EVENT
        handler = self.handlers.get(event.event) or self.handlers.get(ANY)
        if handler is None:
            _LOG.debug("webhook.ignored event=%s event_id=%s", event.event, event.id)
            return accepted("ignored")
        return PendingEvent(event, handler)

    def handle(self, pending: PendingEvent) -> Reply:
        """Handle an event in this thread: claim it, run the handler, reply. An async handler gets a new event loop."""
        try:
            with self.deduplicator.claim(pending.event.id) as claim:
                if not claim.is_mine:
                    return duplicate(claim)
                result = pending.handler(pending.event)
                if inspect.isawaitable(result):
                    asyncio.run(self._awaited(result))
        except BaseException:  # noqa: BLE001 (the thread must reply even after `SystemExit`)
            return failed(pending.event)
        return handled(pending.event)

    async def _awaited(self, result: Awaitable[object]) -> None:
        await asyncio.wait_for(result, self.timeout)


def duplicate(claim: Claim) -> Reply:
    """Reply to an event that was handled already or is being handled."""
    _LOG.info("webhook.duplicate event_id=%s state=%s", claim.event_id, claim.state.value)
    return accepted("duplicate") if claim.state is ClaimState.DONE else BUSY


def handled(event: WebhookEvent) -> Reply:
    """Reply after the handler has succeeded."""
    _LOG.info("webhook.handled event=%s event_id=%s", event.event, event.id)
    return accepted("handled")


def failed(event: WebhookEvent) -> Reply:
    """Reply after a handler or store has raised; call it inside the `except` block."""
    _LOG.exception("webhook.handler_failed event=%s event_id=%s", event.event, event.id)
    return FAILED


def timed_out(event: WebhookEvent) -> Reply:
    """Reply after the handler has timed out."""
    _LOG.error("webhook.handler_timeout event=%s event_id=%s", event.event, event.id)
    return TIMED_OUT
