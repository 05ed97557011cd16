"""Traces: recorded model calls of an application, their spans, and evaluations of them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from enprompta.models.base import DateTime, Many, Mapped, Model, Open

TraceStatus = Literal["SUCCESS", "ERROR", "TIMEOUT", "RATE_LIMITED", "CONTENT_FILTERED"]
SpanStatus = Literal["RUNNING", "SUCCESS", "ERROR"]
SpanType = Literal["LLM", "RETRIEVAL", "TOOL", "CHAIN", "EMBEDDING", "AGENT"]


class TraceSpan(Model):
    """One step of a trace: a model call, a retrieval, a tool, or a chain of them."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "name", "span_type", "status")
    id: str
    trace_id: str | None = None
    parent_span_id: str | None = None
    """The span that this one is a step of; None for the first one."""
    name: str | None = None
    span_type: Open[SpanType] | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    """None while the span is running."""
    duration_ms: float | None = None
    """In milliseconds."""
    input: Any = None
    output: Any = None
    tokens: int | None = None
    """Input and output tokens of the model."""
    cost: float | None = None
    """In US dollars."""
    status: Open[SpanStatus] | None = None
    error_message: str | None = None
    metadata: Mapped[Any] | None = None


class TraceEvaluation(Model):
    """The result of an evaluator for a trace; the service makes these."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "evaluator_name", "score", "passed")
    id: str
    trace_id: str | None = None
    evaluator_type: str | None = None
    evaluator_name: str | None = None
    score: float | None = None
    passed: bool | None = None
    """True if the score reached the threshold."""
    threshold: float | None = None
    reasoning: str | None = None
    evaluation_type: str | None = None
    created_at: DateTime | None = None


class Trace(Model):
    """One recorded request of an application to a model, with its steps."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "status", "provider", "model", "total_tokens", "cost")
    id: str
    user_id: str | None = None
    prompt_id: str | None = None
    """The prompt that was used; None if the trace is not linked to one."""
    session_id: str | None = None
    """The conversation that the trace is a turn of."""
    provider: str | None = None
    model: str | None = None
    input: str | None = None
    output: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    latency_ms: float | None = None
    """In milliseconds."""
    cost: float | None = None
    """In US dollars."""
    status: Open[TraceStatus] | None = None
    error_message: str | None = None
    error_code: str | None = None
    finish_reason: str | None = None
    environment: str | None = None
    metadata: Mapped[Any] | None = None
    created_at: DateTime | None = None
    evaluations: Many[TraceEvaluation] | None = None
    """None in a listing; `traces.get` has them."""
    spans: Many[TraceSpan] | None = None
    """None in a listing; `traces.get` has them."""


class RecordedTrace(Model):
    """The id of a trace that was recorded."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("trace_id",)
    trace_id: str


class CreatedSpan(Model):
    """The ids of a span that was created."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("span_id", "trace_id")
    span_id: str
    trace_id: str | None = None


class TraceAnalytics(Model):
    """Totals of the traces of a period."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("total_traces", "total_tokens", "total_cost")
    total_traces: int | None = None
    total_tokens: int | None = None
    total_cost: float | None = None
    """In US dollars."""
    avg_latency: float | None = None
    """In milliseconds."""
    by_provider: Mapped[Any] | None = None
    """Totals by provider, as the service sends them."""
    status_counts: Mapped[int] | None = None
    """Number of traces by status."""
    period: Mapped[Any] | None = None
    """The period, as the service sends it."""
