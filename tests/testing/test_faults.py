"""Injected faults of the emulator, as a client sees them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import APIConnectionError, APIStatusError, ConfigurationError, Enprompta, InternalServerError
from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = {"Retry-After": "0"}


@pytest.fixture
def http(enprompta_emulator: Emulator) -> Iterator[httpx.Client]:
    """An HTTP client without retries."""
    headers = {"Authorization": f"Bearer {enprompta_emulator.keys.team}"}
    with httpx.Client(base_url=enprompta_emulator.url, headers=headers, verify=False, trust_env=False) as client:
        yield client


@pytest.fixture
def hasty(enprompta_emulator: Emulator) -> Iterator[Enprompta]:
    """A client without retries."""
    with Enprompta(max_retries=0) as client:
        yield client


def test_a_status_for_some_times(enprompta_emulator: Emulator, enprompta_client: Enprompta) -> None:
    """The client retries two 503 responses; the third attempt succeeds, as the hits show."""
    fault = enprompta_emulator.faults.add("/prompts", method="post", status=503, times=2, headers=NOW)
    prompt = enprompta_client.prompts.create(title="Tea", content="Tea")
    assert [(hit.method, hit.path) for hit in fault.hits] == [("POST", "/prompts")] * 2
    assert fault.is_over
    first, second = fault.hits
    assert first.body == second.body == b'{"title":"Tea","content":"Tea"}'
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert [each.id for each in enprompta_client.prompts.list()] == [prompt.id]


def test_an_answer_lost_after_the_work(enprompta_emulator: Emulator, enprompta_client: Enprompta) -> None:
    """A prompt whose response was lost exists once, because the retry has the same idempotency key."""
    fault = enprompta_emulator.faults.add("/prompts", method="POST", drop="after", times=1)
    prompt = enprompta_client.prompts.create(title="Tea", content="Tea")
    assert len(fault.hits) == 1
    assert [each.id for each in enprompta_client.prompts.list()] == [prompt.id]


@pytest.mark.parametrize(("drop", "made"), [(True, 0), ("before", 0), ("after", 1)])
def test_a_dropped_connection(
    enprompta_emulator: Emulator, hasty: Enprompta, drop: Any, made: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A dropped connection is a connection error; `drop` decides if the work was done; nothing is logged."""
    fault = enprompta_emulator.faults.add("/prompts", method="POST", drop=drop)
    with pytest.raises(APIConnectionError, match="Server disconnected"):
        hasty.prompts.create(title="Tea", content="Tea")
    assert len(fault.hits) == 1
    assert len(hasty.prompts.list().data) == made
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_drop_hides_a_failure_too(enprompta_emulator: Emulator, http: httpx.Client) -> None:
    """An API error can be lost too: here, a key used for another request."""
    headers = {"Idempotency-Key": "k"}
    http.post("/prompts", json={"title": "Tea", "content": "Tea"}, headers=headers)
    enprompta_emulator.faults.add(drop="after", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/prompts", json={"title": "Coffee", "content": "Coffee"}, headers=headers)
    assert http.get("/prompts").json()["pagination"]["total_count"] == 1


def test_a_latency_alone_delays_the_answer(enprompta_emulator: Emulator, http: httpx.Client) -> None:
    """A slow response is correct and delays no other request."""
    enprompta_emulator.faults.add("/prompts", latency=0.3)
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        slow = pool.submit(http.get, "/prompts")
        assert http.get("/teams").status_code == 200
        assert not slow.done()
        assert slow.result().json()["data"] == []
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("path", "struck"),
    [
        ("/prompts", ["/prompts"]),
        ("/prompts/*", ["/prompts/pmt_1"]),
        ("/prompts/**", ["/prompts", "/prompts/pmt_1", "/prompts/pmt_1/execute"]),
        ("/prompts/*/execute", ["/prompts/pmt_1/execute"]),
        ("/p**", ["/prompts", "/prompts/pmt_1", "/prompts/pmt_1/execute"]),
        ("/api/sdk/**", ["/api/sdk/prompts/tea"]),
        ("/prompts/pmt.1", []),
        ("/**", ["/prompts", "/prompts/pmt_1", "/prompts/pmt_1/execute", "/teams", "/api/sdk/prompts/tea"]),
    ],
)
def test_path_patterns(enprompta_emulator: Emulator, http: httpx.Client, path: str, struck: list[str]) -> None:
    """`*` is one segment, `**` any number of them, everything else literal."""
    fault = enprompta_emulator.faults.add(path, status=418)
    for each in ("/prompts", "/prompts/pmt_1", "/prompts/pmt_1/execute", "/teams"):
        http.get(each)
    http.get(f"{enprompta_emulator.url.removesuffix('/v1')}/sdk/prompts/tea")
    assert [hit.path for hit in fault.hits] == struck


