"""Community templates, and prompts forked from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


def test_a_dozen_templates_to_browse(client: httpx.Client) -> None:
    """There are at least twelve, in pages, and each can be fetched."""
    first = client.get("/templates?limit=7").json()
    rest = client.get("/templates", params={"cursor": first["pagination"]["next_cursor"]}).json()
    templates = first["data"] + rest["data"]
    assert len({it["id"] for it in templates}) == first["pagination"]["total_count"] >= 12
    for template in templates:
        assert client.get(f"/templates/{template['id']}").json()["data"] == template
        assert template["variables"]


def test_templates_are_found(client: httpx.Client) -> None:
    """Category and search narrow the list."""
    assert {it["category"] for it in client.get("/templates?category=marketing").json()["data"]} == {"marketing"}
    assert [it["id"] for it in client.get("/templates?search=TRANSCRIPT").json()["data"]] == ["tpl_meeting_notes"]
    assert client.get("/templates?category=none").json()["data"] == []


def test_fork_makes_a_prompt(client: httpx.Client) -> None:
    """A fork is a prompt with the template's content, under its title or a given one."""
    template = client.get("/templates/tpl_translate").json()["data"]
    answers = [
        client.post("/templates/tpl_translate/fork"),
        client.post("/templates/tpl_translate/fork", json={"title": "Mine"}),
    ]
    assert [it.status_code for it in answers] == [201, 201]
    for answer, title in zip(answers, (template["title"], "Mine"), strict=True):
        assert set(answer.json()["data"]) == {"promptId"}
        prompt = client.get(f"/prompts/{answer.json()['data']['promptId']}").json()["data"]
        assert prompt["title"] == title
        for field in ("content", "description", "category", "tags", "variables"):
            assert prompt[field] == template[field]
    assert client.get("/templates/tpl_translate").json()["data"]["usageCount"] == 2


def test_fork_of_nothing(client: httpx.Client) -> None:
    """An unknown template or an invalid title is refused."""
    assert client.post("/templates/tpl_none/fork").status_code == 404
    assert client.get("/templates/tpl_none").status_code == 404
    assert client.post("/templates/tpl_translate/fork", json={"title": ""}).status_code == 400
