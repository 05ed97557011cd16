"""Defining workflows: fields, references, cycles and visibility."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.flows import data, details, make, make_prompt, step

if TYPE_CHECKING:
    import httpx

    from enprompta.emulator import Emulator
    from tests.emulator.conftest import Clock


def test_a_workflow_is_made_read_changed_and_deleted(client: httpx.Client, clock: Clock) -> None:
    """Fields are stored as given, and an update changes only the given fields."""
    prompt = make_prompt(client)
    full = {
        "id": "b",
        "promptId": prompt,
        "provider": "openai",
        "model": "gpt-4",
        "variables": {"x": "{{ input.y }} {{steps.a.output}}"},
        "options": {"temperature": 0.5, "maxTokens": 5, "topP": 1, "stopSequences": ["."]},
        "dependsOn": ["a"],
    }
    body = {"name": "Flow", "description": "d", "steps": [{"id": "a", "promptId": prompt}, full]}
    made = data(client.post("/workflows", json=body), 201)
    path = f"/workflows/{made['id']}"
    assert (
        data(client.get(path))
        == made
        == {
            "id": made["id"],
            "name": "Flow",
            "description": "d",
            "steps": [
                {**dict.fromkeys(full), "id": "a", "promptId": prompt, "variables": {}, "options": {}, "dependsOn": []},
                full,
            ],
            "teamId": None,
            "createdAt": "2024-01-17T12:00:00Z",
            "updatedAt": "2024-01-17T12:00:00Z",
        }
    )
    assert data(client.put(path, json={})) == made
    clock.now += 60
    changed = data(client.put(path, json={"description": None, "steps": made["steps"][:1]}))
    assert changed == {
        **made,
        "description": None,
        "steps": made["steps"][:1],
        "updatedAt": "2024-01-17T12:01:00Z",
    }
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.put(path, json={}).status_code == 404
    assert client.delete(path).status_code == client.post(f"{path}/execute").status_code == 404
    assert client.get(f"{path}/executions").status_code == 404


def test_workflows_are_listed_and_searched(client: httpx.Client, connect: Any, emulator: Emulator) -> None:
    """Newest first, in pages, by name or description, and only the account's."""
    prompt = make_prompt(client)
    for name, description in (("Alpha", None), ("Beta", "after ALPHA"), ("Gamma", None)):
        body = {"name": name, "description": description, "steps": [{"id": "a", "promptId": prompt}]}
        data(client.post("/workflows", json=body), 201)
    answer = client.get("/workflows", params={"limit": 2}).json()
    assert [it["name"] for it in answer["data"]] == ["Gamma", "Beta"]
    cursor = answer["pagination"]["next_cursor"]
    assert [it["name"] for it in data(client.get("/workflows", params={"cursor": cursor}))] == ["Alpha"]
    found = data(client.get("/workflows", params={"search": "alpha"}))
    assert [it["name"] for it in found] == ["Beta", "Alpha"]
    assert data(client.get("/workflows", params={"teamId": "tem_none"})) == []
    other = connect(emulator, emulator.keys.team)
    assert data(other.get("/workflows")) == []
    assert other.get(f"/workflows/{found[0]['id']}").status_code == 404


def test_every_wrong_field_is_named(client: httpx.Client) -> None:
    """Missing and invalid fields get a 400 that names each."""
    assert details(client.post("/workflows", json={})) == [("name", "Required"), ("steps", "Required")]
    assert details(client.post("/workflows", json={"name": "n", "steps": []})) == [
        ("steps", "Must have at least one step")
    ]
    wrong = {
        "id": "",
        "variables": {"x": 1, "y": "y" * 100_001},
        "options": {"temperature": 9},
        "dependsOn": [""],
        "model": 4,
    }
    assert details(client.post("/workflows", json={"name": "n", "steps": [wrong, "step"]})) == [
        ("steps[0].id", "Must not be empty"),
        ("steps[0].promptId", "Required"),
        ("steps[0].model", "Must be text"),
        ("steps[0].variables.x", "Must be text"),
        ("steps[0].variables.y", "Must be at most 100000 characters"),
        ("steps[0].options.temperature", "Must be between 0 and 2"),
        ("steps[0].dependsOn[0]", "Must be 1 to 100 characters"),
        ("steps[1]", "Must be an object"),
    ]


