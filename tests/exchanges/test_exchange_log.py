"""The log of exchanges: bounded, searchable, live, and free of credentials."""

from __future__ import annotations

import base64
import json
import threading
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.exchanges import MAX_BODY_BYTES, Exchange, ExchangeFilter, ExchangeLog, TimelineEvent

KEY = "Zq7-not-a-known-form-41"


def exchange(number: int = 0, **fields: Any) -> Exchange:
    """Make an exchange with unusual values for each field that a test does not name."""
    given_fields = {"method": "GET", "path": f"/api/v1/prompts/pmt_{number}", "status": 200, **fields}
    return Exchange(id=0, at=1_700_000_000.0 + number, **given_fields)


def everything(log: ExchangeLog) -> str:
    """All that a log holds, as one text."""
    return "".join(repr(one.to_json()) + repr(one.request_body) + repr(one.response_body) for one in log.search())


def test_exchanges_are_numbered_and_listed_newest_first() -> None:
    """Ids increase from 1; a search returns the newest first, in pages."""
    log = ExchangeLog()
    assert [log.add(exchange(number)).id for number in range(5)] == [1, 2, 3, 4, 5]
    assert [one.id for one in log.search(limit=2, offset=1)] == [4, 3]
    assert len(log) == 5
    first = log.get(1)
    assert first is not None
    assert first.path.endswith("pmt_0")
    assert log.get(6) is None


def test_the_oldest_are_dropped_by_number_and_by_size() -> None:
    """Neither limit is exceeded, and dropped attempts are forgotten with their exchange."""
    log = ExchangeLog(max_exchanges=3)
    for number in range(5):
        log.add(exchange(number, call="c", attempt=number))
    assert [one.id for one in log.search()] == [5, 4, 3]
    log.add_events("c", 0, [TimelineEvent("wait", 1.0)])
    assert log.add(exchange(9, call="c", attempt=0)).id == 6

    small = ExchangeLog(max_bytes=100_000)
    for number in range(50):
        small.add(exchange(number, response_body=b"x" * 10_000))
    assert 1 < len(small) < 10
    assert small.size <= 100_000
    assert small.search(limit=1)[0].id == 50
    assert small.changes(0)[1][0].id == small.search()[-1].id


@pytest.mark.parametrize("body", [b"", b"x" * 3_000])
def test_the_memory_is_that_which_is_stated(body: bytes) -> None:
    """However many exchanges are added, the log takes about `max_bytes` at most, with and without bodies."""
    log = ExchangeLog(max_bytes=1_000_000)
    log.add(exchange())  # loads what stays
    tracemalloc.start()
    try:
        for number in range(1_500):
            headers = tuple((f"x-{index}", str(number)) for index in range(8))
            parts = {"response_body": body + str(number).encode(), "timeline": (TimelineEvent("wait", number),)}
            log.add(exchange(number, request_headers=headers, **parts))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(log) < 1_000
    assert taken < 1_500_000


def test_bodies_are_cut_to_the_stated_size_and_their_full_size_is_kept() -> None:
    """A body of megabytes costs `MAX_BODY_BYTES`; the size of the whole body is still shown."""
    stored = ExchangeLog().add(exchange(request_body=b"a" * 5_000_000, response_body=b"b" * 9, response_size=77))
    assert (len(stored.request_body), stored.request_size) == (MAX_BODY_BYTES, 5_000_000)
    assert (stored.response_body, stored.response_size) == (b"b" * 9, 77)


SECRETS: list[dict[str, Any]] = [
    {"request_headers": (("authorization", f"Bearer {KEY}"),)},
    {"request_headers": (("Authorization", f"bearer {KEY}"),), "response_body": f'{{"echo": "{KEY}"}}'.encode()},
    {"request_headers": (("X-Api-Key", KEY),), "path": f"/api/v1/{KEY}"},
    {"request_headers": (("Cookie", f"session={KEY}"),)},
    {"response_headers": (("set-cookie", KEY),)},
    {"request_headers": (("Proxy-Authorization", f"Basic {base64.b64encode(f'me:{KEY}'.encode()).decode()}"),)},
    {
        "request_headers": (("authorization", f"Basic {base64.b64encode(f'me:{KEY}'.encode()).decode()}"),),
        "request_body": KEY.encode(),
    },
    {"query": f"api_key={KEY}&limit=1"},
    {"query": f"limit=1&access_token={KEY}"},
    {"request_body": f"grant_type=client_credentials&client_secret={KEY}".encode()},
    {"request_body": json.dumps({"client_id": "a", "client_secret": KEY}).encode()},
    {"response_body": json.dumps({"data": {"id": "whk_1", "secret": KEY}}).encode()},
    {"response_body": f'{{"secret" : "x\\"{KEY}"}}'.encode()},
    {"path": "/api/v1/oauth/token", "request_body": f'{{"client\\u005fsecret": "{KEY}"}}'.encode()},
    {"path": "/api/v1/oauth/token/", "response_body": json.dumps({"token_text": KEY}).encode()},
    {"error": f"failed with api_key={KEY}"},
    {"program": "curl", "request_headers": (("Authorization", KEY),), "error": f"refused {KEY}"},
    {
        "request_headers": (("Authorization", f"Bearer {KEY}"),),
        "timeline": (TimelineEvent("response", 1.0, text=f"401 for {KEY}"),),
    },
    {
        "request_headers": (("Authorization", f"Bearer {KEY}"),),
        "response_body": b" " * (MAX_BODY_BYTES - 10) + KEY.encode() + b" " * 5000,
    },
    {"request_headers": (("Authorization", f"Bearer {KEY}"), ("X-" + "a" * 3000, f"again {KEY}"))},
]


