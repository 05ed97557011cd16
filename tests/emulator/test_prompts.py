"""Prompts are created, read, updated, deleted and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from enprompta.emulator import Emulator
    from tests.emulator.conftest import Clock

Create = "Callable[..., dict[str, Any]]"


def details(response: httpx.Response) -> dict[str, str]:
    """The details of a 400, by field."""
    assert response.status_code == 400, response.text
    return {it["field"]: it["message"] for it in response.json()["error"]["details"]}


def test_create_answers_the_whole_prompt(client: httpx.Client) -> None:
    """A new prompt is returned with every field; omitted ones are empty."""
    response = client.post("/prompts", json={"title": "Greeting", "content": "Hello {{ name }}"})
    assert response.status_code == 201
    prompt = response.json()["data"]
    assert prompt.pop("id").startswith("pmt_")
    name = {"name": "name", "type": "text", "required": True, "default": None, "description": None, "options": []}
    assert prompt == {
        "title": "Greeting",
        "slug": "greeting",
        "content": "Hello {{ name }}",
        "description": None,
        "category": None,
        "tags": [],
        "variables": [name],
        "visibility": "PRIVATE",
        "version": 1,
        "usageCount": 0,
        "teamId": None,
        "createdAt": "2024-01-17T12:00:00Z",
        "updatedAt": "2024-01-17T12:00:00Z",
    }


def test_each_prompt_shows_the_slug_that_reads_it(client: httpx.Client) -> None:
    """The slug is unique in its account, survives a new title, and reads the prompt."""
    made = [client.post("/prompts", json={"title": title, "content": "c"}).json()["data"] for title in ("A b", "A-B!")]
    assert [prompt["slug"] for prompt in made] == ["a-b", "a-b-2"]
    renamed = client.put(f"/prompts/{made[0]['id']}", json={"title": "Else"}).json()["data"]
    assert renamed["slug"] == "a-b"
    root = str(client.base_url).removesuffix("/v1/")
    for prompt in client.get("/prompts").json()["data"]:
        live = client.get(f"{root}/sdk/prompts/{prompt['slug']}").json()
        assert (live["id"], live["slug"]) == (prompt["id"], prompt["slug"])


def test_create_keeps_what_is_given(client: httpx.Client) -> None:
    """Every field is stored and returned as given."""
    given = {
        "title": "Grüße 🎈",
        "content": "{{a.b}} and {{tone}}",
        "description": "d",
        "category": "c",
        "tags": ["x", "y"],
        "visibility": "PUBLIC",
        "variables": [{"name": "tone", "type": "select", "default": "warm", "options": ["warm", "cold"]}],
    }
    prompt = client.post("/prompts", json=given).json()["data"]
    declared = prompt.pop("variables")
    assert declared == [{**given.pop("variables")[0], "required": False, "description": None}]
    assert prompt.items() >= given.items()
    assert client.get(f"/prompts/{prompt['id']}").json()["data"] == {**prompt, "variables": declared}


def test_update_changes_only_what_is_given(create: Any, client: httpx.Client, clock: Clock) -> None:
    """Fields not given are left unchanged; the update time is returned."""
    prompt = create(description="d", tags=["x"])
    clock.now += 90
    changed = client.put(f"/prompts/{prompt['id']}", json={"title": "New"}).json()["data"]
    assert changed == {**prompt, "title": "New", "updatedAt": "2024-01-17T12:01:30Z"}


def test_update_with_null_clears(create: Any, client: httpx.Client) -> None:
    """Null clears a field that may be empty."""
    team = client.post("/teams", json={"name": "Team"}).json()["data"]["id"]
    prompt = create(description="d", category="c", teamId=team)
    nulls = {"description": None, "category": None, "teamId": None}
    assert client.put(f"/prompts/{prompt['id']}", json=nulls).json()["data"].items() >= nulls.items()


@pytest.mark.parametrize("field", ["title", "content", "tags", "variables", "visibility"])
def test_update_refuses_null_where_something_must_be(create: Any, client: httpx.Client, field: str) -> None:
    """Null for a required field gets a 400 that names it."""
    assert details(client.put(f"/prompts/{create()['id']}", json={field: None})) == {field: "Must not be null"}


def test_new_content_makes_a_new_version(create: Any, client: httpx.Client) -> None:
    """Changed content becomes a new version with new variables; the same content does not."""
    prompt = create()
    path = f"/prompts/{prompt['id']}"
    assert client.put(path, json={"content": prompt["content"]}).json()["data"]["version"] == 1
    changed = client.put(path, json={"content": "Bye {{friend}}"}).json()["data"]
    assert changed["version"] == 2
    assert [it["name"] for it in changed["variables"]] == ["friend"]


def test_declared_variables_stay_with_new_content(create: Any, client: httpx.Client) -> None:
    """Declared variables do not follow the content; an empty list makes them follow it again."""
    prompt = create(variables=[{"name": "name", "default": "you"}])
    path = f"/prompts/{prompt['id']}"
    assert client.put(path, json={"content": "Bye {{x}}"}).json()["data"]["variables"] == prompt["variables"]
    followed = client.put(path, json={"variables": []}).json()["data"]["variables"]
    assert [it["name"] for it in followed] == ["x"]


def test_empty_update_changes_nothing(create: Any, client: httpx.Client, clock: Clock) -> None:
    """An update without fields returns the prompt unchanged."""
    prompt = create()
    clock.now += 5
    assert client.put(f"/prompts/{prompt['id']}", json={}).json()["data"] == prompt


def test_a_deleted_prompt_is_not_found(create: Any, client: httpx.Client) -> None:
    """A deleted prompt can be neither read nor changed, deleted or executed."""
    path = f"/prompts/{create()['id']}"
    assert client.delete(path).status_code == 204
    answers = [
        client.get(path),
        client.put(path, json={"title": "x"}),
        client.delete(path),
        client.post(f"{path}/execute", json={}),
    ]
    assert [it.status_code for it in answers] == [404] * 4


def test_accounts_do_not_see_each_others_prompts(create: Any, emulator: Emulator, connect: Any) -> None:
    """Another account's prompt gets a 404 and is not listed."""
    prompt = create(visibility="PUBLIC")
    other = connect(emulator, emulator.keys.team)
    assert other.get(f"/prompts/{prompt['id']}").status_code == 404
    assert other.get("/prompts").json()["data"] == []


