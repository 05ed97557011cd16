"""Every operation of the API with a request that works: what it needs is created on the emulator first."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from enprompta.emulator import Emulator, openapi_document
from enprompta.models import WorkflowStep
from enprompta.testing import EXAMPLES
from enprompta.workbench.sending import Draft

if TYPE_CHECKING:
    from enprompta import AsyncEnprompta
    from enprompta.workbench.session import JSON

_RECEIVER = "http://127.0.0.1:9/hook"  # the discard port: nothing listens there
_POLL = 0.05
_MAX_POLLS = 100


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the OpenAPI document."""

    id: str
    tag: str
    method: str
    path: str
    """Path with its parameters in braces."""
    summary: str
    description: str
    example: JSON | None
    """A body, by the document; None if it takes none."""


@lru_cache(maxsize=1)
def operations() -> tuple[Operation, ...]:
    """List the operations of the API, in the order of the document."""
    document = openapi_document()
    schemas = document["components"]["schemas"]
    return tuple(
        Operation(
            id=one["operationId"],
            tag=(one.get("tags") or ["other"])[0],
            method=method.upper(),
            path=path,
            summary=one.get("summary", ""),
            description=one.get("description", ""),
            example=schemas[_body_schema(one)]["examples"][0] if "requestBody" in one else None,
        )
        for path, item in document["paths"].items()
        for method, one in item.items()
    )


def _body_schema(operation: JSON) -> str:
    return operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]


async def prepare(operation: Operation, client: AsyncEnprompta, *, creates: bool) -> Draft:
    """Return a request for an operation; what it needs is created, or stays in braces in its path, to be filled in.

    Raises:
        EnpromptaError: An object could not be created.
    """
    ids: dict[str, str] = {}
    if creates:
        resource, _, verb = operation.id.partition(".")
        maker = _MAKERS.get(resource)
        ids = {} if maker is None or "{" not in operation.path else await maker(client, verb)
    path = operation.path
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    body = await _body(operation, client, creates=creates)
    text = "" if body is None else json.dumps(body, indent=2)
    return Draft(operation.method, path, _QUERIES.get(operation.id, ""), text)


_QUERIES = {"executions.stats": "groupBy=day", "usage.history": "groupBy=day", "health.get": "detailed=true"}
_CONTENT: JSON = {"title": "Greeting", "content": "Hello {{name}}", "tags": ["example"]}
_BODIES: dict[str, JSON] = {  # where the document's example does not fit what is created
    "prompts.create": {**_CONTENT, "description": "Greets a person", "category": "examples"},
    "prompts.execute": {"variables": {"name": "Ada"}, "options": {"temperature": 0.2}},
    "workflows.execute": {"input": {"name": "Ada"}},
    "webhooks.create": {"name": "My receiver", "url": _RECEIVER, "events": sorted(EXAMPLES)},
}


async def _body(operation: Operation, client: AsyncEnprompta, *, creates: bool) -> JSON | None:
    if operation.id == "workflows.create":
        prompt_id = (await client.prompts.create(**_CONTENT)).id if creates else "pmt_…"
        return {"name": "Greet", "steps": _steps(prompt_id)}
    if operation.id == "oauth.token":
        known = Emulator.clients.team
        pair = (known.client_id, known.client_secret) if creates else ("…", "…")
        return {"grant_type": "client_credentials", "client_id": pair[0], "client_secret": pair[1]}
    return _BODIES.get(operation.id, operation.example)


def _steps(prompt_id: str, **more: str) -> list[JSON]:
    return [{"id": "greet", "promptId": prompt_id, "variables": {"name": "{{input.name}}"}, **more}]


async def _prompt(client: AsyncEnprompta, verb: str) -> dict[str, str]:
    prompt = await client.prompts.create(**_CONTENT)
    return {"slug": prompt.slug or prompt.id} if verb == "get_live" else {"id": prompt.id}


async def _execution(client: AsyncEnprompta, _: str) -> dict[str, str]:
    prompt = await client.prompts.create(**_CONTENT)
    return {"id": (await client.prompts.execute(prompt.id, variables={"name": "Ada"})).id}


async def _template(client: AsyncEnprompta, _: str) -> dict[str, str]:
    return {"id": (await client.templates.list(limit=1)).data[0].id}


async def _workflow(client: AsyncEnprompta, verb: str) -> dict[str, str]:
    prompt = await client.prompts.create(**_CONTENT)
    slow = {"provider": "echo", "model": "slow"} if verb == "executions.cancel" else {}  # still runs when it is sent
    steps = [WorkflowStep.model_validate(one) for one in _steps(prompt.id, **slow)]
    workflow = await client.workflows.create(name="Greet", steps=steps)
    if verb in {"executions.get", "executions.cancel"}:
        run = await client.workflows.execute(workflow.id, input={"name": "Ada"})
        return {"id": workflow.id, "executionId": run.id}
    return {"id": workflow.id}


async def _team(client: AsyncEnprompta, verb: str) -> dict[str, str]:
    team = await client.teams.create(name="Writers")
    if verb in {"members.update", "members.remove"}:
        member = await client.teams.add_member(team.id, email="ada@example.com", role="MEMBER")
        return {"id": team.id, "userId": str(member.user_id)}
    if verb == "leave":  # the only owner cannot leave: another one is needed
        owner = (await client.teams.list_members(team.id)).data[0]
        await client.teams.add_member(team.id, email="ada@example.com", role="OWNER")
        await client.teams.update_member(team.id, str(owner.user_id), role="MEMBER")
    return {"id": team.id}


async def _webhook(client: AsyncEnprompta, verb: str) -> dict[str, str]:
    webhook = await client.webhooks.create(name="My receiver", url=_RECEIVER, events=["prompt.executed"])
    if verb != "deliveries.retry":
        return {"id": webhook.id}
    delivery = await client.webhooks.test(webhook.id)
    for _ in range(_MAX_POLLS):  # a delivery that is being sent cannot be retried
        page = await client.webhooks.list_deliveries(webhook.id, limit=1)
        if page.data[0].attempts:
            break
        await asyncio.sleep(_POLL)
    return {"id": webhook.id, "deliveryId": delivery.id}


async def _trace(client: AsyncEnprompta, _: str) -> dict[str, str]:
    return {
        "id": (await client.traces.record(provider="openai", model="gpt-4o", input="Hello", output="Hello!")).trace_id
    }


_MAKERS = {
    "traces": _trace,
    "prompts": _prompt,
    "executions": _execution,
    "templates": _template,
    "workflows": _workflow,
    "teams": _team,
    "webhooks": _webhook,
}