@pytest.mark.parametrize("fields", SECRETS, ids=range(len(SECRETS)))
def test_credentials_are_never_stored(fields: dict[str, Any]) -> None:
    """A credential in any part of an exchange is redacted before the exchange is stored, also in its repr."""
    log = ExchangeLog()
    log.add(exchange(**fields))
    assert KEY not in everything(log) + repr(log.search())
    assert KEY[:12] not in everything(log)


@pytest.mark.parametrize("known", ["ep_test_team", "ep_live_abcdefghij", "whsec_0123456789abcdef", "ep_at_1-2_3x45"])
def test_credentials_are_found_by_their_form(known: str) -> None:
    """Keys, webhook secrets and tokens of this API are redacted wherever they appear."""
    log = ExchangeLog()
    log.add(exchange(path=f"/x/{known}", response_body=f"a {known} b".encode(), response_headers=(("x-a", known),)))
    log.add(exchange(request_body=b"\x80\xff " + known.encode(), error=known, request_id=known))
    assert known not in everything(log)


def test_the_callers_secrets_are_redacted_too() -> None:
    """`secrets` names further values to redact."""
    stored = ExchangeLog().add(exchange(response_body=b'{"a": "open sesame"}'), secrets=["open sesame"])
    assert stored.response_body == b'{"a": "<secret>"}'


@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=60))
def test_any_exchange_can_be_logged_searched_and_sent_as_json(body: bytes, path: str, value: str) -> None:
    """Whatever a program sends, logging never fails, and JSON restores the stored exchange."""
    log = ExchangeLog()
    stored = log.add(
        exchange(
            path=path,
            query=value,
            status=500,
            request_body=body,
            response_body=body,
            request_headers=(("authorization", value), ("x-a", value)),
            timeline=(TimelineEvent("wait", 2.0, 0.5, "budget"),),
        )
    )
    log.search(ExchangeFilter(text=value, path=path, request_id=value, status=value))
    assert Exchange.from_json({**json.loads(json.dumps(stored.to_json())), "unknown": 1}) == stored


ERRORS = [
    ({"error": {"code": "VALIDATION_ERROR", "message": "Must"}}, ("VALIDATION_ERROR", "Must")),
    ({"error": {"code": 1001, "type": "AUTH_INVALID_TOKEN", "message": "No"}}, ("AUTH_INVALID_TOKEN", "No")),
    ({"error": "invalid_client", "error_description": "Unknown"}, ("invalid_client", "Unknown")),
    ({"error": {"code": None, "message": 5}}, (None, None)),
    ({"error": ["odd"]}, (None, None)),
]


@pytest.mark.parametrize(("body", "found"), ERRORS)
def test_the_error_of_a_response_is_read(body: object, found: tuple[str | None, str | None]) -> None:
    """Code and message come from either error format; an unknown format leaves them None."""
    stored = ExchangeLog().add(exchange(status=400, response_body=json.dumps(body).encode()))
    assert (stored.error_code, stored.error) == found


def test_a_broken_error_body_has_no_code() -> None:
    """Bodies that are not JSON are not an obstacle; a success is not searched for an error."""
    log = ExchangeLog()
    assert log.add(exchange(status=502, response_body=b"{oops")).error_code is None
    assert log.add(exchange(status=502, response_body=b"<html>")).error_code is None
    assert log.add(exchange(status=200, response_body=b'{"error": "x"}')).error_code is None


FILTERS = [
    ({"status": "404"}, [2]),
    ({"status": "4XX"}, [3, 2]),
    ({"status": "error"}, [4, 3, 2]),
    ({"status": "none"}, [4]),
    ({"status": "2xx", "path": "PMT_1"}, [1]),
    ({"request_id": "req_b"}, [2]),
    ({"text": "TEA"}, [2]),
    ({"text": "x-special: YES"}, [1]),
    ({"text": "delete"}, [3]),
    ({"text": "node"}, [4]),
    ({"text": "nowhere"}, []),
    ({}, [4, 3, 2, 1]),
]


