"""Traces of the emulator: recorded ones, spans, filters, totals, and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.conftest import NOON

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from enprompta.emulator import Emulator
    from tests.emulator.conftest import Clock

PLAIN = {"provider": "openai", "model": "gpt-4", "input": "Hello", "output": "Hi."}


def data(response: httpx.Response, status: int = 200) -> Any:
    """The data of a response with the expected status."""
    assert response.status_code == status, response.text
    return response.json()["data"]


def details(response: httpx.Response) -> set[str]:
    """The fields that a 400 names."""
    assert response.status_code == 400, response.text
    return {it["field"] for it in response.json()["error"]["details"]}


def record(client: httpx.Client, **fields: Any) -> str:
    """Record a trace and return its id."""
    return data(client.post("/traces", json={**PLAIN, **fields}), 201)["traceId"]


def test_a_trace_is_read_as_it_was_recorded(client: httpx.Client) -> None:
    """Every field of a recorded trace comes back; the totals and the time are added."""
    given = {
        **PLAIN, "systemPrompt": "Be brief.", "temperature": 0.2, "maxTokens": 100, "topP": 0.9, "inputTokens": 12,
        "outputTokens": 3, "latencyMs": 850.5, "cost": 0.0005, "status": "TIMEOUT", "errorMessage": "Late",
        "errorCode": "504", "finishReason": "stop", "sessionId": "chat-1", "promptId": "pmt_1", "environment": "test",
        "metadata": {"k": [1, {"x": None}]},
    }  # fmt: skip
    trace = data(client.get(f"/traces/{record(client, **given)}"))["trace"]
    assert given.items() <= trace.items()
    assert (trace["totalTokens"], trace["createdAt"]) == (15, "2024-01-17T12:00:00Z")
    assert (trace["spans"], trace["evaluations"]) == ([], [])
    plain = data(client.get(f"/traces/{record(client)}"))["trace"]
    assert (plain["status"], plain["environment"], plain["cost"], plain["metadata"]) == ("SUCCESS", "production", 0, {})


@pytest.mark.parametrize("empty", ["input", "output"])
def test_a_trace_without_input_or_output_is_dropped_without_an_error(client: httpx.Client, empty: str) -> None:
    """The service's trap: the answer is a success, and the trace is nowhere."""
    trace = record(client, **{empty: ""})
    assert client.get(f"/traces/{trace}").status_code == 404
    assert data(client.get("/traces"))["total"] == 0
    assert data(client.get("/traces/analytics"))["totalTraces"] == 0


def test_pages_are_counted_by_offset(client: httpx.Client) -> None:
    """The newest trace comes first; the answer says how many there are and where the page stands."""
    ids = [record(client) for _ in range(5)][::-1]
    page = data(client.get("/traces", params={"limit": 2, "offset": 1}))
    assert [one["id"] for one in page["traces"]] == ids[1:3]
    assert (page["total"], page["limit"], page["offset"]) == (5, 2, 1)
    assert data(client.get("/traces", params={"offset": 2**53}))["traces"] == []
    for wrong in ({"limit": 0}, {"limit": 101}, {"offset": -1}, {"offset": "x"}, {"status": "OK"}, {"startDate": "x"}):
        assert details(client.get("/traces", params=wrong)) == set(wrong)


def test_filters(client: httpx.Client, clock: Clock) -> None:
    """Each filter keeps what matches it exactly."""
    fields = {
        "promptId": "p", "sessionId": "s", "provider": "x", "model": "m", "environment": "e", "status": "ERROR",
    }  # fmt: skip
    wanted = record(client, **fields)
    clock.now = NOON + 3600
    record(client)
    queries: list[dict[str, Any]] = [{name: value} for name, value in fields.items()]
    queries += [{"endDate": "2024-01-17T12:30:00Z"}, fields]
    for query in queries:
        assert [one["id"] for one in data(client.get("/traces", params=query))["traces"]] == [wanted], query
    assert data(client.get("/traces", params={"startDate": "2024-01-17T12:30:00Z"}))["total"] == 1


