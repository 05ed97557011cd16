"""Write spans as an OTLP request in protobuf, at a third of the cost of building message objects first.

The field numbers are those of `opentelemetry/proto/trace/v1/trace.proto`. The tests compare every kind of span with
OpenTelemetry's own encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.trace import SpanKind, StatusCode

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from enprompta.tracing.spans_read import EndedSpan

MAX_BATCH_SPANS = 512
MAX_BATCH_BYTES = 4_000_000
"""Bytes of the spans of a request before compression; a larger span is a request by itself."""
MAX_CACHED_NAME = 200
"""Characters; longer names are not cached, so that the caches stay small."""
MAX_CACHED_VALUE = 32
"""Characters; most longer values occur once."""

_fixed64 = Struct("<Q").pack
_double = Struct("<d").pack
_kind_and_times = Struct("<BBBQBQ").pack
_MOST_INT = 1 << 63
_LOCAL, _REMOTE = b"\x00\x01\x00\x00", b"\x00\x03\x00\x00"  # flags that say whether a span is in another process


class TraceRequest:
    """An `ExportTraceServiceRequest`, whose spans are grouped by resource and instrumentation scope.

    Args:
        since: When its first span may have ended, in monotonic seconds.
    """

    def __init__(self, since: float = 0.0) -> None:
        self.since: float = since
        self._groups: dict[tuple[int, int], _Group] = {}
        self.span_count: int = 0
        self._size = 0  # bytes of the spans

    def is_full(self, size: int) -> bool:
        """True if a span of this many bytes belongs into another request."""
        return self.span_count >= MAX_BATCH_SPANS or (self.span_count > 0 and self._size + size > MAX_BATCH_BYTES)

    def add(self, span: EndedSpan, written: bytes) -> None:
        """Add a span that `write_span` wrote.

        Raises:
            ValueError: An attribute of the resource or scope has a number of more than 64 bits.
            TypeError: One of them has a value of another type.
        """
        key = id(span.resource), id(span.instrumentation_scope)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(span.resource, span.instrumentation_scope)
        group.spans += b"\x12", _varint(len(written)), written
        self.span_count += 1
        self._size += len(written)

    def content(self) -> bytes:
        """Write the request."""
        return b"".join(_message(b"\x0a", group.content()) for group in self._groups.values())


class _Group:
    """The spans of one resource and scope; holds both, so that no other ones get the same ids meanwhile."""

    def __init__(self, resource: Resource, scope: InstrumentationScope | None) -> None:
        self._held = resource, scope
        self._resource = _message(b"\x0a", _attributes(b"\x0a", resource.attributes))
        self._resource_schema = _text(b"\x1a", resource.schema_url) if resource.schema_url else b""
        self.spans: list[bytes] = [] if scope is None else [_message(b"\x0a", _scope(scope))]
        self._schema = _text(b"\x1a", scope.schema_url) if scope is not None and scope.schema_url else b""

    def content(self) -> bytes:
        """Write a `ResourceSpans`."""
        return self._resource + _message(b"\x12", b"".join([*self.spans, self._schema])) + self._resource_schema


def _scope(scope: InstrumentationScope) -> bytes:
    parts = [_text(b"\x0a", scope.name) if scope.name else b""]
    if scope.version:
        parts.append(_text(b"\x12", scope.version))
    parts.append(_attributes(b"\x1a", scope.attributes))
    return b"".join(parts)


def write_span(span: EndedSpan) -> bytes:
    """Write a span. Lone surrogates are written as `?`.

    Raises:
        ValueError: A number has more than 64 bits.
        TypeError: An attribute has a value of another type.
    """
    context, parent, kind, status = span.context, span.parent, span.kind, span.status
    name, state = span.name, context.trace_state
    parts = [b"\x0a\x10", context.trace_id.to_bytes(16, "big"), b"\x12\x08", context.span_id.to_bytes(8, "big")]
    if state:
        parts.append(_text(b"\x1a", ",".join(f"{key}={value}" for key, value in state.items())))
    if parent is not None:
        parts += b"\x22\x08", parent.span_id.to_bytes(8, "big")
    if name:
        parts.append(_short_name(name) if len(name) <= MAX_CACHED_NAME else _text(b"\x2a", name))
    number = 1 if kind is SpanKind.INTERNAL else kind.value + 1
    parts.append(_kind_and_times(0x30, number, 0x39, span.start_time, 0x41, span.end_time))
    _add_attributes(parts, b"\x4a", span.attributes)
    parts.append(_count(b"\x50", span.dropped_attributes))
    for event in span.events:
        body = [b"\x09", _fixed64(event.timestamp), _text(b"\x12", event.name) if event.name else b""]
        _add_attributes(body, b"\x1a", event.attributes)
        body.append(_count(b"\x20", event.dropped_attributes))
        parts.append(_message(b"\x5a", b"".join(body)))
    parts.append(_count(b"\x60", span.dropped_events))
    for link in span.links:
        there = link.context
        body = [b"\x0a\x10", there.trace_id.to_bytes(16, "big"), b"\x12\x08", there.span_id.to_bytes(8, "big")]
        _add_attributes(body, b"\x22", link.attributes)
        body += _count(b"\x28", link.dropped_attributes), b"\x35", _REMOTE if there.is_remote else _LOCAL
        parts.append(_message(b"\x6a", b"".join(body)))
    parts.append(_count(b"\x70", span.dropped_links))
    code = status.status_code
    if code is StatusCode.UNSET:  # which has no description
        parts.append(b"\x7a\x00\x85\x01")
    else:
        message = _text(b"\x12", status.description) if status.description else b""
        parts += _message(b"\x7a", message + _count(b"\x18", code.value)), b"\x85\x01"
    parts.append(_REMOTE if parent is not None and parent.is_remote else _LOCAL)
    return b"".join(parts)


def _attributes(tag: bytes, attributes: Mapping[str, object] | None) -> bytes:
    """Write attributes, each as a field of the enclosing message."""
    parts: list[bytes] = []
    _add_attributes(parts, tag, attributes)
    return b"".join(parts)


def _add_attributes(parts: list[bytes], tag: bytes, attributes: Mapping[str, object] | None) -> None:
    """Write attributes as parts of the enclosing message."""
    for name, value in (attributes or {}).items():
        if len(name) > MAX_CACHED_NAME:
            parts.append(_message(tag, _text(b"\x0a", name) + _message(b"\x12", _value(value))))
        elif type(value) is not str:
            key, written = _key(name), _value(value)
            size = _varint(len(written))
            parts += tag, _varint(len(key) + len(size) + len(written)), key, size, written
        elif len(value) <= MAX_CACHED_VALUE:
            parts += tag, _short_pair(name, value)
        else:  # as `_value` writes it, with fewer copies
            key, written = _key(name), value.encode("utf-8", "replace")
            length = _varint(len(written))
            size = _varint(1 + len(length) + len(written))
            rest = len(key) + len(size) + 1 + len(length) + len(written)
            parts += tag, _varint(rest), key, size, b"\x0a", length, written


@lru_cache(maxsize=4096)
def _key(name: str) -> bytes:
    """Write the name of an attribute, and the tag of its value."""
    return _text(b"\x0a", name) + b"\x12"


@lru_cache(maxsize=4096)
def _short_pair(name: str, value: str) -> bytes:
    """Write an attribute behind its tag; models, kinds and media types recur with every span."""
    return _message(b"", _key(name) + _message(b"", _text(b"\x0a", value)))


@lru_cache(maxsize=4096)
def _short_name(name: str) -> bytes:
    return _text(b"\x2a", name)


def _value(value: object) -> bytes:
    """Write an `AnyValue`."""
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    for kind in type(value).__mro__:
        if kind in _WRITERS:
            return _WRITERS[kind](value)
    if isinstance(value, Mapping):
        return _message(b"\x32", _attributes(b"\x0a", cast("Mapping[str, object]", value)))
    raise TypeError(f"an attribute has a value of type {type(value).__name__}")


def _whole(value: int) -> bytes:
    if not -_MOST_INT <= value < _MOST_INT:
        raise ValueError("an attribute has a number of more than 64 bits")
    return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _array(values: Sequence[object]) -> bytes:
    return _message(b"\x2a", b"".join([_message(b"\x0a", _value(one)) for one in values]))


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: lambda value: _text(b"\x0a", value),
    bool: lambda value: b"\x10\x01" if value else b"\x10\x00",
    int: _whole,
    float: lambda value: b"\x21" + _double(value),
    bytes: lambda value: b"\x3a" + _varint(len(value)) + value,
    list: _array,
    tuple: _array,
    NoneType: lambda _: b"",
}


def _message(tag: bytes, body: bytes) -> bytes:
    return b"%b%b%b" % (tag, _varint(len(body)), body)


def _text(tag: bytes, text: str) -> bytes:
    data = text.encode("utf-8", "replace")  # only lone surrogates are replaced
    return b"%b%b%b" % (tag, _varint(len(data)), data)


def _count(tag: bytes, number: int) -> bytes:
    return tag + _varint(number) if number else b""


def _write_varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:  # noqa: PLR2004 (seven bits a byte)
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SHORT = [_write_varint(number) for number in range(4096)]


def _varint(number: int) -> bytes:
    return _SHORT[number] if number < 4096 else _write_varint(number)  # noqa: PLR2004 (the length of the list)