@pytest.mark.parametrize(("conditions", "found"), FILTERS)
def test_exchanges_are_found_by_each_condition(conditions: dict[str, str], found: list[int]) -> None:
    """Status, class of status, path, request id and text filter; empty conditions match everything."""
    log = ExchangeLog()
    log.add(exchange(1, response_headers=(("X-Special", "yes"),)))
    log.add(exchange(2, status=404, request_id="req_b2", response_body=b"no tea"))
    log.add(exchange(3, status=429, method="DELETE", request_id="req_c"))
    log.add(exchange(4, status=None, program="node"))
    assert [one.id for one in log.search(ExchangeFilter(**conditions))] == found


def test_changes_bring_what_is_new_and_what_has_changed() -> None:
    """A follower that passes the last revision gets every exchange in its latest form, in batches, also after clear."""
    log = ExchangeLog()
    log.add(exchange(1, call="c"))
    log.add(exchange(2))
    revision, first = log.changes(0, limit=1)
    assert [one.id for one in first] == [1]
    revision, rest = log.changes(revision)
    assert [one.id for one in rest] == [2]
    assert log.changes(revision) == (revision, [])
    log.add_events("c", 1, [TimelineEvent("retry", 5.0)])
    revision, changed = log.changes(revision)
    assert [(one.id, len(one.timeline)) for one in changed] == [(1, 1)]
    log.clear()
    assert log.changes(revision) == (log.revision, [])
    assert (len(log), log.size) == (0, 0)
    assert log.add(exchange(3)).id == 3


def test_the_two_views_of_an_attempt_become_one() -> None:
    """The server's status and the program's timeline meet in one entry, whichever comes first."""
    wait, answer = TimelineEvent("wait", 1.0, 0.5), TimelineEvent("response", 2.0, text="timed out")
    server = exchange(1, call="c", attempt=2, status=200, response_body=b"{}", program="enprompta/2")
    program = replace(server, status=None, error="timed out", source="program", timeline=(answer, wait), program="")
    for views in ((server, program), (program, server)):
        log = ExchangeLog()
        merged = [log.add(view) for view in views][-1]
        assert log.search() == [merged]
        assert (merged.status, merged.response_body, merged.error) == (200, b"{}", "timed out")
        assert (merged.source, merged.program, merged.timeline) == ("emulator", "enprompta/2", (wait, answer))
        log.add(exchange(1, call="c", attempt=1))
        log.add(exchange(1, call="other"))
        assert [one.attempt for one in log.attempts_of(merged)] == [1, 2]
    lone = log.add(exchange(5))
    assert log.attempts_of(lone) == [lone]
    assert log.attempts_of(exchange(call="gone")) != []
    log.add_events("unknown", 1, [wait])


def test_listeners_hear_of_every_change_until_they_leave() -> None:
    """Subscribers get each exchange; one that fails disturbs neither the log nor the others."""
    log, heard = ExchangeLog(), list[int]()

    def fail(_: Exchange) -> None:
        raise ValueError

    log.subscribe(fail)
    leave = log.subscribe(lambda one: heard.append(one.id))
    log.add(exchange(call="c"))
    log.add_events("c", 1, [TimelineEvent("wait", 1.0)])
    leave()
    leave()
    log.add(exchange())
    assert heard == [1, 1]


def test_threads_share_a_log() -> None:
    """Exchanges from many threads are all logged once, while others search."""
    log = ExchangeLog()

    def write() -> None:
        for number in range(200):
            log.add(exchange(number))
            log.search(ExchangeFilter(status="4xx"))
            log.changes(number)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.id for one in log.search()) == list(range(1, 801))


def test_a_full_log_is_searched_within_200_ms() -> None:
    """10,000 exchanges of a full log are searched without a noticeable pause, by any condition."""
    log = ExchangeLog()
    for number in range(10_000):
        log.add(exchange(number, response_body=b'{"text": "%d"}' % number + b" " * 2_500))
    assert len(log) > 8_000

    def seconds(conditions: ExchangeFilter) -> float:
        started = time.thread_time()
        log.search(conditions)
        return time.thread_time() - started

    for conditions in ({"text": "no such text"}, {"status": "error"}, {"path": "zzz"}, {"request_id": "req_"}):
        assert min(seconds(ExchangeFilter(**conditions)) for _ in range(3)) < 0.2


@pytest.mark.parametrize("credential", ["not base64!", "/////////w==", "dXNlcg=="])
def test_basic_credentials_that_are_damaged_are_hidden_too(credential: str) -> None:
    """A basic credential is masked wherever it appears, also if it is not base64 of a user and a password."""
    log = ExchangeLog()
    log.add(exchange(request_headers=(("Authorization", f"Basic {credential}"),), response_body=credential.encode()))
    assert credential not in everything(log)
