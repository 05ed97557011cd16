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


def as_json(row: sqlite3.Row, columns: str) -> JSONObject:
    """Return columns of a row, separated by spaces, by the API's names and in its form."""
    return {name: read(row[column]) if read else row[column] for column, name, read in _fields(columns)}


@lru_cache
def _fields(columns: str) -> list[tuple[str, str, Callable[..., object] | None]]:
    return [(it, to_camel(it), _time if it.endswith("_at") else _READERS.get(it)) for it in columns.split()]


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else iso(seconds)


_READERS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("events", "metadata", "scopes", "steps", "tags", "variables"), json.loads),
    **dict.fromkeys(("last_failure", "last_success", "period_end", "period_start"), _time),
    "is_active": bool,
}
"""How the database's form of a column becomes the API's; columns named `…_at` are times."""


def object_of(value: object) -> JSONObject:
    """Return a JSON object; anything else counts as an empty one."""
    return value if is_dict(value) else {}


def list_of(value: object) -> list[object]:
    """Return a JSON list; anything else counts as an empty one."""
    return value if is_list(value) else []


def iso(seconds: float) -> str:
    """Format a Unix time as the API does: `2024-01-17T10:15:00Z`."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
