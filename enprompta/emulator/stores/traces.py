"""Traces, their spans, and totals over them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import found
from enprompta.emulator.ingest.conventions import DEFAULT_ENVIRONMENT, facts_of, trace_of
from enprompta.emulator.ingest.spans import STATUS_ERROR
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json, iso

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.ingest.spans import OtlpSpan
    from enprompta.emulator.wire import JSONObject

STATUSES = ("SUCCESS", "ERROR", "TIMEOUT", "RATE_LIMITED", "CONTENT_FILTERED")
SPAN_STATUSES = ("RUNNING", "SUCCESS", "ERROR")
SPAN_TYPES = ("LLM", "RETRIEVAL", "TOOL", "CHAIN", "EMBEDDING", "AGENT")
_DAY_SECONDS = 86_400
_NS = 1_000_000_000
# The service shows no trace without an input or an output, and says nothing about it.
_SHOWN = "input <> '' AND output <> ''"
_COLUMNS = (
    "id user_id prompt_id session_id provider model input output system_prompt temperature max_tokens top_p "
    "input_tokens output_tokens latency_ms cost status error_message error_code finish_reason environment"
)
_DEFAULTS: dict[str, object] = {
    "input_tokens": 0, "output_tokens": 0, "latency_ms": 0, "cost": 0, "status": "SUCCESS",
    "environment": DEFAULT_ENVIRONMENT, "metadata": {},
}  # fmt: skip


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a trace as JSON, without its spans."""
    total = row["input_tokens"] + row["output_tokens"]
    return {**as_json(row, _COLUMNS), "totalTokens": total, **as_json(row, "metadata created_at")}


def span_wire(row: sqlite3.Row) -> JSONObject:
    """Return a span as JSON."""
    end: int | None = row["end_time"]
    return {
        **as_json(row, "id trace_id parent_span_id name span_type"),
        "startTime": _iso(row["start_time"]),
        "endTime": None if end is None else _iso(end),
        "durationMs": None if end is None else round(max(end - row["start_time"], 0) / 1e6, 3),
        "input": json.loads(row["input"]),
        "output": json.loads(row["output"]),
        **as_json(row, "tokens cost status error_message metadata"),
    }


def _iso(nanoseconds: int) -> str:
    """Format a time with milliseconds, which a span needs."""
    seconds, rest = divmod(nanoseconds, _NS)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03}Z"


def record(database: Database, account: Account, values: Mapping[str, object], now: float) -> str:
    """Store a trace and return its id; one without input or output gets an id and is not shown."""
    trace_id = new_id("trc")
    given = {name: value for name, value in values.items() if value is not None}
    _store(database, account, trace_id, {**_DEFAULTS, **given, "created_at": int(now)})
    return trace_id


def _store(database: Database, account: Account, trace_id: str, columns: Mapping[str, object]) -> None:
    row = {**columns, "user_id": account.user_id}
    updates = ", ".join(f"{name} = excluded.{name}" for name in row)
    conflict = f"ON CONFLICT (account_id, id) DO UPDATE SET {updates}"
    database.insert("traces", {**row, "id": trace_id, "account_id": account.id}, conflict)


def get(database: Database, account: Account, trace_id: str) -> sqlite3.Row:
    """Return an account's trace, or raise a 404."""
    sql = f"SELECT * FROM traces WHERE account_id = ? AND id = ? AND {_SHOWN}"  # noqa: S608 (no input in it)
    return found(database.one(sql, account.id, trace_id), "Trace", trace_id)


def listing(account: Account, **filters: object) -> Listing:
    """List an account's traces, newest first, with the filters of `Listing.filtered`."""
    return Listing("traces", "traces", ["account_id = ?", _SHOWN], [account.id]).filtered(filters)


def spans(database: Database, account: Account, trace_id: str) -> list[sqlite3.Row]:
    """Return the spans of a trace, in the order of their start."""
    sql = "SELECT * FROM trace_spans WHERE account_id = ? AND trace_id = ? ORDER BY start_time, number"
    return database.all(sql, account.id, trace_id)


