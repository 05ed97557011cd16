"""Usage, billing and invoices."""

from __future__ import annotations

from typing import ClassVar

from enprompta.models.base import Date, DateTime, Model


class TokenUsage(Model):
    """Credits of the current period, which the API calls tokens: one for each execution."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("used", "limit", "remaining")
    used: int | None = None
    limit: int | None = None
    """Credits of the plan; None means no limit."""
    remaining: int | None = None
    """Credits left; None means no limit."""


class RequestWindow(Model):
    """A rate limit window: the current minute or day."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("limit", "remaining", "reset")
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    """When the window ends, as a Unix timestamp in seconds."""


class Usage(Model):
    """The account's usage in the current period (reference: "Usage & Billing")."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("plan", "executions", "cost")
    plan: str | None = None
    """`free`, `pro`, `team` or `enterprise`."""
    period_start: DateTime | None = None
    period_end: DateTime | None = None
    tokens: TokenUsage | None = None
    requests_per_minute: RequestWindow | None = None
    requests_per_day: RequestWindow | None = None
    executions: int | None = None
    cost: float | None = None
    """In US dollars."""


class UsageRecord(Model):
    """Usage of one day, prompt or model, depending on `group_by`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("key", "requests", "executions", "tokens", "cost")
    key: str | None = None
    """The day, the prompt's id, or the model's name."""
    date: Date | None = None
    """The day; None unless the usage is grouped by day."""
    requests: int | None = None
    executions: int | None = None
    tokens: int | None = None
    cost: float | None = None
    """In US dollars."""


class Billing(Model):
    """The subscription (reference: "Usage & Billing")."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("plan", "status", "amount", "currency")
    plan: str | None = None
    status: str | None = None
    current_period_start: DateTime | None = None
    current_period_end: DateTime | None = None
    cancel_at_period_end: bool | None = None
    amount: float | None = None
    """The price per period, in `currency`."""
    currency: str | None = None


class Invoice(Model):
    """The invoice for one period."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "number", "status", "amount", "currency")
    id: str
    number: str | None = None
    status: str | None = None
    amount: float | None = None
    """In `currency`."""
    currency: str | None = None
    period_start: DateTime | None = None
    period_end: DateTime | None = None
    created_at: DateTime | None = None
