"""What becomes of one delivery, whatever way it came in: admit it, handle it once, answer."""

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
"""The name under which the handler of all other events is registered."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer a delivery with, in any framework."""

    status: int
    body: bytes
    """JSON."""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


def accepted(outcome: Literal["handled", "duplicate", "ignored"]) -> Reply:
    """Answer so that the service does not send the event again."""
    return Reply(200, json.dumps({"status": outcome}).encode())


def refused(status: int, code: str, message: str, *headers: tuple[str, str]) -> Reply:
    """Answer in the API's own error format."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Reply(status, body, (("Content-Type", "application/json"), *headers))


NOT_A_POST = refused(405, "METHOD_NOT_ALLOWED", "Deliveries are sent with POST", ("Allow", "POST"))
TOO_LARGE = refused(413, "PAYLOAD_TOO_LARGE", "The delivery is larger than this receiver accepts")
NOT_SIGNED = refused(401, "INVALID_SIGNATURE", "The delivery is not signed with this receiver's secret")
NOT_AN_EVENT = refused(400, "INVALID_PAYLOAD", "The delivery is signed, but is not an event")
BUSY = refused(503, "EVENT_IN_PROGRESS", "The event is being handled: send it again later")
FAILED = refused(500, "HANDLER_FAILED", "The event could not be handled: send it again later")
LATE = refused(500, "HANDLER_TIMEOUT", "The event is not handled yet: send it again later")


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is to be handled, and by what."""

    event: WebhookEvent
    handler: Handler

    @property
    def is_async(self) -> bool:
        """Whether the handler belongs on an event loop; one that only returns an awaitable is run beside it."""
        function = self.handler
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 (an object whose `__call__` is async is not itself so)
        )


@dataclass(frozen=True, slots=True)
class DeliveryHandler:
    """Takes deliveries in; holds what `WebhookReceiver` was given."""

    secrets: tuple[bytes, ...] = field(repr=False)
    deduplicator: Deduplicator
    timeout: float | None
    max_body: int
    tolerance: float | None
    max_reserialized: int
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])

    def verify(self, body: bytes, headers: Headers) -> PendingEvent | Reply:
        """Verify, then parse, then find who handles the event; a `Reply` when there is nothing to handle."""
        if len(body) > self.max_body:
            return TOO_LARGE
        try:
            event = construct_event(
                body, headers, self.secrets, tolerance=self.tolerance, max_reserialized=self.max_reserialized
            )
        except WebhookSignatureError as error:
            _LOG.warning("webhook.refused status=401 reason=%s", error)
            return NOT_SIGNED
        except WebhookPayloadError as error:
            _LOG.warning("webhook.refused status=400 reason=%s", error)
            return NOT_AN_EVENT
        handler = self.handlers.get(event.event) or self.handlers.get(ANY)
        if handler is None:
            _LOG.debug("webhook.ignored event=%s event_id=%s", event.event, event.id)
            return accepted("ignored")
        return PendingEvent(event, handler)

    def handle(self, job: PendingEvent) -> Reply:
        """Handle an event on this thread, from claim to answer; an async handler gets an event loop for itself."""
        try:
            with self.deduplicator.claim(job.event.id) as claim:
                if not claim.is_mine:
                    return not_mine(claim)
                result = job.handler(job.event)
                if inspect.isawaitable(result):
                    asyncio.run(self._awaited(result))
        except BaseException:  # noqa: BLE001 (whatever a handler raises, `SystemExit` too, this thread must answer)
            return failed(job.event)
        return handled(job.event)

    async def _awaited(self, result: Awaitable[object]) -> None:
        await asyncio.wait_for(result, self.timeout)


def not_mine(claim: Claim) -> Reply:
    """Answer for an event that somebody else has handled, or is handling."""
    _LOG.info("webhook.duplicate event_id=%s state=%s", claim.event_id, claim.state.value)
    return accepted("duplicate") if claim.state is ClaimState.DONE else BUSY


def handled(event: WebhookEvent) -> Reply:
    """Answer for a handler that has succeeded."""
    _LOG.info("webhook.handled event=%s event_id=%s", event.event, event.id)
    return accepted("handled")


def failed(event: WebhookEvent) -> Reply:
    """Answer for a handler, or a store, that has raised; call it where the exception is handled."""
    _LOG.exception("webhook.handler_failed event=%s event_id=%s", event.event, event.id)
    return FAILED


def late(event: WebhookEvent) -> Reply:
    """Answer for a handler that has taken too long."""
    _LOG.error("webhook.handler_timeout event=%s event_id=%s", event.event, event.id)
    return LATE