def create_span(database: Database, account: Account, trace_id: str, values: Mapping[str, object], now: float) -> str:
    """Add a span to a trace, and return its id."""
    span_id = new_id("spn")
    start, end = _times(values, now)
    row: JSONObject = {
        "metadata": {},
        "status": "RUNNING" if end is None else "SUCCESS",
        **values,
        **{name: json.dumps(values.get(name)) for name in ("input", "output")},
        "id": span_id,
        "account_id": account.id,
        "trace_id": trace_id,
        "facts": {},
        "start_time": start,
        "end_time": end,
    }
    row.pop("duration_ms", None)
    database.insert("trace_spans", row)
    return span_id


def _times(values: Mapping[str, Any], now: float) -> tuple[int, int | None]:
    """Return start and end of a span from those that are given and the duration."""
    start, end, duration = values.get("start_time"), values.get("end_time"), values.get("duration_ms")
    span = None if duration is None else int(duration * 1e6)
    if start is None:
        start = int(now * _NS) if end is None or span is None else max(end - span, 0)
        if end is None and span is not None:
            return max(start - span, 0), start
    if end is None and span is not None:
        end = start + span
    return start, end


def ingest(database: Database, account: Account, arrived: Iterable[OtlpSpan]) -> None:
    """Store the spans of an export request, and update the traces that they are of.

    A span that arrives again replaces the first one. Spans of one trace may come in several requests, in any order.
    """
    with database.transaction():
        changed: dict[str, None] = {}
        for span in arrived:
            _store_span(database, account, span)
            changed[span.trace_id] = None
        for trace_id in changed:
            rows = [
                {**row, "facts": json.loads(row["facts"])}
                for row in map(dict, spans(database, account, trace_id))
                if row["facts"] != "{}"  # added by a call, and not ingested
            ]
            _store(database, account, trace_id, trace_of(rows))


def _store_span(database: Database, account: Account, span: OtlpSpan) -> None:
    facts = facts_of(span)
    tokens = None
    if facts.input_tokens is not None or facts.output_tokens is not None:
        tokens = (facts.input_tokens or 0) + (facts.output_tokens or 0)
    status = "ERROR" if span.status_code == STATUS_ERROR else "SUCCESS" if span.end else "RUNNING"
    database.run(
        "INSERT OR REPLACE INTO trace_spans (id, account_id, trace_id, parent_span_id, name, span_type, input, output, "
        "start_time, end_time, tokens, cost, status, error_message, metadata, facts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(span.span_id, account.id, span.trace_id, span.parent_span_id or None, span.name, facts.span_type),
        *(json.dumps(facts.input or None), json.dumps(facts.output or None), span.start, span.end or None, tokens),
        *(facts.cost, status, facts.error_message, json.dumps(span.attributes), json.dumps(asdict(facts))),
    )


def analytics(database: Database, account: Account, days: int, now: float) -> JSONObject:
    """Sum up an account's traces of the last days."""
    since = int(now) - days * _DAY_SECONDS
    sums = (
        "count(*) AS traces, coalesce(sum(input_tokens + output_tokens), 0) AS tokens, "
        "coalesce(sum(cost), 0.0) AS cost, coalesce(avg(latency_ms), 0.0) AS latency"
    )
    recent = listing(account, start_date=since)
    (total,) = recent.rows(database, columns=sums)
    by_provider = recent.rows(database, "GROUP BY provider ORDER BY traces DESC", columns=f"provider, {sums}")
    statuses = recent.rows(database, "GROUP BY status ORDER BY status", columns="status, count(*) AS traces")
    return {
        "totalTraces": total["traces"],
        "totalTokens": total["tokens"],
        "totalCost": round(total["cost"], 6),
        "avgLatency": round(total["latency"], 3),
        "byProvider": {
            row["provider"]: {
                "traces": row["traces"],
                "tokens": row["tokens"],
                "cost": round(row["cost"], 6),
                "avgLatency": round(row["latency"], 3),
            }
            for row in by_provider
        },
        "statusCounts": {row["status"]: row["traces"] for row in statuses},
        "period": {"days": days, "startDate": iso(since), "endDate": iso(now)},
    }
