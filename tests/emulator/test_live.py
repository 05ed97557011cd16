"""Live prompts: the version that a label points at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from enprompta.emulator import Emulator


def live(client: httpx.Client, slug: str, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
    """Fetch a live prompt, whose path is not below the base URL."""
    url = str(client.base_url).removesuffix("/v1/") + f"/sdk/prompts/{slug}"
    return client.get(url, params=query, headers=headers)


def test_live_prompt_is_bare(create: Any, client: httpx.Client) -> None:
    """A live prompt has no envelope, is found by slug, and contains the defaults of its variables."""
    declared = [{"name": "tone", "default": "warm"}, {"name": "more", "required": False}, {"name": "topic"}]
    prompt = create(title="Café: Grand Opening!", content="{{topic}} {{tone}}", variables=declared)
    answer = live(client, "cafe-grand-opening", project="any")
    assert answer.status_code == 200
    body = answer.json()
    assert body["version"].pop("id")
    assert body == {
        "id": prompt["id"],
        "slug": "cafe-grand-opening",
        "name": "Café: Grand Opening!",
        "label": "production",
        "version": {"number": "1", "environment": "production"},
        "content": "{{topic}} {{tone}}",
        "messages": None,
        "variables": {"tone": "warm", "more": ""},
        "_meta": {"createdAt": "2024-01-17T12:00:00Z"},
    }


def test_slugs_are_unique_and_stay(create: Any, client: httpx.Client) -> None:
    """Equal titles get numbered slugs, a title without letters gets a slug too, and renaming keeps the slug."""
    first = create(title="Hi")
    second = create(title="Hi")
    create(title="???")
    client.put(f"/prompts/{first['id']}", json={"title": "Other"})
    assert live(client, "hi").json()["id"] == first["id"]
    assert live(client, "hi-2").json()["id"] == second["id"]
    assert live(client, "prompt").json()["name"] == "???"
    assert live(client, first["id"]).json()["slug"] == "hi"


def test_a_taken_number_is_passed_over(create: Any, client: httpx.Client) -> None:
    """A title that looks like a numbered slug does not collide with one."""
    ids = [create(title=it)["id"] for it in ("Hi 2", "Hi", "Hi")]
    assert [live(client, it).json()["id"] for it in ("hi-2", "hi", "hi-3")] == ids


def test_production_follows_the_newest_version_until_set(create: Any, client: httpx.Client, emulator: Emulator) -> None:
    """`production` points at the newest version by default; a label that was set stays in place."""
    prompt = create(title="Hi", content="one")
    client.put(f"/prompts/{prompt['id']}", json={"content": "two"})
    assert live(client, "hi").json()["content"] == "two"
    emulator.set_label(prompt["id"], "production", 1)
    client.put(f"/prompts/{prompt['id']}", json={"content": "three"})
    assert live(client, "hi").json()["content"] == "one"
    assert live(client, "hi", label="latest").json()["content"] == "three"
    emulator.set_label(prompt["id"], "staging", 2)
    staging = live(client, "hi", label="staging").json()
    assert (staging["content"], staging["version"]["number"], staging["label"]) == ("two", "2", "staging")


def test_a_version_keeps_its_variables(create: Any, client: httpx.Client, emulator: Emulator) -> None:
    """An older version has the variables it had at the time."""
    prompt = create(title="Hi", variables=[{"name": "name", "default": "you"}])
    client.put(f"/prompts/{prompt['id']}", json={"content": "{{x}}", "variables": [{"name": "x", "default": "y"}]})
    emulator.set_label(prompt["id"], "production", 1)
    assert live(client, "hi").json()["variables"] == {"name": "you"}


def test_label_must_point_at_something(create: Any, client: httpx.Client, emulator: Emulator) -> None:
    """A missing version cannot be labeled; an unknown label or slug gets a 404."""
    prompt = create(title="Hi")
    with pytest.raises(LookupError, match="no version 2"):
        emulator.set_label(prompt["id"], "staging", 2)
    assert live(client, "hi", label="staging").status_code == 404
    assert live(client, "none").status_code == 404
    assert live(client, "hi", label="").status_code == 400


def test_unchanged_prompt_is_not_sent_again(create: Any, client: httpx.Client) -> None:
    """With a matching `ETag`, an unchanged prompt is a 304 without a body; a changed one is sent again."""
    prompt = create(title="Hi")
    tag = live(client, "hi").headers["ETag"]
    for candidate in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        unchanged = live(client, "hi", {"If-None-Match": candidate})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)
    assert live(client, "hi", {"If-None-Match": '"other"'}).status_code == 200
    client.put(f"/prompts/{prompt['id']}", json={"content": "new"})
    changed = live(client, "hi", {"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
