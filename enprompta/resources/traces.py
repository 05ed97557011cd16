"""`client.traces`: record traces and read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset, body
from enprompta.models.traces import CreatedSpan, RecordedTrace, Trace, TraceAnalytics, TraceSpan
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta.models.base import Open
    from enprompta.models.traces import SpanStatus, SpanType, TraceStatus


class TraceCalls(Resource):
    """Calls on traces."""

    @operation
    def record(
        self,
        *,
        provider: str,
        model: str,
        input: str,
        output: str,
        system_prompt: str | Unset = UNSET,
        temperature: float | Unset = UNSET,
        max_tokens: int | Unset = UNSET,
        top_p: float | Unset = UNSET,
        input_tokens: int | Unset = UNSET,
        output_tokens: int | Unset = UNSET,
        latency_ms: float | Unset = UNSET,
        cost: float | Unset = UNSET,
        status: Open[TraceStatus] | Unset = UNSET,
        error_message: str | Unset = UNSET,
        error_code: str | Unset = UNSET,
        finish_reason: str | Unset = UNSET,
        session_id: str | Unset = UNSET,
        prompt_id: str | Unset = UNSET,
        environment: str | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[RecordedTrace]:
        """Record one call of a model as a trace.

        Args:
            provider: The model's provider, such as `openai`.
            model: The model.
            input: What was sent to the model. The service drops traces with an empty input or output, without an error.
            output: The answer; for a turn that only calls tools, the calls as JSON.
            system_prompt: The system prompt.
            temperature: Sampling temperature.
            max_tokens: Bound of the model's output tokens.
            top_p: Nucleus-sampling threshold.
            input_tokens: Tokens that the model read.
            output_tokens: Tokens that the model wrote.
            latency_ms: Duration of the call in milliseconds.
            cost: Price in US dollars.
            status: `SUCCESS`, `ERROR`, `TIMEOUT`, `RATE_LIMITED` or `CONTENT_FILTERED`.
            error_message: Why the call failed.
            error_code: The provider's code of the error.
            finish_reason: Why the model stopped, such as `stop`.
            session_id: The conversation that the call is a turn of.
            prompt_id: The prompt that was used.
            environment: Where the program runs, such as `production`.
            metadata: Your own values, to find the trace by.
            **options: `idempotency_key`, `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            BadRequestError: A value is invalid; `error.details` names the field.
            PermissionDeniedError: The credential lacks the scope `traces:write`.
            APIError: The call failed in another way.
        """
        json = body(
            provider=provider,
            model=model,
            input=input,
            output=output,
            systemPrompt=system_prompt,
            temperature=temperature,
            maxTokens=max_tokens,
            topP=top_p,
            inputTokens=input_tokens,
            outputTokens=output_tokens,
            latencyMs=latency_ms,
            cost=cost,
            status=status,
            errorMessage=error_message,
            errorCode=error_code,
            finishReason=finish_reason,
            sessionId=session_id,
            promptId=prompt_id,
            environment=environment,
            metadata=metadata,
        )
        return Call("POST", "/traces", RecordedTrace, json=json, options=options)

    @operation
    def get(self, trace_id: str, /, **options: Unpack[RequestOptions]) -> Call[Trace]:
        """Fetch one trace by its id, with its spans and evaluations.

        Raises:
            NotFoundError: The trace does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/traces/{}", trace_id), Trace, options=options, within="trace")

    @listing
    def list(
        self,
        *,
        limit: int | Unset = UNSET,
        offset: int | Unset = UNSET,
        prompt_id: str | Unset = UNSET,
        session_id: str | Unset = UNSET,
        provider: str | Unset = UNSET,
        model: str | Unset = UNSET,
        environment: str | Unset = UNSET,
        status: Open[TraceStatus] | Unset = UNSET,
        start_date: datetime | date | str | Unset = UNSET,
        end_date: datetime | date | str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[Trace]]:
        """List traces, newest first, without their spans; iterating over the result fetches all pages.

        Pages are counted from the newest trace, so traces recorded during a walk shift the following pages. Set
        `end_date` to walk through a fixed set.

        Args:
            limit: Traces per page, 1 to 100.
            offset: Number of traces to skip, 0 by default.
            prompt_id: Only traces of this prompt.
            session_id: Only traces of this conversation.
            provider: Only traces of this provider.
            model: Only traces of this model.
            environment: Only traces of this environment.
            status: Only traces with this status.
            start_date: Only traces from this time on. Times without a zone are UTC; text is sent as is.
            end_date: Only traces up to this time.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        params = body(
            limit=limit, offset=offset, promptId=prompt_id, sessionId=session_id, provider=provider, model=model,
            environment=environment, status=status, startDate=start_date, endDate=end_date,
        )  # fmt: skip
        return Call("GET", "/traces", Page[Trace], params=params, options=options, within="traces")

    @operation
    def spans(self, trace_id: str, /, **options: Unpack[RequestOptions]) -> Call[Sequence[TraceSpan]]:
        """Fetch the spans of one trace.

        Raises:
            NotFoundError: The trace does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        address = path("/traces/{}/spans", trace_id)
        return Call("GET", address, Sequence[TraceSpan], options=options, within="spans")

    @operation
    def create_span(
        self,
        trace_id: str,
        /,
        *,
        name: str,
        span_type: Open[SpanType],
        parent_span_id: str | Unset = UNSET,
        input: object = UNSET,
        output: object = UNSET,
        start_time: datetime | str | Unset = UNSET,
        end_time: datetime | str | Unset = UNSET,
        duration_ms: float | Unset = UNSET,
        tokens: int | Unset = UNSET,
        cost: float | Unset = UNSET,
        status: Open[SpanStatus] | Unset = UNSET,
        error_message: str | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[CreatedSpan]:
        """Add a span to a trace: one step, such as a retrieval or a call of a tool.

        Args:
            trace_id: The trace.
            name: Name of the step.
            span_type: `LLM`, `RETRIEVAL`, `TOOL`, `CHAIN`, `EMBEDDING` or `AGENT`.
            parent_span_id: The span that this one is a step of.
            input: What the step got, as any JSON.
            output: What the step returned, as any JSON.
            start_time: When the step began. Times without a zone are UTC; text is sent as is.
            end_time: When the step ended.
            duration_ms: Duration in milliseconds.
            tokens: Tokens that the step's model used.
            cost: Price in US dollars.
            status: `RUNNING`, `SUCCESS` or `ERROR`.
            error_message: Why the step failed.
            metadata: Your own values.
            **options: `idempotency_key`, `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            NotFoundError: The trace does not exist, or this key cannot access it.
            BadRequestError: A value is invalid; `error.details` names the field.
            APIError: The call failed in another way.
        """
        json = body(
            name=name,
            spanType=span_type,
            parentSpanId=parent_span_id,
            input=input,
            output=output,
            startTime=start_time,
            endTime=end_time,
            durationMs=duration_ms,
            tokens=tokens,
            cost=cost,
            status=status,
            errorMessage=error_message,
            metadata=metadata,
        )
        return Call("POST", path("/traces/{}/spans", trace_id), CreatedSpan, json=json, options=options)

    @operation
    def analytics(self, *, days: int | Unset = UNSET, **options: Unpack[RequestOptions]) -> Call[TraceAnalytics]:
        """Sum up the traces of the last days.

        Args:
            days: Number of days; the service's default is 7.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: The call failed.
        """
        return Call("GET", "/traces/analytics", TraceAnalytics, params=body(days=days), options=options)


class Traces(TraceCalls, SyncResource):
    """`client.traces`."""


class AsyncTraces(TraceCalls, AsyncResource):
    """`async_client.traces`."""


class RawTraces(TraceCalls, RawResource):
    """`client.with_raw_response.traces`."""


class AsyncRawTraces(TraceCalls, AsyncRawResource):
    """`async_client.with_raw_response.traces`."""