def test_spans(client: httpx.Client) -> None:
    """A span is read as it was created; times follow from those that are given."""
    trace = record(client)
    spans = f"/traces/{trace}/spans"
    times = {"startTime": "2024-01-17T10:00:00.5Z", "endTime": "2024-01-17T12:00:02+01:00", "durationMs": 1}
    first = data(client.post(spans, json={"name": "a", "spanType": "AGENT", **times, "input": [1]}), 201)
    assert first["traceId"] == trace
    more = [
        {"parentSpanId": first["spanId"], "tokens": 5, "cost": 0.5, "status": "ERROR", "errorMessage": "x"},
        {"startTime": "2024-01-17T11:00:00Z", "durationMs": 1500},
        {"endTime": "2024-01-17T11:00:05Z", "durationMs": 1000},
        {"durationMs": 2000, "metadata": {"a": 1}},
        {"startTime": "2024-01-17T14:00:00Z", "endTime": "2024-01-17T13:00:00Z"},
    ]
    ids = [data(client.post(spans, json={"name": "b", "spanType": "TOOL", **one}), 201)["spanId"] for one in more]
    found = {one["id"]: one for one in data(client.get(spans))["spans"]}
    assert found == {one["id"]: one for one in data(client.get(f"/traces/{trace}"))["trace"]["spans"]}
    assert (found[first["spanId"]]["durationMs"], found[first["spanId"]]["input"]) == (3_601_500, [1])
    shown = [[found[one][name] for name in ("startTime", "endTime", "durationMs", "status")] for one in ids]
    assert shown == [
        ["2024-01-17T12:00:00.000Z", None, None, "ERROR"],
        ["2024-01-17T11:00:00.000Z", "2024-01-17T11:00:01.500Z", 1500, "SUCCESS"],
        ["2024-01-17T11:00:04.000Z", "2024-01-17T11:00:05.000Z", 1000, "SUCCESS"],
        ["2024-01-17T11:59:58.000Z", "2024-01-17T12:00:00.000Z", 2000, "SUCCESS"],
        ["2024-01-17T14:00:00.000Z", "2024-01-17T13:00:00.000Z", 0, "SUCCESS"],
    ]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, {"name", "spanType"}),
        ({"name": "", "spanType": "X"}, {"name", "spanType"}),
        ({"name": "a", "spanType": "LLM", "parentSpanId": "spn_other"}, {"parentSpanId"}),
        ({"name": "a", "spanType": "LLM", "startTime": 5, "endTime": "2600-01-01T00:00:00Z"}, {"startTime", "endTime"}),
        ({"name": "a", "spanType": "LLM", "endTime": "1969-12-31T23:59:59Z"}, {"endTime"}),
        (
            {"name": "a", "spanType": "LLM", "tokens": -1, "cost": 1e300, "durationMs": True},
            {"tokens", "cost", "durationMs"},
        ),
        ({"name": "a", "spanType": "LLM", "metadata": [], "status": "OK"}, {"metadata", "status"}),
    ],
)
def test_a_wrong_span_is_refused(client: httpx.Client, fields: dict[str, Any], named: set[str]) -> None:
    """Each invalid field is named."""
    assert details(client.post(f"/traces/{record(client)}/spans", json=fields)) == named


def test_a_wrong_trace_is_refused(client: httpx.Client) -> None:
    """Each invalid field is named; an input that is null is missing, and one that is empty is not."""
    wrong = {"provider": "", "model": 5, "input": None, "temperature": 3, "topP": -1, "maxTokens": 0.5, "latencyMs": -1}
    assert details(client.post("/traces", json=wrong)) == {*wrong, "output"}
    assert details(client.get("/traces/analytics", params={"days": 0})) == {"days"}


def test_traces_belong_to_their_account(
    client: httpx.Client, emulator: Emulator, connect: Callable[..., httpx.Client]
) -> None:
    """Another account sees neither a trace nor its spans, and cannot add to it."""
    trace = record(client)
    other = connect(emulator, emulator.keys.pro)
    span = {"name": "a", "spanType": "LLM"}
    for response in (
        other.get(f"/traces/{trace}"),
        other.get(f"/traces/{trace}/spans"),
        other.post(f"/traces/{trace}/spans", json=span),
    ):
        assert response.status_code == 404
    assert data(other.get("/traces"))["total"] == 0
    assert data(other.get("/traces/analytics"))["totalTraces"] == 0


def test_analytics(client: httpx.Client, clock: Clock) -> None:
    """Totals are of the last days, by provider and by status."""
    record(client, cost=9)
    clock.now = NOON + 8 * 86_400
    record(client, inputTokens=1, outputTokens=2, cost=0.5, latencyMs=100)
    record(client, provider="x", status="ERROR", latencyMs=200)
    found = data(client.get("/traces/analytics"))
    assert (found["totalTraces"], found["totalTokens"], found["totalCost"], found["avgLatency"]) == (2, 3, 0.5, 150)
    assert found["byProvider"]["openai"] == {"traces": 1, "tokens": 3, "cost": 0.5, "avgLatency": 100}
    assert found["statusCounts"] == {"ERROR": 1, "SUCCESS": 1}
    assert found["period"]["days"] == 7
    assert data(client.get("/traces/analytics", params={"days": 30}))["totalTraces"] == 3
