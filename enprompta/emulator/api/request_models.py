"""Reads the fields of a query or a body, and says of every wrong one what is wrong with it."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, cast

from enprompta.emulator.errors import Detail, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DAY_SECONDS = 86_400
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)?")


class Fields:
    """The fields of one request, read one by one; `check` then raises a 400 if any of them was wrong.

    A reader gives None for a field that is absent, null or wrong: `given` tells absent from null.

    Args:
        data: The fields by their names on the wire; values of a query are all text.
        details: Where to note what is wrong; shared by the readers of nested objects.
        prefix: What to put before a field's name in the details.
    """

    def __init__(self, data: Mapping[str, object], details: list[Detail] | None = None, prefix: str = "") -> None:
        self._data = data
        self.details: list[Detail] = [] if details is None else details
        self._prefix = prefix

    def check(self) -> None:
        """Raise the 400 that names every wrong field, if there is one."""
        if self.details:
            raise invalid(self.details)

    def fail(self, name: str, message: str) -> None:
        """Note that a field is wrong."""
        self.details.append({"field": self._prefix + name, "message": message})

    def given(self, name: str) -> bool:
        """Tell whether a field is there, null or not."""
        return name in self._data

    def value(self, name: str, *, required: bool = False, nullable: bool = True) -> object:
        """Read a field as it is."""
        value = self._data.get(name)
        if value is None and (required or (name in self._data and not nullable)):
            self.fail(name, "Must not be null" if name in self._data else "Required")
        return value

    def text(
        self, name: str, *, required: bool = False, nullable: bool = True, longest: int, empty: bool = False
    ) -> str | None:
        """Read a text of at most so many characters."""
        value = self.value(name, required=required, nullable=nullable)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fail(name, "Must be text")
        elif not empty and not value:
            self.fail(name, "Must not be empty")
        elif len(value) > longest:
            self.fail(name, f"Must be at most {longest} characters")
        else:
            return value
        return None

    def texts(self, name: str, *, most: int, longest: int, empty: bool = False) -> list[str] | None:
        """Read a list of texts, each of at most so many characters."""
        items = self.items(name, most=most)
        if items is None:
            return None
        for index, item in enumerate(items):
            if not isinstance(item, str):
                self.fail(f"{name}[{index}]", "Must be text")
            elif len(item) > longest or not (item or empty):
                self.fail(f"{name}[{index}]", f"Must be {0 if empty else 1} to {longest} characters")
        return [item for item in items if isinstance(item, str)]

    def items(self, name: str, *, most: int, required: bool = False) -> list[object] | None:
        """Read a list of at most so many items; it is never null."""
        value = self.value(name, required=required, nullable=False)
        if value is None:
            return None
        if not isinstance(value, list):
            self.fail(name, "Must be a list")
            return None
        items = cast("list[object]", value)
        if len(items) > most:
            self.fail(name, f"Must have at most {most} items")
            return None
        return items

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """Read one of a few words."""
        value = self.value(name, nullable=False)
        if value is None or (isinstance(value, str) and value in choices):
            return value
        self.fail(name, f"Must be one of {', '.join(choices)}")
        return None

    def number(self, name: str, low: float, high: float) -> float | None:
        """Read a number between two others."""
        value = self.value(name, nullable=False)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            self.fail(name, f"Must be between {low:g} and {high:g}")
            return None
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Read a whole number between two others; 5.0 is one too."""
        value = self.value(name, nullable=False)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 or not low <= value <= high:
            self.fail(name, f"Must be a whole number between {low} and {high}")
            return None
        return int(value)

    def boolean(self, name: str) -> bool | None:
        """Read true or false."""
        value = self.value(name, nullable=False)
        if value is None or isinstance(value, bool):
            return value
        self.fail(name, "Must be true or false")
        return None

    def mapping(self, name: str) -> dict[str, object]:
        """Read an object; absent it is an empty one."""
        value = self.value(name, nullable=False)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(name, "Must be an object")
            return {}
        return cast("dict[str, object]", value)


class Query(Fields):
    """The parameters of a query, where everything is text: numbers come as digits, true and false as words."""

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Read a whole number between two others."""
        text = self._data.get(name)
        number = int(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text) else text
        return Fields({name: number}, self.details).integer(name, low, high) if text is not None else None

    def boolean(self, name: str) -> bool | None:
        """Read true or false."""
        text = self._data.get(name)
        word = {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower(), text)
        return Fields({name: word}, self.details).boolean(name) if text is not None else None

    def time(self, name: str, *, end: bool = False) -> int | None:
        """Read an ISO 8601 date or time as Unix seconds.

        Args:
            name: The parameter.
            end: A date without a time stands for its last second rather than its first.
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
    except ValueError:  # a 31st of February, or a zone 99 hours ahead
        return None
