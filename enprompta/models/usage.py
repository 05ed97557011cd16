"""Usage, billing and invoices."""

from __future__ import annotations

from enprompta.models.base import Date, DateTime, Model


class TokenUsage(Model):
    """Plan tokens of the period: one for each prompt execution."""

    used: int | None = None
    limit: int | None = None
    """Tokens the plan has; None is no limit."""
    remaining: int | None = None
    """Tokens left; None is no limit."""


class RequestWindow(Model):
    """A request budget: of the minute or of the day."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    """When the window ends, in Unix seconds."""


class Usage(Model):
    """What the account has used in its current period (reference: "Usage & Billing")."""

    plan: str | None = None
    """`free`, `pro`, `team` or `enterprise`."""
    period_start: DateTime | None = None
    period_end: DateTime | None = None
    tokens: TokenUsage | None = None
    requests_per_minute: RequestWindow | None = None
    requests_per_day: RequestWindow | None = None
    executions: int | None = None
    cost: float | None = None
    """USD."""


class UsageRecord(Model):
    """Usage of one day, prompt or model, as `group_by` asked."""

    key: str | None = None
    """The day, the prompt's id, or the model's name."""
    date: Date | None = None
    """The day; None unless grouped by day."""
    requests: int | None = None
    executions: int | None = None
    tokens: int | None = None
    cost: float | None = None
    """USD."""


class Billing(Model):
    """The subscription (reference: "Usage & Billing")."""

    plan: str | None = None
    status: str | None = None
    current_period_start: DateTime | None = None
    current_period_end: DateTime | None = None
    cancel_at_period_end: bool | None = None
    amount: float | None = None
    """The price of a period, in `currency`."""
    currency: str | None = None


class Invoice(Model):
    """A bill for one period."""

    id: str
    number: str | None = None
    status: str | None = None
    amount: float | None = None
    """In `currency`."""
    currency: str | None = None
    period_start: DateTime | None = None
    period_end: DateTime | None = None
    created_at: DateTime | None = None
