"""A span as it arrives by OTLP, whichever its encoding."""

from __future__ import annotations

from dataclasses import dataclass, field

STATUS_ERROR = 2
MAX_NANOSECONDS = 2**63 - 1  # the largest time that SQLite stores: in the year 2262


@dataclass(slots=True)
class OtlpEvent:
    """An event of a span."""

    name: str
    attributes: dict[str, object]


@dataclass(slots=True)
class OtlpSpan:
    """A span with the attributes of its resource."""

    trace_id: str
    """In hexadecimal."""
    span_id: str
    parent_span_id: str
    """Empty for a root span."""
    name: str
    start: int
    """Unix nanoseconds."""
    end: int
    attributes: dict[str, object]
    status_code: int
    status_message: str
    events: list[OtlpEvent] = field(default_factory=list[OtlpEvent])
    resource: dict[str, object] = field(default_factory=dict[str, object])

    def problem(self) -> str | None:
        """Say why the span cannot be stored; None if it can."""
        if len(self.trace_id) != 32 or not int(self.trace_id or "0", 16):  # noqa: PLR2004 (16 bytes)
            return "its trace id is not 16 bytes that are not all zero"
        if len(self.span_id) != 16 or not int(self.span_id or "0", 16):  # noqa: PLR2004 (8 bytes)
            return "its span id is not 8 bytes that are not all zero"
        if len(self.parent_span_id) not in {0, 16}:
            return "its parent span id is not 8 bytes"
        if not self.name:
            return "it has no name"
        if not 0 < self.start <= MAX_NANOSECONDS or not 0 <= self.end <= MAX_NANOSECONDS:
            return "its time is not between 1970 and 2262"
        return None
