"""How the headers of a response are read."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enprompta.limiters.rate_limit_headers import LONGEST_WAIT, Reading, read

NOON = "Tue, 14 Nov 2023 12:00:00 GMT"
NOON_UNIX = 1_699_963_200
GOOD = {
    "X-RateLimit-Limit": "60",
    "X-RateLimit-Remaining": "59",
    "X-RateLimit-Reset": str(NOON_UNIX + 30),
    "Date": NOON,
}


def test_a_mapping_and_raw_pairs_read_alike() -> None:
    """Text and bytes, in any case, give the same reading."""
    expected = Reading(200, 60, 59, NOON_UNIX + 30, float(NOON_UNIX), None)
    assert read(200, GOOD) == expected
    assert read(200, [(name.upper().encode(), value.encode()) for name, value in GOOD.items()]) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"X-RateLimit-Limit": "0"},
        {"X-RateLimit-Limit": "-1"},
        {"X-RateLimit-Limit": ""},
        {"X-RateLimit-Limit": "sixty"},
        {"X-RateLimit-Limit": "6e1"},
        {"X-RateLimit-Limit": "60.0"},
        {"X-RateLimit-Limit": "٦٠"},
        {"X-RateLimit-Limit": "9" * 5000},
        {"X-RateLimit-Remaining": "61"},
        {"X-RateLimit-Remaining": "-1"},
        {"X-RateLimit-Remaining": "NaN"},
        {"X-RateLimit-Reset": "soon"},
        {"X-RateLimit-Reset": "2023-11-14T12:00:30Z"},
        {"X-RateLimit-Reset": "999999999999"},
        {"Date": ""},
        {"Date": "yesterday"},
        {"Date": "Tue, 99 Nov 2023 12:00:00 GMT"},
        {"Date": "Tue, 14 Nov 99999999999999999999 12:00:00 GMT"},
    ],
)
def test_an_absurd_header_voids_the_set(change: dict[str, str]) -> None:
    """One invalid value rejects the whole set."""
    assert read(200, GOOD | change).limit == 0


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_header_voids_the_set(name: str) -> None:
    """All four headers are needed."""
    assert read(200, {key: value for key, value in GOOD.items() if key != name}).limit == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("Tue, 14 Nov 2023 12:01:30 GMT", 90.0),
        ("Tue, 14 Nov 2023 11:59:00 GMT", 0.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        (str(LONGEST_WAIT + 1), None),
        ("later", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Seconds, decimals and dates are read, a date from the response's own `Date`; invalid values are ignored."""
    assert read(429, GOOD | {"Retry-After": text}).retry_after == seconds
    assert read(429, {"Retry-After": text, "Date": NOON}).retry_after == seconds


@pytest.mark.parametrize("name", [*GOOD][:3])
def test_a_repeated_header_invalidates_all_of_them(name: str) -> None:
    """From two proxies, even if they agree; a repeated `Date` may agree."""
    pairs = [(key.encode(), value.encode()) for key, value in GOOD.items()]
    assert read(200, [*pairs, (name.lower().encode(), GOOD[name].encode())]).limit == 0
    assert read(200, GOOD | {name: f"{GOOD[name]}, {GOOD[name]}"}).limit == 0
    assert read(200, [*pairs, (b"date", NOON.encode())]).limit == 60
    assert read(200, [*pairs, (b"date", b"Tue, 14 Nov 2023 12:00:01 GMT")]).limit == 0
    assert read(429, [(b"Retry-After", b"1"), (b"Retry-After", b"1")]).retry_after is None


@pytest.mark.parametrize(
    ("change", "believed"),
    [
        ({}, False),  # 59 remain
        ({"X-RateLimit-Remaining": "0"}, True),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "30"}, True),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "33"}, True),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "3600"}, False),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "0"}, False),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "-1"}, True),  # no number, hence not there
        ({"X-RateLimit-Remaining": "0", "Retry-After": "1e99"}, True),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "Tue, 14 Nov 2023 12:00:30 GMT"}, True),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "Tue, 14 Nov 2023 11:00:00 GMT"}, False),
    ],
)
def test_a_429_that_contradicts_itself_reports_no_budget(change: dict[str, str], believed: bool) -> None:  # noqa: FBT001
    """If requests remain, or `Retry-After` differs from the reset."""
    assert (read(429, GOOD | change).limit > 0) is believed


def test_other_statuses_may_ask_to_wait_as_they_like() -> None:
    """A 503 during maintenance reports the budget and asks for an hour."""
    reading = read(503, GOOD | {"Retry-After": "3600"})
    assert (reading.limit, reading.retry_after) == (60, 3600.0)


def test_a_retry_date_without_a_date_says_nothing() -> None:
    """This machine's clock is not used."""
    assert read(429, {"Retry-After": NOON}).retry_after is None


VALUES = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.dates().map(lambda day: day.strftime("%a, %d %b %Y 00:00:00 GMT")),
)


@given(
    status=st.integers(100, 599),
    values=st.fixed_dictionaries({}, optional=dict.fromkeys([*GOOD, "Retry-After"], VALUES)),
)
@example(status=200, values={**GOOD, "Date": "Fri, 31 Dec 9999 23:59:59 GMT", "X-RateLimit-Reset": "253402300800"})
def test_no_header_raises(status: int, values: dict[str, str]) -> None:
    """Any text, also as bytes, gives a consistent reading."""
    for headers in (
        values,
        [(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in values.items()],
    ):
        reading = read(status, headers)
        assert reading.limit == 0 or 0 <= reading.remaining <= reading.limit
        assert reading.retry_after is None or 0 <= reading.retry_after <= LONGEST_WAIT
