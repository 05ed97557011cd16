"""Check the names and values of HTTP headers that callers pass."""

from __future__ import annotations


def is_header_text(value: object) -> bool:
    """True if a header can carry the value: printable ASCII on one line, no outer spaces (RFC 9110, 5.5)."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()
