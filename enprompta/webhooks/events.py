"""Verify a delivery and parse it into a typed event."""

from __future__ import annotations

import math
from datetime import timezone
from typing import TYPE_CHECKING

from pydantic import ValidationError

from enprompta._common.clock import wall_clock
from enprompta._common.json_reading import read_json
from enprompta.errors import ConfigurationError, WebhookPayloadError, WebhookSignatureError
from enprompta.models.events import WebhookEvent, event_adapter
from enprompta.webhooks.signature import DEFAULT_MAX_RESERIALIZED, SIGNATURE_HEADER, authenticate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from enprompta.webhooks.signature import Payload, Secret, Signature

__all__ = ["construct_event"]

_MAX_PROBLEMS = 3  # number of validation problems that an error lists


def construct_event(
    payload: Payload,
    signature: Signature,
    secret: Secret,
    *,
    tolerance: float | None = None,
    max_reserialized: int = DEFAULT_MAX_RESERIALIZED,
    clock: Callable[[], float] = wall_clock,
) -> WebhookEvent:
    """Verify a delivery and return its event.

    The event is parsed from the signed text, so it has the sender's content even if the body was reformatted on the
    way.

    Args:
        payload: The raw body (preferred), or the parsed payload.
        signature: The value of the `X-Enprompta-Signature` header, or all headers as a mapping.
        secret: The webhook's secret, or several while it is being rotated.
        tolerance: Maximum difference in seconds between `created_at` and now. None, the default, accepts any age: the
            service resends an event unchanged until it is accepted, so an old event is more likely late than replayed.
            To handle each event once, use a `Deduplicator`.
        max_reserialized: As in `verify_signature`.
        clock: Returns the current time in Unix seconds, which `tolerance` uses. The default follows `time.time`, even
            if it is frozen.

    Returns:
        An instance of an event class; `UnknownEvent` for an event that this version does not know.

    Raises:
        WebhookSignatureError: The delivery is not signed with the secret, or is outside the tolerance: answer 401.
        WebhookPayloadError: The delivery is signed but is not a JSON object with `id`, `event` and `created_at`:
            answer 400. An event whose data does not match its class is valid, and returned as `WebhookEventBase`.
        ConfigurationError: A secret is empty, the tolerance is not positive, or `max_reserialized` is negative.
    """
    check_tolerance(tolerance)
    match = authenticate(payload, signature, secret, max_reserialized)
    if match is None:
        raise WebhookSignatureError(
            f"The webhook delivery is not signed with this secret: check the secret, that {SIGNATURE_HEADER} arrives, "
            "and that the raw body is passed unchanged"
        )
    event = _read(match[1])
    if tolerance is not None:
        age = clock() - _timestamp(event.created_at)
        if abs(age) > tolerance:
            raise WebhookSignatureError(
                f"The webhook event {event.id} was created {abs(age):.0f} seconds {'ago' if age > 0 else 'ahead'}, "
                f"outside the tolerance of {tolerance:g} seconds"
            )
    return event


def check_tolerance(tolerance: float | None) -> None:
    """Raise ConfigurationError unless the tolerance is None or a positive, finite number."""
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ConfigurationError(f"tolerance must be a positive number of seconds or None, not {tolerance}")


def _read(body: bytes) -> WebhookEvent:
    try:
        value = read_json(body)
    except ValueError as error:
        raise WebhookPayloadError("The webhook delivery is signed, but its body is not JSON") from error
    if not isinstance(value, dict):
        raise WebhookPayloadError("The webhook delivery is signed, but its body is not a JSON object")
    try:
        return event_adapter().validate_python(value)
    except ValidationError as error:
        raise WebhookPayloadError(f"The webhook delivery is signed, but is not an event: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """List the invalid fields without their values."""
    problems = error.errors()
    named = [f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}" for each in problems[:_MAX_PROBLEMS]]
    more = f" and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
    return "; ".join(named) + more


def _timestamp(moment: datetime) -> float:
    """Return a Unix timestamp; a time without a zone is UTC, as in the API."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
