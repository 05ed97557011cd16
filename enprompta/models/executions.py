"""What came of executing a prompt, and sums over executions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from enprompta.models.base import Date, DateTime, Mapped, Model, Open

ExecutionStatus = Literal["completed", "failed"]
GroupBy = Literal["day", "prompt", "model"]


class Execution(Model):
    """One execution of a prompt on a model (reference: "Prompts")."""

    id: str
    prompt_id: str | None = None
    status: Open[ExecutionStatus] | None = None
    output: str | None = None
    """What the model answered; None when it failed."""
    tokens: int | None = None
    """Tokens the model read and wrote."""
    cost: float | None = None
    """USD."""
    latency: float | None = None
    """Milliseconds the model took."""
    provider: str | None = None
    model: str | None = None
    variables: Mapped[Any] = Field(default_factory=dict)
    """The values the prompt was rendered with."""
    created_at: DateTime | None = None
    error: Any = None
    """Why it failed; None when it did not."""


class ExecutionStats(Model):
    """Sums over the executions of one day, prompt or model, as `group_by` asked."""

    key: str | None = None
    """The day, the prompt's id, or the model's name."""
    date: Date | None = None
    """The day; None unless grouped by day."""
    executions: int | None = None
    tokens: int | None = None
    cost: float | None = None
    """USD."""
