"""Validation of query parameters and body fields, with one message for each invalid field."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, cast

from enprompta.emulator.errors import Detail, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DAY_SECONDS = 86_400
_LAST_SECOND = 9_200_000_000  # later times do not fit nanoseconds in 64 bits
_FRACTION = re.compile(r"\.(\d+)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)?")


class Fields:
    """The fields of a request: read and validate each one, then call `check` to raise a 400 if any is invalid.

    Methods return None for a field that is absent, null or invalid; use `given` to distinguish absent from null.

    Args:
        data: Fields by the API's names; the values of a query are all text.
        details: List to add the errors to, shared with nested objects; None for a new one.
        prefix: Prefix for the names of fields in the errors.
    """

    def __init__(self, data: Mapping[str, object], details: list[Detail] | None = None, prefix: str = "") -> None:
        self._data = data
        self.details: list[Detail] = [] if details is None else details
        self._prefix = prefix

    def check(self) -> None:
        """Raise a 400 that names every invalid field, if there are any."""
        if self.details:
            raise invalid(self.details)

    def fail(self, name: str, message: str) -> None:
        """Add an error for a field."""
        self.details.append({"field": self._prefix + name, "message": message})

    def given(self, name: str) -> bool:
        """Return True if a field is present, even if it is null."""
        return name in self._data

    def value(self, name: str, *, required: bool = False, nullable: bool = True) -> object:
        """Read a field of any type."""
        value = self._data.get(name)
        if value is None and (required or (name in self._data and not nullable)):
            self.fail(name, "Must not be null" if name in self._data else "Required")
        return value

    def text(
        self, name: str, *, required: bool = False, nullable: bool = True, max_length: int, allow_empty: bool = False
    ) -> str | None:
        """Read a string of at most `max_length` characters."""
        value = self.value(name, required=required, nullable=nullable)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fail(name, "Must be text")
        elif not allow_empty and not value:
            self.fail(name, "Must not be empty")
        elif len(value) > max_length:
            self.fail(name, f"Must be at most {max_length} characters")
        else:
            return value
        return None

    def texts(self, name: str, *, max_items: int, max_length: int, allow_empty: bool = False) -> list[str] | None:
        """Read a list of at most `max_items` strings, each of at most `max_length` characters."""
        items = self.items(name, max_items=max_items)
        if items is None:
            return None
        for index, item in enumerate(items):
            if not isinstance(item, str):
                self.fail(f"{name}[{index}]", "Must be text")
            elif len(item) > max_length or not (item or allow_empty):
                self.fail(f"{name}[{index}]", f"Must be {0 if allow_empty else 1} to {max_length} characters")
        return [item for item in items if isinstance(item, str)]

    def items(self, name: str, *, max_items: int, required: bool = False) -> list[object] | None:
        """Read a list of at most `max_items` items; it must not be null."""
        value = self.value(name, required=required, nullable=False)
        if value is None:
            return None
        if not isinstance(value, list):
            self.fail(name, "Must be a list")
            return None
        items = cast("list[object]", value)
        if len(items) > max_items:
            self.fail(name, f"Must have at most {max_items} items")
            return None
        return items

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """Read one of the given strings."""
        value = self.value(name, nullable=False)
        if value is None or (isinstance(value, str) and value in choices):
            return value
        self.fail(name, f"Must be one of {', '.join(choices)}")
        return None

    def number(self, name: str, low: float, high: float) -> float | None:
        """Read a number from `low` to `high`."""
        value = self.value(name, nullable=False)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            self.fail(name, f"Must be between {low:g} and {high:g}")
            return None
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Read a whole number from `low` to `high`; 5.0 is valid too."""
        value = self.value(name, nullable=False)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 or not low <= value <= high:
            self.fail(name, f"Must be a whole number between {low} and {high}")
            return None
        return int(value)

    def boolean(self, name: str) -> bool | None:
        """Read a boolean."""
        value = self.value(name, nullable=False)
        if value is None or isinstance(value, bool):
            return value
        self.fail(name, "Must be true or false")
        return None

    def mapping(self, name: str) -> dict[str, object]:
        """Read an object; an absent one counts as empty."""
        value = self.value(name, nullable=False)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(name, "Must be an object")
            return {}
        return cast("dict[str, object]", value)

    def instant(self, name: str) -> int | None:
        """Read an ISO 8601 time as Unix nanoseconds, from 1970 to 2261."""
        value = self.value(name)
        if value is None:
            return None
        seconds = _seconds(value, end=False) if isinstance(value, str) else None
        if seconds is None or not 0 <= seconds < _LAST_SECOND:
            self.fail(name, "Must be an ISO 8601 date or time, such as 2024-01-17 or 2024-01-17T10:15:00Z")
            return None
        fraction = _FRACTION.search(str(value))
        return seconds * 1_000_000_000 + (0 if fraction is None else int(fraction[1][:9].ljust(9, "0")))


class Query(Fields):
    """Query parameters, where numbers and booleans are written as text."""

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Read a whole number from `low` to `high`."""
        text = self._data.get(name)
        number = int(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text) else text
        return Fields({name: number}, self.details).integer(name, low, high) if text is not None else None

    def boolean(self, name: str) -> bool | None:
        """Read a boolean."""
        text = self._data.get(name)
        word = {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower(), text)
        return Fields({name: word}, self.details).boolean(name) if text is not None else None

    def time(self, name: str, *, end: bool = False) -> int | None:
        """Read an ISO 8601 date or time as Unix seconds.

        Args:
            name: Name of the parameter.
            end: True to read a date without a time as its last second instead of its first.
        """
        text = self._data.get(name)
        if text is None:
            return None
        seconds = _seconds(str(text), end=end)
        if seconds is None:
            self.fail(name, "Must be an ISO 8601 date or time, such as 2024-01-17 or 2024-01-17T10:15:00Z")
        return seconds


def _seconds(text: str, *, end: bool) -> int | None:
    try:
        if _DATE.fullmatch(text):
            start = int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())
            return start + _DAY_SECONDS - 1 if end else start
        match = _TIME.fullmatch(text)
        if match is None:
            return None
        zone = (match[2] or "Z").upper().replace("Z", "+00:00")
        return int(datetime.fromisoformat(match[1].upper() + zone).timestamp())
    except ValueError:  # such as February 31, or an offset of 99 hours
        return None
