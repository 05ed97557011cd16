"""Executing prompts: the echo, variables, options, credits and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator

if TYPE_CHECKING:
    import httpx

    from tests.emulator.conftest import Clock


def run(client: httpx.Client, prompt: dict[str, Any], **body: Any) -> httpx.Response:
    """Execute a prompt with a value for `name`."""
    return client.post(f"/prompts/{prompt['id']}/execute", json={"variables": {"name": "Ada"}, **body})


def details(response: httpx.Response) -> dict[str, str]:
    """The messages of a 400 by field."""
    assert response.status_code == 400, response.text
    return {it["field"]: it["message"] for it in response.json()["error"]["details"]}


def test_echo_answers_with_the_rendered_prompt(create: Any, client: httpx.Client) -> None:
    """The echo returns the rendered prompt; tokens, cost and latency follow from it."""
    prompt = create()
    response = run(client, prompt, provider="openai", model="gpt-4o", options={"temperature": 0.5, "maxTokens": 9})
    assert response.status_code == 201
    execution = response.json()["data"]
    assert client.get(f"/executions/{execution['id']}").json()["data"] == execution
    assert execution.pop("id").startswith("exe_")
    assert execution == {
        "promptId": prompt["id"],
        "status": "completed",
        "output": "Hello Ada",
        "tokens": 6,
        "cost": 0.0003,
        "latency": 16,
        "provider": "openai",
        "model": "gpt-4o",
        "variables": {"name": "Ada"},
        "createdAt": "2024-01-17T12:00:00Z",
        "error": None,
    }
    assert client.get(f"/prompts/{prompt['id']}").json()["data"]["usageCount"] == 1


def test_provider_and_model_may_be_left_to_the_emulator(create: Any, client: httpx.Client) -> None:
    """The echo is the default provider."""
    execution = run(client, create()).json()["data"]
    assert (execution["provider"], execution["model"]) == ("echo", "echo-1")


def test_defaults_fill_in(create: Any, client: httpx.Client) -> None:
    """A variable without a value gets its default, or an empty string if it is optional."""
    declared = [{"name": "name", "default": 3}, {"name": "more", "required": False}]
    prompt = create(content="{{name}}/{{more}}/{{ name }}", variables=declared)
    assert run(client, prompt, variables={}).json()["data"]["output"] == "3//3"


def test_missing_and_unknown_variables_are_named(create: Any, client: httpx.Client) -> None:
    """Missing and unknown variables are details of the 400, and nothing is recorded."""
    prompt = create(content="{{a}} {{b}}")
    assert details(run(client, prompt, variables={"a": "x", "zz": "y"})) == {
        "variables.b": "Required variable is missing",
        "variables.zz": "Unknown variable",
    }
    assert client.get("/executions").json()["data"] == []


def test_values_must_fit_their_declaration(create: Any, client: httpx.Client) -> None:
    """A value of the wrong type or outside the options is a detail of the 400."""
    declared = [{"name": "n", "type": "number"}, {"name": "s", "type": "select", "options": ["a", "b"]}]
    prompt = create(content="{{n}} {{s}} {{t}}", variables=declared)
    wrong = details(run(client, prompt, variables={"n": "many", "s": "c", "t": ["x"]}))
    assert set(wrong) == {"variables.n", "variables.s", "variables.t"}
    assert run(client, prompt, variables={"n": 5, "s": "a", "t": True}).json()["data"]["output"] == "5 a true"


def test_every_wrong_option_is_named(create: Any, client: httpx.Client) -> None:
    """Options out of range are reported by the reference's names."""
    options = {"temperature": 2.1, "maxTokens": 0, "topP": "1", "stopSequences": ["", 1]}
    assert details(run(client, create(), provider="", model=4, options=options)) == {
        "provider": "Must not be empty",
        "model": "Must be text",
        "temperature": "Must be between 0 and 2",
        "maxTokens": "Must be a whole number between 1 and 2147483647",
        "topP": "Must be between 0 and 1",
        "stopSequences[0]": "Must be 1 to 100 characters",
        "stopSequences[1]": "Must be text",
    }
    assert details(run(client, create(), variables=[], options="x")) == {
        "variables": "Must be an object",
        "options": "Must be an object",
    }


def test_options_at_their_bounds(create: Any, client: httpx.Client) -> None:
    """The bounds are inclusive, and a whole number may be written as a float."""
    for options in ({"temperature": 0, "topP": 1, "maxTokens": 1}, {"temperature": 2.0, "topP": 0, "maxTokens": 5.0}):
        assert run(client, create(), options=options).status_code == 201


