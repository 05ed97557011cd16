"""Read the request budget from the headers of one response.

The headers are believed as a whole or not at all. A limit that is not a number, more remaining than the limit, a
missing `Date`, a repeated header, a 429 with requests remaining, or a `Retry-After` that contradicts the reset show
that they do not come from the API's rate limiter. Nothing here raises, whatever the headers contain.
"""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from enprompta.limiters.rules import EARLIEST_RESET

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLIENT_ERROR", "LONGEST_WAIT", "SERVER_ERROR", "Headers", "Reading", "read"]

Headers: TypeAlias = "Mapping[str, str] | list[tuple[bytes, bytes]]"
"""Headers as a mapping, or as raw pairs, which are faster to read."""

LONGEST_WAIT = 25 * 3600.0
"""Seconds; a reset or a `Retry-After` further away is a mistake: the longest real one ends at the next midnight."""

_AGREES = 5.0
"""Seconds by which a `Retry-After` and the reset of one 429 may differ: both are rounded, and `Date` is truncated."""
CLIENT_ERROR, SERVER_ERROR = 400, 500
TOO_MANY_REQUESTS = 429
_MOST_DIGITS = 12  # a Unix time has ten; int() of thousands of digits would be slow, then an error
_LAST_SECOND = 253402300799  # of the year 9999, the last that a datetime can hold

_LIMIT, _REMAINING, _RESET, _DATE, _RETRY_AFTER = range(5)
_FIELDS = (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"date", b"retry-after")
_SLOTS = {field: slot for slot, field in enumerate(_FIELDS)}


class Reading(NamedTuple):
    """The budget as one response reports it."""

    status: int
    """The HTTP status."""
    limit: int = 0
    """Requests allowed in the window; 0 if the headers are missing, invalid or contradict each other."""
    remaining: int = 0
    """Requests left in the window."""
    reset: int = 0
    """End of the window, in Unix seconds of the server's clock."""
    date: float = 0.0
    """Time of the response, in whole Unix seconds of the server's clock."""
    retry_after: float | None = None
    """Seconds the server asks to wait; None if it does not ask or the value is invalid."""

    @property
    def is_refusal(self) -> bool:
        """True for a 429."""
        return self.status == TOO_MANY_REQUESTS

    @property
    def is_last(self) -> bool:
        """True if the budget allowed this request and none remains after it."""
        return not self.remaining and self.limit > 0 and self.status < SERVER_ERROR and not self.is_refusal

    def is_consistent(self, flight: float) -> bool:
        """Return True if it reports a budget whose window ends neither long before the response nor days after it.

        Args:
            flight: Seconds the request was in flight: the reset was read when it was counted, `Date` written later.
        """
        return self.limit > 0 and EARLIEST_RESET - flight <= self.reset - self.date <= LONGEST_WAIT


def read(status: int, headers: Headers) -> Reading:
    """Read the budget from the headers of a response.

    Args:
        status: The HTTP status.
        headers: A mapping of text, or a list of raw pairs as received; names in any case.

    Returns:
        The reading; its `limit` is 0 if the headers contradict each other.
    """
    found: list[bytes | None] = [None, None, None, None, None]
    pairs = headers if isinstance(headers, list) else _encoded(headers)
    for name, value in pairs:
        slot = _SLOTS.get(name.lower())
        if slot is not None:
            if found[slot] is None:
                found[slot] = value
            elif slot != _DATE or found[slot] != value:
                found[slot] = b""  # a repeated header is rejected
    limit, remaining, reset = _number(found[_LIMIT]), _number(found[_REMAINING]), _number(found[_RESET])
    date = _unix_time(found[_DATE])
    retry_after = None if found[_RETRY_AFTER] is None else _wait(found[_RETRY_AFTER], date)
    if date is None or limit < 1 or not 0 <= remaining <= limit or not 0 <= reset <= _LAST_SECOND:
        return Reading(status, retry_after=retry_after)
    if status == TOO_MANY_REQUESTS and (
        remaining or (retry_after is not None and abs(retry_after - max(reset - date, 0.0)) > _AGREES)
    ):
        return Reading(status, retry_after=retry_after)
    return Reading(status, limit, remaining, reset, date, retry_after)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(errors="replace"), value.encode(errors="replace")) for name, value in headers.items()]


@lru_cache(maxsize=64)  # responses of the same window carry the same limit and reset
def _number(text: bytes | None) -> int:
    """Parse a plain decimal number; return -1 for anything else."""
    if text is not None and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    return -1


def _wait(text: bytes | None, date: float | None) -> float | None:
    """Parse `Retry-After`: seconds, also with decimals, or an HTTP date (RFC 9110, 10.2.3).

    A date is compared with the response's own `Date`, so that this machine's clock does not matter.
    """
    if text is None:
        return None
    try:
        wait = float(text)
    except ValueError:
        until = _unix_time(text)
        if until is None or date is None:
            return None
        wait = max(0.0, until - date)
    return wait if 0 <= wait <= LONGEST_WAIT else None


@lru_cache(maxsize=16)  # responses of the same second carry the same text
def _unix_time(text: bytes | None) -> float | None:
    """Convert an HTTP date to Unix seconds; None if it is not one."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text.decode("latin-1"))
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
