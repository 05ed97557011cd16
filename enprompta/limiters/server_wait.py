"""Parse the response headers for rate limits and retry delays."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from enprompta import errors
from enprompta.limiters.rate_limit_headers import LONGEST_WAIT, TOO_MANY_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.errors import RateLimit

_NUMBER = r"(?a)\d+(?:\.\d*)?"


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Parse `X-RateLimit-*`; None if they are missing or invalid (reference: "Rate Limit Headers")."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = _moment(headers["x-ratelimit-reset"])
        if limit < 0 or remaining < 0 or reset is None:
            return None
        return errors.RateLimit(limit, remaining, datetime.fromtimestamp(reset, timezone.utc))
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def server_wait(status_code: int, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the server asks to wait before a retry; None if it does not ask.

    `Retry-After` comes first (seconds, also with decimals, or an HTTP date: RFC 9110, 10.2.3), then, for 429 only,
    `X-RateLimit-Reset`, unless it is more than 25 hours away. Times are compared with the server's clock if the
    response has a `Date` header.

    Args:
        status_code: Status of the response.
        headers: Headers of the response.
        now: Local time in Unix seconds, for responses without `Date`.
    """
    server_now = _http_date(headers.get("date", "")) or now
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    moment = _http_date(text)
    if moment is None and status_code == TOO_MANY_REQUESTS:
        moment = _moment(headers.get("x-ratelimit-reset", ""))
        if moment is not None and moment - server_now > LONGEST_WAIT:
            return None  # probably in milliseconds
    return None if moment is None else max(0.0, moment - server_now)


def _moment(text: str) -> float | None:
    """Parse a time as Unix seconds, ISO 8601 or an HTTP date."""
    text = text.strip()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return _http_date(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    # A date that ends in "-0000" is parsed as naive; by RFC 5322 it is in UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