def test_credits_run_out(clock: Clock, connect: Any) -> None:
    """Each execution costs one credit; without one, it gets a 402; the next month has new ones."""
    with Emulator(clock=clock, credits={"pro": 2}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        prompt = client.post("/prompts", json={"title": "t", "content": "Hi {{name}}"}).json()["data"]
        statuses = [run(client, prompt).status_code for _ in range(4)]
        assert statuses == [201, 201, 402, 402]
        refused = run(client, prompt)
        assert refused.json()["error"]["code"] == "INSUFFICIENT_TOKENS"
        assert client.get("/executions").json()["pagination"]["total_count"] == 2
        assert client.get(f"/prompts/{prompt['id']}").json()["data"]["usageCount"] == 2
        clock.now += 31 * 86_400
        assert run(client, prompt).status_code == 201


def test_a_400_costs_nothing(clock: Clock, connect: Any) -> None:
    """A request with invalid fields costs no credit."""
    with Emulator(clock=clock, credits={"pro": 1}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        prompt = client.post("/prompts", json={"title": "t", "content": "Hi {{name}}"}).json()["data"]
        assert run(client, prompt, variables={}).status_code == 400
        assert run(client, prompt).status_code == 201


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({}, 4),
        ({"provider": "b"}, 1),
        ({"provider": "none"}, 0),
        ({"startDate": "2024-01-18"}, 3),
        ({"endDate": "2024-01-17"}, 1),
        ({"startDate": "2024-01-18T12:00:00Z", "endDate": "2024-01-18T12:00:00Z"}, 2),
        ({"startDate": "2024-01-18T13:00:00+01:00", "endDate": "2024-01-18"}, 2),
        ({"startDate": "2024-01-18T12:00:00.000001"}, 3),
        ({"startDate": "2024-02-01", "endDate": "2024-01-01"}, 0),
    ],
)
def test_executions_are_filtered(
    create: Any, client: httpx.Client, clock: Clock, query: dict[str, str], number: int
) -> None:
    """Executions can be filtered by provider and time; both dates are inclusive."""
    prompt = create()
    for day, provider in ((0, "a"), (1, "a"), (1, "a"), (2, "b")):
        clock.now = 1_705_492_800.0 + day * 86_400 + 0.7
        run(client, prompt, provider=provider)
    answer = client.get("/executions", params=query).json()
    assert answer["pagination"]["total_count"] == number == len(answer["data"])


def test_executions_of_one_prompt(create: Any, client: httpx.Client) -> None:
    """`promptId` selects one prompt's executions, newest first, which remain after the prompt is deleted."""
    one, two = create(), create()
    ids = [run(client, prompt).json()["data"]["id"] for prompt in (one, two, one)]
    client.delete(f"/prompts/{one['id']}")
    found = client.get("/executions", params={"promptId": one["id"]}).json()["data"]
    assert [it["id"] for it in found] == [ids[2], ids[0]]


@pytest.mark.parametrize("date", ["yesterday", "2024-02-30", "2024-1-1", "1705492800", "2024-01-01T00:00:00+99:00", ""])
def test_a_date_that_is_none_is_refused(client: httpx.Client, date: str) -> None:
    """An invalid date gets a 400 with an example of a valid one."""
    for path in ("/executions", "/executions/stats"):
        assert set(details(client.get(path, params={"startDate": date, "endDate": date}))) == {"startDate", "endDate"}


def test_stats_add_up(create: Any, client: httpx.Client, clock: Clock) -> None:
    """Statistics sum up executions by day, prompt or model, within a range of time."""
    one, two = create(), create()
    run(client, one, model="m1")
    clock.now += 86_400
    run(client, one, model="m2")
    run(client, two, model="m2")
    row = {"tokens": 6, "cost": 0.0003, "executions": 1}
    both = {**row, "tokens": 12, "cost": 0.0006, "executions": 2}

    def stats(**query: str) -> list[dict[str, Any]]:
        return client.get("/executions/stats", params=query).json()["data"]

    by_day = [{"key": it, "date": it} for it in ("2024-01-17", "2024-01-18")]
    assert stats() == stats(groupBy="day") == [{**by_day[0], **row}, {**by_day[1], **both}]
    assert stats(groupBy="prompt") == [
        {"key": one["id"], "date": None, **both},
        {"key": two["id"], "date": None, **row},
    ]
    assert stats(groupBy="model") == [{"key": "m2", "date": None, **both}, {"key": "m1", "date": None, **row}]
    assert stats(endDate="2024-01-17") == [{**by_day[0], **row}]
    assert stats(startDate="2025-01-01") == []


def test_stats_group_by_what_they_can(client: httpx.Client) -> None:
    """An unknown grouping gets a 400 that lists the valid ones."""
    assert details(client.get("/executions/stats?groupBy=year")) == {"groupBy": "Must be one of day, prompt, model"}


def test_unknown_execution(client: httpx.Client) -> None:
    """An unknown execution gets a 404."""
    assert client.get("/executions/exe_none").status_code == 404
