"""Read and write OTLP in JSON: field names in lowerCamelCase, ids in hexadecimal, 64-bit numbers as text or number."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from enprompta.emulator.ingest.spans import OtlpEvent, OtlpSpan

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEX = re.compile(r"[0-9a-fA-F]*")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_MAX_DEPTH = 100
_STATUSES = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_MIN_INT, _MAX_INT = -(2**63), 2**64
_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
T = TypeVar("T")


class MalformedError(ValueError):
    """The request is not an OTLP request; the message says where."""


def read_spans(body: bytes) -> list[OtlpSpan]:
    """Read the spans of an export request.

    Raises:
        MalformedError: The body is not JSON, or not of the shape of an export request.
    """
    try:
        request: object = json.loads(body.decode("utf-8-sig"))
        if b"\\ud" in body.lower():  # JSON allows lone surrogates, which cannot be stored
            json.dumps(request, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise MalformedError("the body is nested too deeply") from None
    except ValueError as error:
        raise MalformedError(f"the body is not valid JSON in UTF-8 ({type(error).__name__})") from None
    spans: list[OtlpSpan] = []
    for resource_spans in _objects(_object(request, "the body"), "resourceSpans"):
        resource = _attributes(_optional(resource_spans, "resource"))
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            spans += [_span(one, resource) for one in _objects(scope_spans, "spans")]
    return spans


def _span(source: dict[str, Any], resource: dict[str, object]) -> OtlpSpan:
    status = _optional(source, "status")
    code: object = status.get("code")
    return OtlpSpan(
        trace_id=_id(source, "traceId"),
        span_id=_id(source, "spanId"),
        parent_span_id=_id(source, "parentSpanId"),
        name=_text(source, "name"),
        start=_integer(source.get("startTimeUnixNano"), "startTimeUnixNano"),
        end=_integer(source.get("endTimeUnixNano"), "endTimeUnixNano"),
        attributes=_attributes(source),
        status_code=_STATUSES.get(code, 0)
        if isinstance(code, str)
        else _integer(code, "status.code", high=2**31, low=0),
        status_message=_text(status, "message"),
        events=[OtlpEvent(_text(one, "name"), _attributes(one)) for one in _objects(source, "events")],
        resource=resource,
    )


def _checked(value: object, kind: type[T], where: str) -> T:
    """Return a value if it is of the kind that the protocol has there."""
    if not isinstance(value, kind):
        raise MalformedError(f"{where} must be {_KINDS[kind]}")
    return value


def _object(value: object, where: str) -> dict[str, Any]:
    return cast("dict[str, Any]", _checked(value, dict, where))


def _optional(source: dict[str, Any], name: str) -> dict[str, Any]:
    value = source.get(name)
    return {} if value is None else _object(value, name)


def _objects(source: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    items = [] if source.get(name) is None else cast("list[object]", _checked(source[name], list, name))
    return (_object(one, f"an item of {name}") for one in items)


def _text(source: dict[str, Any], name: str) -> str:
    return "" if source.get(name) is None else _checked(source[name], str, name)


def _id(source: dict[str, Any], name: str) -> str:
    text = _text(source, name)
    if not _HEX.fullmatch(text):
        raise MalformedError(f"{name} must be hexadecimal")
    return text.lower()


def _integer(value: object, name: str, low: int = _MIN_INT, high: int = _MAX_INT) -> int:
    """Read a number, which JSON may write as text; null is the default of the protocol."""
    if value is None:
        return 0
    if (isinstance(value, str) and _INTEGER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
        raise MalformedError(f"{name} must be a whole number from {low} to {high - 1}")
    return value


def _attributes(source: dict[str, Any]) -> dict[str, object]:
    return {_text(one, "key"): _any_value(_optional(one, "value"), 0) for one in _objects(source, "attributes")}


def _any_value(value: dict[str, Any], depth: int) -> object:
    """Read an AnyValue; one without a known field is null, as the newest version of the protocol may have more."""
    if depth > _MAX_DEPTH:
        raise MalformedError("an attribute is nested too deeply")
    for name, kind in (("stringValue", str), ("boolValue", bool)):
        if value.get(name) is not None:
            return _checked(value[name], kind, name)
    for name, read in (("doubleValue", _double), ("bytesValue", _bytes)):
        if value.get(name) is not None:
            return read(value[name])
    if value.get("intValue") is not None:
        return _integer(value["intValue"], "intValue")
    if value.get("arrayValue") is not None:
        return [_any_value(one, depth + 1) for one in _objects(_object(value["arrayValue"], "arrayValue"), "values")]
    if value.get("kvlistValue") is not None:
        return {
            _text(one, "key"): _any_value(_optional(one, "value"), depth + 1)
            for one in _objects(_object(value["kvlistValue"], "kvlistValue"), "values")
        }
    return None


def _double(value: object) -> float | str:
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise MalformedError("doubleValue must be a number")
    try:
        number = float(value)
    except OverflowError:
        raise MalformedError("doubleValue is out of range") from None
    return number if math.isfinite(number) else str(number)


def _bytes(value: object) -> str:
    try:
        return base64.b64decode(_checked(value, str, "bytesValue"), validate=True).decode("utf-8", "replace")
    except binascii.Error:
        raise MalformedError("bytesValue must be base64") from None


def success(rejected: int, message: str) -> bytes:
    """Write the response to an export request, with what was rejected, if any."""
    return json.dumps(
        {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}} if message else {}
    ).encode()


def status(code: int, message: str) -> bytes:
    """Write the `google.rpc.Status` of an error."""
    return json.dumps({"code": code, "message": message}).encode()
