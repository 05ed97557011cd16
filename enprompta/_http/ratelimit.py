"""What an answer's headers say of the request budget and of waiting; pure."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from enprompta.errors import RateLimit
from enprompta.limiters.rate_limit_headers import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"\d+(?:\.\d*)?", re.ASCII)


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Read `X-RateLimit-*`; None when they are missing or make no sense (reference: "Rate Limit Headers")."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = _moment(headers["x-ratelimit-reset"])
        if limit < 0 or remaining < 0 or reset is None:
            return None
        return RateLimit(limit, remaining, datetime.fromtimestamp(reset, timezone.utc))
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def server_wait(status_code: int, headers: Mapping[str, str], now: float) -> float | None:
    """Tell how many seconds the server asks to wait before the next try; None when it does not ask.

    `Retry-After` comes first (seconds, with decimals too, or an HTTP date: RFC 9110, 10.2.3), then, for a 429 alone,
    `X-RateLimit-Reset`, unless it is more than 25 hours away. Moments are compared with the
    server's own clock, from its `Date`, if the answer has one.

    Args:
        status_code: The answer's status.
        headers: The answer's headers.
        now: This machine's clock in Unix seconds, for answers without `Date`.
    """
    server_now = _http_date(headers.get("date", "")) or now
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    moment = _http_date(text)
    if moment is None and status_code == 429:  # noqa: PLR2004 (the status this rule is for)
        moment = _moment(headers.get("x-ratelimit-reset", ""))
        if moment is not None and moment - server_now > LONGEST_WAIT:
            return None  # in milliseconds, say
    return None if moment is None else max(0.0, moment - server_now)


def _moment(text: str) -> float | None:
    """Read Unix seconds; ISO 8601 and HTTP dates are understood too."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
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
    # A date that ends in "-0000" comes back naive; RFC 5322 says its time is UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
