"""The API's JSON: the type of an object, values of any JSON, and the format of a time."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic.alias_generators import to_camel

from enprompta._common.narrowing import is_dict, is_list

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

JSONObject = dict[str, object]
"""A JSON object, with the API's field names."""

_ENCODED = frozenset({"tags", "variables", "steps", "events", "metadata"})
"""Columns whose text is JSON."""


def as_json(row: sqlite3.Row, columns: str) -> JSONObject:
    """Return columns of a row, separated by spaces, by the API's names: those named `…_at` are times."""
    return {name: read(row[column]) if read else row[column] for column, name, read in _fields(columns)}


@lru_cache
def _fields(columns: str) -> list[tuple[str, str, Callable[..., object] | None]]:
    return [(it, to_camel(it), _reader(it)) for it in columns.split()]


def _reader(column: str) -> Callable[..., object] | None:
    if column.endswith("_at"):
        return _time
    return json.loads if column in _ENCODED else None


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else iso(seconds)


def object_of(value: object) -> JSONObject:
    """Return a JSON object; anything else counts as an empty one."""
    return value if is_dict(value) else {}


def list_of(value: object) -> list[object]:
    """Return a JSON list; anything else counts as an empty one."""
    return value if is_list(value) else []


def iso(seconds: float) -> str:
    """Format a Unix time as the API does: `2024-01-17T10:15:00Z`."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
