"""Webhook subscriptions and their deliveries; the events themselves are in `enprompta.webhooks`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enprompta.models.base import DateTime, Many, Model, Open, empty_list

EventType = Literal[
    "prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"
]
DeliveryStatus = Literal["PENDING", "DELIVERED", "FAILED", "RETRYING"]


class Webhook(Model):
    """A subscription that sends events to a URL (reference: "Webhooks")."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "name", "is_active")
    id: str
    name: str | None = None
    description: str | None = None
    url: str | None = None
    events: Many[Open[EventType]] = Field(default_factory=empty_list)
    is_active: bool | None = None
    failure_count: int | None = None
    last_success: DateTime | None = None
    last_failure: DateTime | None = None
    created_at: DateTime | None = None
    updated_at: DateTime | None = None


class CreatedWebhook(Webhook):
    """A new webhook with its secret, which the API shows only once."""

    secret: str = Field(repr=False)
    """The secret that signs deliveries; store it where your receiver can read it."""


class WebhookSecret(Model):
    """A new signing secret."""

    secret: str = Field(repr=False)


class WebhookDelivery(Model):
    """One event sent to one webhook."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "event_type", "status", "attempts")
    id: str
    webhook_id: str | None = None
    event_type: Open[EventType] | None = None
    event_id: str | None = None
    status: Open[DeliveryStatus] | None = None
    attempts: int | None = None
    """Number of requests so far."""
    response_status: int | None = None
    """Status code of the receiver's last response; None if it did not respond."""
    latency_ms: float | None = None
    """Duration of the last request, in milliseconds."""
    created_at: DateTime | None = None
    delivered_at: DateTime | None = None