def test_the_first_matching_fault_applies_alone(enprompta_emulator: Emulator, http: httpx.Client) -> None:
    """Faults apply in order, each as often as given, then none; `clear` ends them."""
    faults = enprompta_emulator.faults
    faults.add(status=500, times=1)
    faults.add(status=502, times=2)
    faults.add("/teams", status=418)
    assert [http.get("/teams").status_code for _ in range(4)] == [500, 502, 502, 418]
    faults.clear()
    assert http.get("/teams").status_code == 200


@pytest.mark.enprompta(error_dialect="detailed")
def test_errors_are_in_the_emulators_dialect(enprompta_emulator: Emulator, hasty: Enprompta) -> None:
    """An injected error has the API's format, including the request id."""
    enprompta_emulator.faults.add(status=500)
    with pytest.raises(InternalServerError, match="A fault was injected") as raised:
        hasty.teams.list()
    assert raised.value.numeric_code == 5900
    assert raised.value.request_id == raised.value.headers["x-request-id"]


def test_given_headers_and_body_replace_those_of_the_response(enprompta_emulator: Emulator, http: httpx.Client) -> None:
    """Given fields replace those of the emulator's response; the others stay."""
    faults = enprompta_emulator.faults
    faults.add(status=429, times=1, headers={"X-RateLimit-Remaining": "0"}, body={"error": {"code": "SLOW"}})
    faults.add(status=200, times=1, headers={"Content-Type": "text/html"}, body="<html>")
    faults.add(status=502, times=1, body=b"\xff")
    faults.add(status=204, times=1)
    limited, page, bytes_, nothing = (http.get("/teams") for _ in range(4))
    assert limited.json() == {"error": {"code": "SLOW"}}
    assert limited.headers.get_list("x-ratelimit-remaining") == ["0"]
    assert limited.headers["x-ratelimit-limit"] == "1000000"
    assert (page.headers["content-type"], page.text) == ("text/html", "<html>")
    assert bytes_.content == b"\xff"
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_credentials_are_checked_first(enprompta_emulator: Emulator, http: httpx.Client) -> None:
    """A request that is refused anyway does not count as a hit."""
    fault = enprompta_emulator.faults.add(status=418)
    assert http.get("/teams", headers={"Authorization": "Bearer unknown"}).status_code == 401
    assert fault.hits == []


def test_the_client_names_an_injected_error(enprompta_emulator: Emulator, hasty: Enprompta) -> None:
    """An undocumented error is still classified by its status."""
    enprompta_emulator.faults.add(status=418)
    with pytest.raises(APIStatusError, match=r"418 .*INJECTED_FAULT") as raised:
        hasty.teams.list()
    assert raised.value.status_code == 418


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"path": "prompts", "status": 500},
        {"status": 99},
        {"status": 600},
        {"latency": -1},
        {"latency": float("nan")},
        {"latency": float("inf")},
        {"drop": "during"},
        {"drop": True, "status": 500},
        {"drop": True, "headers": {"A": "b"}},
        {"latency": 1, "body": "x"},
        {"status": 500, "times": 0},
        {"status": 204, "body": "x"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: dict[str, Any]) -> None:
    """A fault without effect, or with two, is refused when it is added."""
    with pytest.raises(ConfigurationError):
        Emulator().faults.add(**fault)
