"""Headers about the budget and waits, in every form that servers write."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from email.utils import formatdate
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.errors import RateLimit
from enprompta.limiters.server_wait import parse_rate_limit, server_wait

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_705_486_500.0  # 2024-01-17T10:15:00Z
NOW_UTC = datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc)


@pytest.fixture(scope="module", autouse=True)
def far_from_greenwich() -> Iterator[None]:
    """Set the local time zone to one that is not UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC-5:30")
        time.tzset()
        yield
    time.tzset()


def headers(limit: str = "60", remaining: str = "59", reset: str = str(int(NOW)), **more: str) -> httpx.Headers:
    """Return the three headers of the API reference."""
    told = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}
    return httpx.Headers({**told, **more})


def test_the_budget_is_read() -> None:
    """All three numbers are read, the reset as a time in UTC; names in a plain mapping are in lower case."""
    assert parse_rate_limit(headers()) == RateLimit(60, 59, NOW_UTC)
    assert parse_rate_limit(dict(headers())) == RateLimit(60, 59, NOW_UTC)


def test_zero_is_not_a_missing_value() -> None:
    """Nothing remaining is a number, not a missing value."""
    assert parse_rate_limit(headers("0", "0", "0")) == RateLimit(0, 0, datetime(1970, 1, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    "reset",
    [
        "1705486500",
        " 1705486500 ",
        "1705486500.0",
        "2024-01-17T10:15:00Z",
        "2024-01-17T11:15:00+01:00",
        "2024-01-17T10:15:00",
        "2024-01-17 10:15:00+00:00",
        "Wed, 17 Jan 2024 10:15:00 GMT",
        "Wed, 17 Jan 2024 10:15:00 -0000",
        "Wed, 17 Jan 2024 11:15:00 +0100",
    ],
)
def test_the_reset_is_read_in_every_form(reset: str) -> None:
    """The API reference has Unix seconds; other servers write ISO 8601 and HTTP dates."""
    budget = parse_rate_limit(headers(reset=reset))
    assert budget is not None
    assert budget.reset_at == NOW_UTC


@pytest.mark.parametrize("name", ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"])
def test_a_missing_header_is_no_budget(name: str) -> None:
    """An incomplete set of rate limit headers is ignored."""
    told = headers()
    del told[name]
    assert parse_rate_limit(told) is None


@pytest.mark.parametrize("absurd", ["", "x", "-1", "1.5", "nan", "inf", "1e3", "0x10", "1,000", "٣٣ ", "9" * 5000])
def test_absurd_counts_are_no_budget(absurd: str) -> None:
    """Invalid counts are ignored and never raise."""
    if absurd != "٣٣ ":  # digits of another script are digits to int(), and harmless
        assert parse_rate_limit(headers(limit=absurd)) is None
        assert parse_rate_limit(headers(remaining=absurd)) is None
    assert parse_rate_limit({"x-ratelimit-limit": absurd}) is None


@pytest.mark.parametrize("absurd", ["", "soon", "-1", "nan", "inf", "9" * 20, "9" * 5000, "0000-00-00T00:00:00Z"])
def test_an_absurd_reset_is_no_budget(absurd: str) -> None:
    """Invalid and out-of-range times are ignored."""
    assert parse_rate_limit(headers(reset=absurd)) is None


def test_huge_counts_are_kept() -> None:
    """An enterprise budget may be any number."""
    budget = parse_rate_limit(headers(limit=str(10**12), remaining=str(10**12 - 1)))
    assert budget is not None
    assert budget.remaining == 10**12 - 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        ("Wed, 17 Jan 2024 10:16:00 -0000", 60.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("9" * 400, float("inf")),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 408])
def test_retry_after_is_read_in_every_form(status: int, text: str, seconds: float) -> None:
    """Seconds, decimals and HTTP dates; a date that has passed is no wait (RFC 9110, 10.2.3)."""
    assert server_wait(status, {"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize("text", ["", "-1", "+1", "soon", "nan", "inf", "1e3", "0x1", "1 2", "٣", "\xff"])
def test_an_absurd_retry_after_is_not_asked(text: str) -> None:
    """The client uses its own backoff then; a 429 still has its reset."""
    assert server_wait(503, {"retry-after": text}, NOW) is None
    assert server_wait(429, {"retry-after": text, "x-ratelimit-reset": str(NOW + 5)}, NOW) == 5.0


def test_the_reset_applies_to_a_429_only() -> None:
    """A 503 with a reset in a minute is not a reason to wait a minute."""
    told = headers(reset=str(NOW + 42))
    assert server_wait(429, told, NOW) == 42.0
    assert server_wait(503, told, NOW) is None
    assert server_wait(429, {}, NOW) is None
    assert server_wait(429, headers(reset="1"), NOW) == 0.0


def test_retry_after_takes_precedence_over_the_reset() -> None:
    """Retry-After takes precedence over the earlier reset of the minute window."""
    assert server_wait(429, headers(reset=str(NOW + 42), **{"Retry-After": "7"}), NOW) == 7.0


@pytest.mark.parametrize("skew", [-86_400.0, -3.0, 0.0, 3.0, 86_400.0])
def test_a_wrong_clock_here_changes_nothing(skew: float) -> None:
    """Times are compared with the server's clock if the response has a `Date` header."""
    date = formatdate(NOW, usegmt=True)
    told = headers(reset=str(NOW + 42), Date=date)
    assert server_wait(429, told, NOW + skew) == 42.0
    until = {"retry-after": formatdate(NOW + 9, usegmt=True), "date": date}
    assert server_wait(503, until, NOW + skew) == 9.0


def test_an_invalid_date_is_ignored() -> None:
    """An invalid `Date` is ignored."""
    assert server_wait(429, headers(reset=str(NOW + 42), Date="yesterday"), NOW + 2) == 40.0


odd_text = st.text(max_size=40) | st.from_regex(
    r"[A-Z][a-z]{2}, \d{1,3} (Jan|Feb) \d{1,6} \d\d:\d\d:\d\d [-+A-Z0-9]{1,9}"
)
odd_text |= st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([-+]\d\d:\d\d|Z)?")


@given(odd_text, odd_text, odd_text, odd_text)
def test_no_header_raises(limit: str, reset: str, retry_after: str, date: str) -> None:
    """Any header gives a value or None."""
    told = {"x-ratelimit-limit": limit, "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    told |= {"retry-after": retry_after, "date": date}
    parse_rate_limit(told)
    parse_rate_limit({**told, "x-ratelimit-limit": "1"})
    wait = server_wait(429, told, NOW)
    assert wait is None or wait >= 0.0


def test_a_reset_in_milliseconds_asks_for_no_wait() -> None:
    """No window ends in fifty thousand years."""
    told = headers(reset=str(int(NOW * 1000)), remaining="0")
    assert server_wait(429, told, NOW) is None
