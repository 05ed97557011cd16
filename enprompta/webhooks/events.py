"""From a delivery to a typed event: verified first, then parsed."""

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

_NAMED = 3  # problems of a payload that an error spells out


def construct_event(
    payload: Payload,
    signature: Signature,
    secret: Secret,
    *,
    tolerance: float | None = None,
    max_reserialized: int = DEFAULT_MAX_RESERIALIZED,
    clock: Callable[[], float] = wall_clock,
) -> WebhookEvent:
    """Verify a delivery and read its event.

    The event is read from the text that was signed, so it holds what the sender wrote even where the body has been
    written anew on its way.

    Args:
        payload: The raw body (best), or the payload already parsed.
        signature: The value of the `X-Enprompta-Signature` header, or all headers as a mapping.
        secret: The webhook's secret, or several while it is being rotated.
        tolerance: Seconds that `created_at` may lie in the past or future. None, the default, accepts any age: the
            service sends an event again, unchanged, until it is accepted, so an old event is more likely a late one
            than a replay. To handle each event once, use a `Deduplicator`.
        max_reserialized: As in `verify_signature`.
        clock: Returns the time that `tolerance` compares with, in Unix seconds. The default follows `time.time`, frozen
            or not.

    Returns:
        One of the event classes; `UnknownEvent` for an event that this version does not know.

    Raises:
        WebhookSignatureError: The delivery is not signed with the secret, or is older than `tolerance`: answer 401.
        WebhookPayloadError: It is signed and not an event, that is, not a JSON object with `id`, `event` and
            `created_at`: answer 400. An event with data that does not fit its class is still one: `WebhookEventBase`.
        ConfigurationError: A secret is empty, the tolerance is not positive, or `max_reserialized` is negative.
    """
    check_tolerance(tolerance)
    match = authenticate(payload, signature, secret, max_reserialized)
    if match is None:
        raise WebhookSignatureError(
            f"The webhook delivery is not signed with this secret: check the secret, that {SIGNATURE_HEADER} arrives, "
            "and that the body is passed on as it came"
        )
    event = _read(match[1])
    if tolerance is not None:
        age = clock() - _timestamp(event.created_at)
        if abs(age) > tolerance:
            raise WebhookSignatureError(
                f"The webhook event {event.id} was created {abs(age):.0f} seconds {'ago' if age > 0 else 'ahead'}, "
                f"outside of the tolerance of {tolerance:g} seconds"
            )
    return event


def check_tolerance(tolerance: float | None) -> None:
    """Refuse a tolerance that nothing, or everything, would pass."""
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
    """Name the fields that are wrong, and none of their values."""
    problems = error.errors()
    named = [f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}" for each in problems[:_NAMED]]
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return "; ".join(named) + more


def _timestamp(moment: datetime) -> float:
    """Read a time that names no zone as UTC, which is what the API writes."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
