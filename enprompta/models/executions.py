"""Executions of prompts, and statistics over them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from enprompta.models.base import Date, DateTime, Mapped, Model, Open, empty_dict

ExecutionStatus = Literal["completed", "failed"]
GroupBy = Literal["day", "prompt", "model"]


class Execution(Model):
    """One execution of a prompt on a model (reference: "Prompts")."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "status", "tokens", "cost")
    id: str
    prompt_id: str | None = None
    status: Open[ExecutionStatus] | None = None
    output: str | None = None
    """The model's answer; None if the execution failed."""
    tokens: int | None = None
    """Input and output tokens of the model."""
    cost: float | None = None
    """In US dollars."""
    latency: float | None = None
    """Response time of the model, in milliseconds."""
    provider: str | None = None
    model: str | None = None
    variables: Mapped[Any] = Field(default_factory=empty_dict)
    """The values that the prompt was rendered with."""
    created_at: DateTime | None = None
    error: Any = None
    """Why the execution failed; None if it succeeded."""


class ExecutionStats(Model):
    """Totals of the executions of one day, prompt or model, depending on `group_by`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("key", "executions", "tokens", "cost")
    key: str | None = None
    """The day, the prompt's id, or the model's name."""
    date: Date | None = None
    """The day; None unless the totals are grouped by day."""
    executions: int | None = None
    tokens: int | None = None
    cost: float | None = None
    """In US dollars."""
