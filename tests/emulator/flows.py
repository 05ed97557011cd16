"""Short helpers to run prompts and workflows and read the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.emulator.receivers import until

if TYPE_CHECKING:
    import httpx

ENDED = {"completed", "failed", "cancelled"}


def data(response: httpx.Response, status: int = 200) -> Any:
    """The data of a response with the expected status."""
    assert response.status_code == status, response.text
    return response.json()["data"]


def details(response: httpx.Response) -> list[tuple[str, str]]:
    """The details of a 400: fields and messages."""
    assert response.status_code == 400, response.text
    return [(it["field"], it["message"]) for it in response.json()["error"]["details"]]


def make_prompt(client: httpx.Client, content: str = "<{{x}}>") -> str:
    """Create a prompt and return its id."""
    return data(client.post("/prompts", json={"title": "t", "content": content}), 201)["id"]


def make(client: httpx.Client, *steps: dict[str, Any], prompt: str | None = None) -> dict[str, Any]:
    """Create a workflow; a step without a prompt gets one that puts its variable x in brackets."""
    prompt = prompt or make_prompt(client)
    body = {"name": "Flow", "steps": [{"promptId": prompt, "model": "m", **step} for step in steps]}
    return data(client.post("/workflows", json=body), 201)


def step(id: str, x: str = "", *needs: str, **more: Any) -> dict[str, Any]:
    """A step with one variable."""
    return {"id": id, "variables": {"x": x}, "dependsOn": list(needs), **more}


def begin(client: httpx.Client, workflow: dict[str, Any], **inputs: Any) -> str:
    """Execute a workflow and return the path of its execution."""
    execution = data(client.post(f"/workflows/{workflow['id']}/execute", json={"input": inputs}), 202)
    assert execution["status"] == "pending"
    return f"/workflows/{workflow['id']}/executions/{execution['id']}"


def ended(client: httpx.Client, path: str) -> dict[str, Any]:
    """Wait until an execution has ended."""
    return until(lambda: next((it for it in [data(client.get(path))] if it["status"] in ENDED), None))


def statuses(execution: dict[str, Any]) -> dict[str, str]:
    """The status of each step."""
    return {it["stepId"]: it["status"] for it in execution["steps"]}


def completion(text: str) -> tuple[int, bytes]:
    """A response of a model server."""
    return 200, json.dumps({"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 10}}).encode()


def asked(request: dict[str, Any]) -> str:
    """The prompt that a model server received."""
    return request["body"]["messages"][0]["content"]


def subscribe(client: httpx.Client, url: str, *events: str) -> dict[str, Any]:
    """Create a webhook, subscribed to prompt executions by default."""
    return data(client.post("/webhooks", json={"name": "h", "url": url, "events": events or ["prompt.executed"]}), 201)


def run(client: httpx.Client, content: str = "x", **body: Any) -> dict[str, Any]:
    """Create a prompt and execute it."""
    return data(client.post(f"/prompts/{make_prompt(client, content)}/execute", json=body), 201)


def deliveries(client: httpx.Client, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """All deliveries of a webhook, newest first."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        answer = client.get(f"/webhooks/{webhook['id']}/deliveries", params=query).json()
        found += answer["data"]
        if not answer["pagination"]["has_more"]:
            return found
        query["cursor"] = answer["pagination"]["next_cursor"]


def only_delivery(client: httpx.Client, webhook: dict[str, Any], *states: str) -> dict[str, Any]:
    """Wait until the webhook's only delivery has one of these statuses."""
    return until(lambda: next((it for it in deliveries(client, webhook) if it["status"] in states), None))
