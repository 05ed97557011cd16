"""Usage, history, subscription and invoices are computed from recorded events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.emulator.conftest import Clock

DAY = 86_400


def run(client: httpx.Client, prompt: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Execute a prompt."""
    response = client.post(f"/prompts/{prompt['id']}/execute", json={"variables": {"name": "Ada"}, **body})
    assert response.status_code == 201, response.text
    return response.json()["data"]


def data(response: httpx.Response) -> Any:
    """Return the data of a success."""
    assert response.status_code == 200, response.text
    return response.json()["data"]


def test_usage_is_what_happened(connect: Any, clock: Clock) -> None:
    """Credits, requests, executions and cost are sums of the month; a new month starts at zero."""
    with Emulator(clock=clock, credits={"pro": 3}, limits={"pro": (10, 100)}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        body = {"title": "Greeting", "content": "Hello {{name}}"}
        prompt = client.post("/prompts", json=body).json()["data"]
        run(client, prompt)
        run(client, prompt)
        assert data(client.get("/usage")) == {
            "plan": "pro",
            "periodStart": "2024-01-01T00:00:00Z",
            "periodEnd": "2024-02-01T00:00:00Z",
            "tokens": {"used": 2, "limit": 3, "remaining": 1},
            "requestsPerMinute": {"limit": 10, "remaining": 6, "reset": 1_705_492_860},
            "requestsPerDay": {"limit": 100, "remaining": 96, "reset": 1_705_536_000},
            "executions": 2,
            "cost": 0.0006,
        }
        clock.now += 15 * DAY
        fresh = data(client.get("/usage"))
    assert fresh["periodStart"] == "2024-02-01T00:00:00Z"
    assert fresh["tokens"] == {"used": 0, "limit": 3, "remaining": 3}
    assert (fresh["executions"], fresh["cost"]) == (0, 0)


def test_usage_without_a_limit(client: httpx.Client, create: Any) -> None:
    """A plan without a limit still counts tokens."""
    run(client, create())
    assert data(client.get("/usage"))["tokens"] == {"used": 1, "limit": None, "remaining": None}


def test_usage_does_not_include_other_accounts(
    emulator: Emulator, connect: Any, client: httpx.Client, create: Any
) -> None:
    """Usage of other accounts does not count."""
    run(client, create())
    usage = data(connect(emulator, emulator.keys.team).get("/usage"))
    assert usage["executions"] == 0
    assert usage["requestsPerDay"]["remaining"] == usage["requestsPerDay"]["limit"] - 1


def test_december_ends_with_the_year(client: httpx.Client, clock: Clock) -> None:
    """After December comes January of the next year."""
    clock.now = 1_703_980_800.0  # 2023-12-31
    assert data(client.get("/billing"))["currentPeriodEnd"] == "2024-01-01T00:00:00Z"


def test_history_by_day(client: httpx.Client, create: Any, clock: Clock) -> None:
    """Each day with requests is a row, in order, with or without executions."""
    run(client, create())
    clock.now += DAY
    assert data(client.get("/usage/history")) == [
        {"key": "2024-01-17", "date": "2024-01-17", "requests": 2, "executions": 1, "tokens": 6, "cost": 0.0003},
        {"key": "2024-01-18", "date": "2024-01-18", "requests": 1, "executions": 0, "tokens": 0, "cost": 0},
    ]


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("startDate=2024-01-18", ["2024-01-18", "2024-01-19"]),
        ("endDate=2024-01-18", ["2024-01-17", "2024-01-18"]),
        ("startDate=2024-01-18T13:00:00Z&endDate=2024-01-18T14:00:00Z", ["2024-01-18"]),
        ("endDate=2024-01-16&groupBy=day", []),
    ],
)
def test_history_between_dates(client: httpx.Client, clock: Clock, query: str, days: list[str]) -> None:
    """Only days between the dates are listed; a partial day counts as a whole one."""
    for _ in range(3):
        client.get("/usage")
        clock.now += DAY
    clock.now -= DAY
    assert [it["key"] for it in data(client.get(f"/usage/history?{query}"))] == days


def test_history_by_prompt_and_model(client: httpx.Client, create: Any) -> None:
    """A row is a prompt or a model, busiest first, with the requests that executed it."""
    prompts = [create(), create()]
    for prompt, model in ((prompts[0], "a"), (prompts[1], "b"), (prompts[1], "b")):
        run(client, prompt, model=model)
    by_prompt = data(client.get("/usage/history?groupBy=prompt"))
    assert [(it["key"], it["requests"], it["executions"]) for it in by_prompt] == [
        (prompts[1]["id"], 2, 2),
        (prompts[0]["id"], 1, 1),
    ]
    by_model = data(client.get("/usage/history?groupBy=model"))
    assert by_model[0] == {"key": "b", "date": None, "requests": 2, "executions": 2, "tokens": 12, "cost": 0.0006}


def test_history_refuses_what_it_cannot_read(client: httpx.Client) -> None:
    """An invalid date or grouping gets a 400 that names it."""
    answer = client.get("/usage/history?startDate=soon&groupBy=hour")
    assert answer.status_code == 400
    assert {it["field"] for it in answer.json()["error"]["details"]} == {"startDate", "groupBy"}


@pytest.mark.parametrize(("tier", "amount"), [("pro", 20), ("team", 50), ("enterprise", 500)])
def test_billing(emulator: Emulator, connect: Any, tier: str, amount: int) -> None:
    """A subscription is active, renews each month and costs its plan's price."""
    assert data(connect(emulator, getattr(emulator.keys, tier)).get("/billing")) == {
        "plan": tier,
        "status": "active",
        "currentPeriodStart": "2024-01-01T00:00:00Z",
        "currentPeriodEnd": "2024-02-01T00:00:00Z",
        "cancelAtPeriodEnd": False,
        "amount": amount,
        "currency": "USD",
    }


def test_invoices_of_past_months(emulator: Emulator, connect: Any) -> None:
    """There is one for each of the last three months, newest first."""
    invoices = data(connect(emulator, emulator.keys.pro).get("/billing/invoices"))
    assert [it["id"] for it in invoices] == ["inv_pro_202312", "inv_pro_202311", "inv_pro_202310"]
    assert invoices[0] == {
        "id": "inv_pro_202312",
        "number": "PRO-202312",
        "status": "paid",
        "amount": 20,
        "currency": "USD",
        "periodStart": "2023-12-01T00:00:00Z",
        "periodEnd": "2024-01-01T00:00:00Z",
        "createdAt": "2024-01-01T00:00:00Z",
    }


def test_months_that_pass_are_billed(client: httpx.Client, clock: Clock) -> None:
    """Each month is billed once when it is over; the list is paged."""
    clock.now += 45 * DAY  # the second of March
    first = client.get("/billing/invoices?limit=2").json()
    assert [it["periodStart"][:7] for it in first["data"]] == ["2024-02", "2024-01"]
    rest = client.get("/billing/invoices", params={"cursor": first["pagination"]["next_cursor"]}).json()
    assert [it["periodStart"][:7] for it in rest["data"]] == ["2023-12", "2023-11", "2023-10"]
    assert rest["pagination"]["total_count"] == 5


def test_subscription_outlives_a_restart(tmp_path: Path, connect: Any, clock: Clock) -> None:
    """The three months precede the creation of the file, not each start."""
    for days, number in ((0, 3), (45, 5)):
        clock.now += days * DAY
        with Emulator(db=tmp_path / "e.db", clock=clock) as emulator:
            invoices = data(connect(emulator, emulator.keys.team).get("/billing/invoices"))
            assert len(invoices) == number
