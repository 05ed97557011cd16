"""The API's JSON: the type of an object, and the format of a time."""

from __future__ import annotations

from datetime import datetime, timezone

JSONObject = dict[str, object]
"""A JSON object, with the API's field names."""


def iso(seconds: float) -> str:
    """Format a Unix time as the API does: `2024-01-17T10:15:00Z`."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
