"""Routes of traces and their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation at run time)

from enprompta.emulator.api.request_context import Context, PathId, ok
from enprompta.emulator.stores import traces

if TYPE_CHECKING:
    from enprompta.emulator.api.request_models import Fields

router: APIRouter = APIRouter(prefix="/api/v1")

_MAX_NAME = 200
_MAX_TEXT = 1_000_000
_MAX_TOKENS = 2**53
_MAX_MS = 1e12
_MAX_COST = 1e9
_MAX_LIMIT = 100
_DEFAULT_LIMIT = 50
_MAX_OFFSET = 2**53
_DEFAULT_DAYS, _MAX_DAYS = 7, 365


@router.post("/traces")
async def record_trace(context: Context) -> Response:
    """Record a trace; one with an empty input or output is dropped without an error, as the service does."""
    fields = context.fields(required=True)
    values = {
        **{
            name: fields.text(name, required=True, nullable=False, max_length=_MAX_NAME)
            for name in ("provider", "model")
        },
        **{
            name: fields.text(name, required=True, nullable=False, max_length=_MAX_TEXT, allow_empty=True)
            for name in ("input", "output")
        },
        **{
            name: fields.text(name, max_length=_MAX_TEXT, allow_empty=True) for name in ("systemPrompt", "errorMessage")
        },
        **{
            name: fields.text(name, max_length=_MAX_NAME)
            for name in ("errorCode", "finishReason", "sessionId", "promptId", "environment")
        },
        "temperature": fields.number("temperature", 0, 2),
        "topP": fields.number("topP", 0, 1),
        **{name: fields.integer(name, 0, _MAX_TOKENS) for name in ("maxTokens", "inputTokens", "outputTokens")},
        "latencyMs": fields.number("latencyMs", 0, _MAX_MS),
        "cost": fields.number("cost", 0, _MAX_COST),
        "status": fields.choice("status", traces.STATUSES),
        "metadata": fields.mapping("metadata"),
    }
    fields.check()
    trace_id = traces.record(context.services.database, context.account, values, context.now)
    return ok({"traceId": trace_id}, status=201)


@router.get("/traces")
async def list_traces(context: Context) -> Response:
    """List traces, newest first, by limit and offset."""
    query = context.query()
    limit, offset = query.integer("limit", 1, _MAX_LIMIT), query.integer("offset", 0, _MAX_OFFSET)
    columns = {
        "prompt_id": "promptId", "session_id": "sessionId", "provider": "provider", "model": "model",
        "environment": "environment",
    }  # fmt: skip
    filters: dict[str, object] = {
        f"{column} = ?": query.text(name, max_length=_MAX_NAME) for column, name in columns.items()
    }
    filters["status = ?"] = query.choice("status", traces.STATUSES)
    filters["created_at >= ?"] = query.time("startDate")
    filters["created_at <= ?"] = query.time("endDate", end=True)
    query.check()
    limit, offset = limit or _DEFAULT_LIMIT, offset or 0
    rows, total = traces.page(context.services.database, context.account, filters, limit=limit, offset=offset)
    return ok({"traces": [traces.wire(row) for row in rows], "total": total, "limit": limit, "offset": offset})


@router.get("/traces/analytics")  # must precede the next route, which would match `analytics` as an id
async def trace_analytics(context: Context) -> Response:
    """Sum up the traces of the last days."""
    query = context.query()
    days = query.integer("days", 1, _MAX_DAYS)
    query.check()
    return ok(traces.analytics(context.services.database, context.account, days or _DEFAULT_DAYS, context.now))


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
    fields = context.fields(required=True)
    values = _read_span(fields)
    parent = values["parentSpanId"]
    if parent is not None and parent not in {row["id"] for row in traces.spans(database, context.account, trace_id)}:
        fields.fail("parentSpanId", f"The trace has no span {parent!r}")
    fields.check()
    span_id = traces.create_span(database, context.account, trace_id, values, context.now)
    return ok({"spanId": span_id, "traceId": trace_id}, status=201)


def _read_span(fields: Fields) -> dict[str, object]:
    values: dict[str, object] = {
        "name": fields.text("name", required=True, nullable=False, max_length=_MAX_NAME),
        "spanType": fields.choice("spanType", traces.SPAN_TYPES),
        "parentSpanId": fields.text("parentSpanId", max_length=_MAX_NAME),
        "input": fields.value("input"),
        "output": fields.value("output"),
        "startTime": fields.instant("startTime"),
        "endTime": fields.instant("endTime"),
        "durationMs": fields.number("durationMs", 0, _MAX_MS),
        "tokens": fields.integer("tokens", 0, _MAX_TOKENS),
        "cost": fields.number("cost", 0, _MAX_COST),
        "status": fields.choice("status", traces.SPAN_STATUSES),
        "errorMessage": fields.text("errorMessage", max_length=_MAX_TEXT, allow_empty=True),
        "metadata": fields.mapping("metadata"),
    }
    if not fields.given("spanType"):
        fields.fail("spanType", "Required")
    return values
