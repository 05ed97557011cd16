"""Put the spans of a trace together to the trace that the service shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_ENVIRONMENT = "production"
UNKNOWN = "unknown"
_MODEL_TYPES = frozenset({"LLM", "EMBEDDING"})
_NS_PER_MS = 1_000_000
_SAID_ONCE = ("prompt_id", "session_id", "system_prompt", "temperature", "max_tokens", "top_p", "finish_reason")
_STATUSES = (
    ("CONTENT_FILTERED", re.compile(r"content.?filter|safety|content_policy", re.IGNORECASE)),
    ("RATE_LIMITED", re.compile(r"rate.?limit|too.?many.?requests|\b429\b|quota", re.IGNORECASE)),
    ("TIMEOUT", re.compile(r"time.?d?.?out|deadline", re.IGNORECASE)),
)


def trace_of(rows: Sequence[Any]) -> dict[str, Any]:
    """Return the columns of a trace from the rows of its spans, in the order of their start.

    The root span speaks for the trace: its input and output, its duration and its error. What it does not say, the
    model calls in it say: the input of the first, the output of the last. Tokens and cost are those of all model calls.

    Args:
        rows: Mappings with the columns of `trace_spans`, where `facts` is decoded.
    """
    root = next((row for row in rows if not row["parent_span_id"]), rows[0])
    model_calls = [row for row in rows if row["span_type"] in _MODEL_TYPES]
    by_weight = [root["facts"], *(row["facts"] for row in model_calls), *(row["facts"] for row in rows)]
    counted = [row["facts"] for row in model_calls or rows]
    start = min(row["start_time"] for row in rows)
    end = root["end_time"] or max((row["end_time"] or 0) for row in rows)
    metadata: dict[str, Any] = {}
    for facts in reversed(by_weight):
        metadata.update(facts["metadata"])
    said = {name: _first((facts[name] for facts in by_weight), None) for name in _SAID_ONCE}
    error = root["facts"]["error_message"], root["facts"]["error_code"]
    failed = root["status"] == "ERROR"
    return {
        **said,
        "provider": _first((facts["provider"] for facts in by_weight), UNKNOWN),
        "model": _first((facts["model"] for facts in by_weight), UNKNOWN),
        "input": _first((facts["input"] for facts in by_weight[: len(model_calls) + 1]), ""),
        "output": _first([root["facts"]["output"], *(row["facts"]["output"] for row in reversed(model_calls))], ""),
        "input_tokens": sum(facts["input_tokens"] or 0 for facts in counted),
        "output_tokens": sum(facts["output_tokens"] or 0 for facts in counted),
        "latency_ms": max(end - (root["start_time"] if root["end_time"] else start), 0) / _NS_PER_MS,
        "cost": sum(facts["cost"] or 0 for facts in counted),
        "status": _status(failed, said["finish_reason"], *error),
        "error_message": error[0],
        "error_code": error[1],
        "environment": _first((facts["environment"] for facts in by_weight), DEFAULT_ENVIRONMENT),
        "metadata": metadata,
        "created_at": start // 1_000_000_000,
    }


def _first(values: Iterable[Any], default: Any) -> Any:  # noqa: ANN401
    """Return the first value that is neither None nor empty text."""
    return next((value for value in values if value is not None and value != ""), default)


def _status(failed: bool, finish_reason: str | None, message: str | None, code: str | None) -> str:  # noqa: FBT001
    reason = f"{finish_reason or ''} {code or ''} {message or ''}" if failed else finish_reason or ""
    for status, pattern in _STATUSES if failed else _STATUSES[:1]:
        if pattern.search(reason):
            return status
    return "ERROR" if failed else "SUCCESS"
