"""Webhook subscriptions and their deliveries; the events themselves are in `enprompta.webhooks`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enprompta.models.base import DateTime, Many, Model, Open

EventType = Literal[
    "prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"
]
DeliveryStatus = Literal["PENDING", "DELIVERED", "FAILED", "RETRYING"]


class Webhook(Model):
    """An address that events are sent to (reference: "Webhooks")."""

    id: str
    name: str | None = None
    description: str | None = None
    url: str | None = None
    events: Many[Open[EventType]] = Field(default_factory=list)
    is_active: bool | None = None
    failure_count: int | None = None
    last_success: DateTime | None = None
    last_failure: DateTime | None = None
    created_at: DateTime | None = None
    updated_at: DateTime | None = None


class CreatedWebhook(Webhook):
    """A new webhook with its secret, which the API shows only here."""

    secret: str = Field(repr=False)
    """What deliveries are signed with; store it where `verify_signature` will need it."""


class WebhookSecret(Model):
    """A fresh signing secret."""

    secret: str = Field(repr=False)


class WebhookDelivery(Model):
    """One event on its way to one webhook."""

    id: str
    webhook_id: str | None = None
    event_type: Open[EventType] | None = None
    event_id: str | None = None
    status: Open[DeliveryStatus] | None = None
    attempts: int | None = None
    """POSTs made so far."""
    response_status: int | None = None
    """What the receiver last answered; None when it did not."""
    latency_ms: float | None = None
    """Milliseconds the last POST took."""
    created_at: DateTime | None = None
    delivered_at: DateTime | None = None