def test_every_wrong_field_is_named(client: httpx.Client) -> None:
    """A 400 names every invalid field by its wire name."""
    body = {
        "content": "",
        "description": 7,
        "category": "c" * 101,
        "tags": ["ok", 3, ""],
        "visibility": "SECRET",
        "variables": [{"name": "a b"}, {"type": "text"}, {"name": "x", "required": "yes"}, 5, {"name": "x"}],
        "teamId": [],
    }
    assert details(client.post("/prompts", json=body)) == {
        "title": "Required",
        "content": "Must not be empty",
        "description": "Must be text",
        "category": "Must be at most 100 characters",
        "tags[1]": "Must be text",
        "tags[2]": "Must be 1 to 100 characters",
        "visibility": "Must be one of PRIVATE, TEAM, PUBLIC",
        "variables[0].name": "Must be letters, digits, _ or -, in parts separated by dots",
        "variables[1].name": "Required",
        "variables[2].required": "Must be true or false",
        "variables[3]": "Must be an object",
        "variables[4].name": "'x' is declared twice",
        "teamId": "Must be text",
    }


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"title": "x" * 201, "content": "c"}, {"title": "Must be at most 200 characters"}),
        ({"title": "t", "content": "x" * 100_001}, {"content": "Must be at most 100000 characters"}),
        ({"title": "t", "content": "c", "tags": "x"}, {"tags": "Must be a list"}),
        ({"title": "t", "content": "c", "tags": ["x"] * 51}, {"tags": "Must have at most 50 items"}),
        (
            {"title": "t", "content": "c", "variables": [{"name": "x", "default": []}]},
            {"variables[0].default": "Must be text, a number, true, false or null"},
        ),
    ],
)
def test_sizes_and_kinds_are_limited(client: httpx.Client, body: dict[str, Any], wrong: dict[str, str]) -> None:
    """Values that are too large or of the wrong type are rejected."""
    assert details(client.post("/prompts", json=body)) == wrong


def test_largest_prompt_is_kept(client: httpx.Client) -> None:
    """Title and content of the maximum size are accepted."""
    body = {"title": "é" * 200, "content": "é" * 100_000}
    assert client.post("/prompts", json=body).status_code == 201


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({}, ["Übung", "Two", "One"]),
        ({"visibility": "PUBLIC"}, ["Two"]),
        ({"category": "a"}, ["Two", "One"]),
        ({"teamId": "tem_1"}, []),
        ({"search": "übu"}, ["Übung"]),
        ({"search": "NEEDLE"}, ["Übung", "Two"]),
        ({"search": "100%_"}, []),
        ({"search": "", "category": "a", "visibility": "PRIVATE"}, ["One"]),
    ],
)
def test_list_filters(create: Any, client: httpx.Client, query: dict[str, str], titles: list[str]) -> None:
    """Filters combine, and search covers title, content and description."""
    create(title="One", category="a")
    create(title="Two", category="a", visibility="PUBLIC", content="a needle in it")
    create(title="Übung", description="the Needle")
    answer = client.get("/prompts", params=query).json()
    assert [it["title"] for it in answer["data"]] == titles
    assert answer["pagination"]["total_count"] == len(titles)


def test_list_refuses_unknown_words(client: httpx.Client) -> None:
    """A filter that cannot match gets a 400, not an empty list."""
    assert details(client.get("/prompts?visibility=secret&category=")) == {
        "visibility": "Must be one of PRIVATE, TEAM, PUBLIC",
        "category": "Must not be empty",
    }
