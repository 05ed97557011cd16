"""Read and write OTLP in protobuf, with the messages of `opentelemetry-proto`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from enprompta.emulator.ingest.otlp_json import MalformedError
from enprompta.emulator.ingest.spans import OtlpEvent, OtlpSpan

if TYPE_CHECKING:
    from collections.abc import Iterable


class NotInstalledError(Exception):
    """`opentelemetry-proto` is not installed."""


def read_spans(body: bytes) -> list[OtlpSpan]:
    """Read the spans of an export request.

    Raises:
        MalformedError: The body is not an export request.
        NotInstalledError: `opentelemetry-proto` is not installed.
    """
    messages = _messages()
    try:
        request = messages.ExportTraceServiceRequest.FromString(body)
    except Exception as error:  # noqa: BLE001 (DecodeError, and what the pure Python decoder raises besides)
        raise MalformedError(f"the body is not an ExportTraceServiceRequest ({type(error).__name__})") from None
    return [
        _span(span, resource)
        for resource_spans in request.resource_spans
        for resource in [_attributes(resource_spans.resource.attributes)]
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _messages() -> Any:  # noqa: ANN401 (generated code without types)
    try:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: PLC0415 (takes long to load)
    except ModuleNotFoundError:
        raise NotInstalledError from None
    return trace_service_pb2


def _span(span: Any, resource: dict[str, object]) -> OtlpSpan:  # noqa: ANN401 (a message)
    return OtlpSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        status_code=span.status.code,
        status_message=span.status.message,
        events=[OtlpEvent(one.name, _attributes(one.attributes)) for one in span.events],
        resource=resource,
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, object]:
    return {one.key: _any_value(one.value) for one in pairs}


def _any_value(value: Any) -> object:  # noqa: ANN401 (a message)
    """Read an AnyValue; the decoder of protobuf has bounded how deeply it is nested."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    inner = getattr(value, kind)
    if kind == "array_value":
        return [_any_value(one) for one in inner.values]
    if kind == "kvlist_value":
        return {one.key: _any_value(one.value) for one in inner.values}
    if kind == "bytes_value":
        return inner.decode("utf-8", "replace")
    if kind == "double_value" and not math.isfinite(inner):
        return str(inner)
    return inner


def success(rejected: int, message: str) -> bytes:
    """Write the response to an export request, with what was rejected, if any."""
    response = _messages().ExportTraceServiceResponse()
    if message:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def status(code: int, message: str) -> bytes:
    """Write the `google.rpc.Status` of an error: field 1 is the code, field 2 the message."""
    text = message.encode("utf-8", "replace")
    return b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    """Encode a number in groups of 7 bits, the lowest first."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 (7 bits)
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
