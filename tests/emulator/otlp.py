"""Export requests of OTLP, in both encodings."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATH = "/api/ingest/otlp/v1/traces"
TRACE, ROOT, CHILD = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b175"
START = 1_705_486_500_000_000_000
JSON, PROTOBUF = "application/json", "application/x-protobuf"


def any_value(value: Any) -> dict[str, Any]:
    """Write a value as OTLP's JSON does."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(one) for one in value]}}
    return {"stringValue": value}


def span(given: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Write a span with attributes as OTLP's JSON does; fields replace those that it has."""
    return {
        "traceId": TRACE,
        "spanId": ROOT,
        "name": "chat",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 850_000_000),
        "attributes": [{"key": key, "value": any_value(value)} for key, value in (given or {}).items()],
        **fields,
    }


def request(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write an export request."""
    attributes = [{"key": key, "value": any_value(value)} for key, value in (resource or {}).items()]
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": list(spans)}]}]}


def as_protobuf(document: dict[str, Any]) -> bytes:
    """Write an export request in protobuf, whose JSON mapping has ids in base64."""
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for one in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in one:
                        one[name] = base64.b64encode(bytes.fromhex(one[name])).decode()
    return Parse(json.dumps(document), ExportTraceServiceRequest()).SerializeToString()


def event(name: str, **attributes: Any) -> dict[str, Any]:
    """Write an event of a span."""
    given = {key.replace("__", "."): any_value(value) for key, value in attributes.items()}
    return {"name": name, "attributes": [{"key": key, "value": value} for key, value in given.items()]}


FULL = {"input.value": "Hello", "output.value": "Hi.", "llm.model_name": "gpt-4"}
BODY = as_protobuf(request(span(FULL)))
