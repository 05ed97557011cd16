"""A program for the published client: every call it has on the resources of this API, each held to its answer.

Run as a separate program, for that client is imported as `enprompta` too:

    python published.py WHEEL ROOT_URL KEY CLIENT_ID CLIENT_SECRET

It prints, as JSON, the version it found, the methods there are and those that it called.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import sys
import time
from typing import Any

import pytest

WHEEL, URL, KEY, CLIENT_ID, CLIENT_SECRET = sys.argv[1:]
sys.path.insert(0, WHEEL)  # a wheel is a zip, and Python imports from one

import enprompta  # noqa: E402 (only now is it the published one)
from enprompta import types  # noqa: E402

CALLED: list[str] = []
RESOURCES = ("prompts", "executions", "templates", "teams", "webhooks")  # it has `traces` too, which are another API


def watch(client: Any) -> list[str]:
    """Note every call of a public method; give the names of all there are."""
    methods = [
        (name, method)
        for name in RESOURCES
        for method in dir(getattr(client, name))
        if not method.startswith("_") and callable(getattr(getattr(client, name), method))
    ]
    for name, method in methods:
        setattr(getattr(client, name), method, noted(f"{name}.{method}", getattr(getattr(client, name), method)))
    return [f"{name}.{method}" for name, method in methods]


def noted(name: str, function: Any) -> Any:
    """Wrap a method so that its calls are noted."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        CALLED.append(name)
        return function(*args, **kwargs)

    return call


def prompts(client: Any) -> str:
    """Prompts; gives one that is left."""
    made = client.prompts.create(
        title="Email Writer",
        content="Write an email about {{topic}}",
        description="Mail",
        category="mail",
        tags=["a"],
        variables=[{"name": "topic", "type": "text", "required": True}],
        visibility=types.PromptVisibility.PRIVATE,
        idempotency_key="published",
    )
    assert client.prompts.get(made.id) == made
    assert made.variables[0].name == "topic"
    changed = client.prompts.update(made.id, title="New", visibility=types.PromptVisibility.TEAM)
    assert (changed.title, changed.visibility) == ("New", types.PromptVisibility.TEAM)
    page = client.prompts.list(limit=1, search="email", category="mail")
    assert [it.id for it in page.data] == [made.id]
    other = client.prompts.create(title="Other", content="Plain")
    assert [it.id for batch in client.prompts.list_all() for it in batch] == [other.id, made.id]
    live = client.prompts.get_live("email-writer", label="production")
    assert (live.id, live.version.number, live.messages) == (made.id, "1", None)
    client.prompts.delete(other.id)
    with pytest.raises(enprompta.exceptions.NotFoundError):
        client.prompts.get(other.id)
    return str(made.id)


def executions(client: Any, prompt_id: str) -> None:
    """Executions of a prompt."""
    run = client.executions.execute(
        prompt_id,
        provider=types.AIProvider.OPENAI,
        model="gpt-4",
        variables={"topic": "tea"},
        options=types.ExecutionOptions(temperature=0.5, maxTokens=10),
        idempotency_key="published run",
    )
    assert run.output == "Write an email about tea"
    assert client.executions.get(run.id) == run
    page = client.executions.list(prompt_id=prompt_id, provider=types.AIProvider.OPENAI, start_date="2020-01-01")
    assert page.data == [run]
    assert list(client.executions.list_all(prompt_id=prompt_id)) == [[run]]


def templates(client: Any) -> None:
    """Templates, and a fork of one."""
    page = client.templates.list(limit=2)
    assert page.pagination.has_more
    template = client.templates.get(page.data[0].id)
    assert template == page.data[0]
    everything = [it.id for batch in client.templates.list_all() for it in batch]
    assert len(set(everything)) == page.pagination.total_count
    assert client.prompts.get(client.templates.fork(template.id)).title == template.title


def teams(client: Any, member_of: str) -> None:
    """Teams and members."""
    team = client.teams.create(name="Engineering", description="Builds")
    assert client.teams.get(team.id) == team
    assert client.teams.update(team.id, name="Eng").name == "Eng"
    ada = client.teams.add_member(team.id, "ada@example.com", role=types.TeamRole.ADMIN)
    assert client.teams.update_member_role(team.id, ada.user_id, types.TeamRole.VIEWER).role == types.TeamRole.VIEWER
    assert {it.email for it in client.teams.list_members(team.id).data} >= {"ada@example.com"}
    client.teams.remove_member(team.id, ada.user_id)
    assert {it.id for it in client.teams.list().data} == {team.id, member_of}
    client.teams.leave(member_of)
    client.teams.delete(team.id)
    assert client.teams.list().data == []


def webhooks(client: Any) -> None:
    """Webhooks and deliveries."""
    made = client.webhooks.create("Mine", "http://127.0.0.1:9/", ["prompt.executed"], description="Log")
    assert made.secret
    assert client.webhooks.update(made.id, name="Ours").name == "Ours"
    assert not client.webhooks.disable(made.id).is_active
    assert client.webhooks.enable(made.id).is_active
    assert [it.id for it in client.webhooks.list()] == [made.id]
    assert client.webhooks.get(made.id).name == "Ours"
    assert client.webhooks.test(made.id)["success"]
    for _ in range(1000):
        delivery = client.webhooks.list_deliveries(made.id, limit=5).data[0]
        if delivery.status == types.WebhookDeliveryStatus.FAILED:  # no server listens there
            break
        time.sleep(0.01)
    assert client.webhooks.retry_delivery(made.id, delivery.id).id == delivery.id
    secret = client.webhooks.rotate_secret(made.id)
    assert secret != made.secret
    digest = hmac.new(secret.encode(), b"{}", hashlib.sha256).hexdigest()
    assert client.webhooks.verify_signature("{}", f"sha256={digest}", secret)
    client.webhooks.delete(made.id)


def main() -> None:
    """Make all calls, with a key; then one with OAuth2."""
    with enprompta.Enprompta(api_key=KEY, base_url=URL) as client:
        methods = watch(client)
        assert client.health().status == types.HealthStatus.HEALTHY
        assert client.health(detailed=True).components
        (team,) = client.teams.list().data  # another account's
        executions(client, prompts(client))
        templates(client)
        teams(client, team.id)
        webhooks(client)
    with enprompta.Enprompta(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, base_url=URL) as client:
        assert client.prompts.list().pagination.total_count == 2
        with pytest.raises(enprompta.exceptions.ApiError) as caught:
            client.prompts.create(title="", content="x")
        assert caught.value.is_validation_error()
        assert caught.value.request_id
    sys.stdout.write(json.dumps({"file": enprompta.__file__, "methods": methods, "called": CALLED}))


main()
