"""Routes of traces and their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from enprompta.emulator.api.request_context import Context, PathId, Response, ok
from enprompta.emulator.api.request_models import (
    FirstSecond,
    Instant,
    LastSecond,
    NotNull,
    Omittable,
    RequestModel,
    Text200,
    between,
    digits,
    one_of,
    whole,
)
from enprompta.emulator.stores import traces

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import ValidationInfo

router: APIRouter = APIRouter(prefix="/api/v1")

Text1M = Annotated[str, Field(max_length=1_000_000)]
Tokens = Annotated[int, whole(0, 2**53)]
Milliseconds = Annotated[float, between(0, 1e12)]
Cost = Annotated[float, between(0, 1e9)]


class _NewTrace(RequestModel, frozen=True):
    provider: NotNull[Text200]
    model: NotNull[Text200]
    input: NotNull[Text1M]
    output: NotNull[Text1M]
    system_prompt: Text1M | None = None
    error_message: Text1M | None = None
    error_code: Text200 | None = None
    finish_reason: Text200 | None = None
    session_id: Text200 | None = None
    prompt_id: Text200 | None = None
    environment: Text200 | None = None
    temperature: Omittable[Annotated[float, between(0, 2)]] = None
    top_p: Omittable[Annotated[float, between(0, 1)]] = None
    max_tokens: Omittable[Tokens] = None
    input_tokens: Omittable[Tokens] = None
    output_tokens: Omittable[Tokens] = None
    latency_ms: Omittable[Milliseconds] = None
    cost: Omittable[Cost] = None
    status: Omittable[Annotated[str, one_of(traces.STATUSES)]] = None
    metadata: Omittable[dict[str, object]] = None


class _Traces(RequestModel, frozen=True):
    limit: Annotated[int, digits(1, 100)] = 50
    offset: Annotated[int, digits(0, 2**53)] = 0
    prompt_id: Text200 | None = None
    session_id: Text200 | None = None
    provider: Text200 | None = None
    model: Text200 | None = None
    environment: Text200 | None = None
    status: Annotated[str, one_of(traces.STATUSES)] | None = None
    start_date: FirstSecond | None = None
    end_date: LastSecond | None = None


class _Analytics(RequestModel, frozen=True):
    days: Annotated[int, digits(1, 365)] = 7


def _of_the_trace(span_id: str, info: ValidationInfo[Collection[str]]) -> str:
    """Check that the trace, whose spans are in `known`, has a span."""
    if span_id not in info.context:
        raise ValueError(f"The trace has no span {span_id!r}")
    return span_id


class _NewSpan(RequestModel, frozen=True):
    name: NotNull[Text200]
    span_type: NotNull[Annotated[str, one_of(traces.SPAN_TYPES)]]
    parent_span_id: Annotated[Text200, AfterValidator(_of_the_trace)] | None = None
    input: object = None
    output: object = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    duration_ms: Omittable[Milliseconds] = None
    tokens: Omittable[Tokens] = None
    cost: Omittable[Cost] = None
    status: Omittable[Annotated[str, one_of(traces.SPAN_STATUSES)]] = None
    error_message: Text1M | None = None
    metadata: Omittable[dict[str, object]] = None


@router.post("/traces")
async def record_trace(context: Context) -> Response:
    """Record a trace; one with an empty input or output is dropped without an error, as the service does."""
    values = context.read(_NewTrace, required=True).values()
    trace_id = traces.record(context.services.database, context.account, values, context.now)
    return ok({"traceId": trace_id}, status=201)


@router.get("/traces")
async def list_traces(context: Context) -> Response:
    """List traces, newest first, by limit and offset."""
    query = context.query(_Traces)
    database, listing = context.services.database, traces.listing(context.account, **query.filters())
    rows = listing.rows(database, "ORDER BY number DESC LIMIT ? OFFSET ?", query.limit, query.offset)
    page = {"total": listing.count(database), "limit": query.limit, "offset": query.offset}
    return ok({"traces": [traces.wire(row) for row in rows], **page})


@router.get("/traces/analytics")  # must precede the next route, which would match `analytics` as an id
async def trace_analytics(context: Context) -> Response:
    """Sum up the traces of the last days."""
    days = context.query(_Analytics).days
    return ok(traces.analytics(context.services.database, context.account, days, context.now))


@router.get("/traces/{trace_id}")
async def get_trace(context: Context, trace_id: PathId) -> Response:
    """Fetch a trace with its spans and evaluations; the emulator evaluates nothing."""
    database = context.services.database
    trace = traces.wire(traces.get(database, context.account, trace_id))
    spans = [traces.span_wire(row) for row in traces.spans(database, context.account, trace_id)]
    return ok({"trace": {**trace, "spans": spans, "evaluations": []}})


@router.get("/traces/{trace_id}/spans")
async def list_spans(context: Context, trace_id: PathId) -> Response:
    """List the spans of a trace, in the order of their start."""
    database = context.services.database
    traces.get(database, context.account, trace_id)
    return ok({"spans": [traces.span_wire(row) for row in traces.spans(database, context.account, trace_id)]})


@router.post("/traces/{trace_id}/spans")
async def create_span(context: Context, trace_id: PathId) -> Response:
    """Add a span to a trace."""
    database = context.services.database
    traces.get(database, context.account, trace_id)  # a 404 takes precedence over invalid fields
    span_ids = {row["id"] for row in traces.spans(database, context.account, trace_id)}
    values = context.read(_NewSpan, span_ids, required=True).values()
    span_id = traces.create_span(database, context.account, trace_id, values, context.now)
    return ok({"spanId": span_id, "traceId": trace_id}, status=201)