def test_references_to_nothing_are_named(client: httpx.Client) -> None:
    """An unknown step, prompt or reference, or a repeated id, is a detail of the 400."""
    first = step("a", "{{steps.b.output}} {{topic}} {{steps.c d.output}} {{steps.a.cost}} {{ok", "z")
    body = {"name": "n", "steps": [{"promptId": make_prompt(client), **first}, {"id": "a", "promptId": "pmt_none"}]}
    hint = "is no reference; write {{input.NAME}} or {{steps.STEPID.output}}"
    assert details(client.post("/workflows", json=body)) == [
        ("steps[0].dependsOn[0]", "There is no step 'z'"),
        ("steps[0].variables.x", "There is no step 'b'"),
        ("steps[0].variables.x", f"{{{{topic}}}} {hint}"),
        ("steps[0].variables.x", f"{{{{steps.a.cost}}}} {hint}"),
        ("steps[0].variables.x", f"{{{{steps.c d.output}}}} {hint}"),
        ("steps[1].id", "'a' is the id of an earlier step too"),
        ("steps[1].promptId", "There is no prompt 'pmt_none'"),
    ]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("a", "", "a")], "'a' needs 'a'"),
        ([step("a", "{{steps.b.output}}"), step("b", "", "a")], "'a' needs 'b' needs 'a'"),
        (
            [
                step("w"),
                step("x", "", "w", "y"),
                step("y", "", "z"),
                step("z", "{{steps.y.output}}"),
                step("v", "", "x"),
            ],
            "'y' needs 'z' needs 'y'",
        ),
    ],
)
def test_a_cycle_is_shown(client: httpx.Client, steps: list[dict[str, Any]], message: str) -> None:
    """A dependency cycle gets a 400 that shows it, on creation and update."""
    prompt = make_prompt(client)
    body = {"name": "n", "steps": [{"promptId": prompt, **it} for it in steps]}
    expected = [("steps", f"The steps wait for each other: {message}")]
    assert details(client.post("/workflows", json=body)) == expected
    workflow = make(client, step("a"))
    assert details(client.put(f"/workflows/{workflow['id']}", json=body)) == expected


def test_a_team_shares_its_workflows(client: httpx.Client, connect: Any, emulator: Emulator) -> None:
    """Members see the team's workflows; a VIEWER can neither change nor run them."""
    other = connect(emulator, emulator.keys.team)
    team = data(client.post("/teams", json={"name": "T"}), 201)
    workflow = make(client, step("a"))
    path = f"/workflows/{workflow['id']}"
    data(client.put(path, json={"teamId": team["id"]}))
    assert other.get(path).status_code == 404
    member = data(
        client.post(f"/teams/{team['id']}/members", json={"email": "team@example.com", "role": "VIEWER"}), 201
    )
    assert data(other.get(path))["teamId"] == team["id"]
    assert [it["id"] for it in data(other.get("/workflows", params={"teamId": team["id"]}))] == [workflow["id"]]
    for refused in (other.put(path, json={}), other.delete(path), other.post(f"{path}/execute")):
        assert refused.status_code == 403
    data(client.put(f"/teams/{team['id']}/members/{member['userId']}", json={"role": "MEMBER"}))
    assert data(other.put(path, json={"name": "Theirs"}))["name"] == "Theirs"
    assert other.put(path, json={"teamId": None}).status_code == 403
    assert client.put(path, json={"teamId": "tem_none"}).status_code == 404
    assert client.delete(f"/teams/{team['id']}").status_code == 204
    assert other.get(path).status_code == 404
    assert data(client.get(path))["teamId"] is None
