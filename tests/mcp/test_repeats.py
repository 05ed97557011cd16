"""A tool call that a client sends again is carried out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp_types import CallToolRequestParams, Implementation

from enprompta import AsyncEnprompta
from enprompta.mcp import ServerOptions, budgets, create_server
from enprompta.mcp.budgets import CallRegistry, CountBudget, ToolCall

if TYPE_CHECKING:
    from enprompta import Enprompta
    from enprompta.emulator import Emulator


class Context:
    """The parts of a request that the handler reads."""

    def __init__(self, request_id: object, *, connection: object = None, session: str | None = None) -> None:
        self.request_id = request_id
        self.lifespan_context = connection
        self.request = (
            None if session is None else type("Request", (), {"headers": {"mcp-session-id": session or None}})
        )
        info = Implementation(name="editor", version="1")
        self.session = type("Session", (), {"client_params": type("Params", (), {"client_info": info})})


CALL = CallToolRequestParams(name="execute_prompt", arguments={"prompt": "hello"})


@pytest.mark.parametrize(
    ("contexts", "credits_used"),
    [
        ((Context(1, connection="a"), Context(1, connection="a")), 1),
        ((Context(1, connection="a"), Context(2, connection="a")), 2),
        ((Context(1, connection="a"), Context(1, connection="b")), 2),
        ((Context(1, session="a"), Context(1, session="a")), 1),
        ((Context(1, session="a"), Context(1, session="b")), 2),
        ((Context(1, session=""), Context(1, session="")), 1),
        ((Context("x", session=""), Context("y", session="")), 2),
    ],
)
def test_a_request_with_the_same_id_is_charged_once(
    run: Any, service: Emulator, account: Enprompta, contexts: Any, credits_used: int
) -> None:
    """The same id on the same connection repeats a call, also while the first is under way; another id does not."""
    account.prompts.create(title="Hello", content="x")

    async def scenario() -> None:
        results: list[Any] = []
        async with AsyncEnprompta(api_key=service.keys.enterprise, base_url=service.url, limiter=None) as client:
            server = create_server(client, ServerOptions(allow=["execute"], max_executions=2))
            handler = server.get_request_handler("tools/call").handler

            async def call(context: Any) -> None:
                results.append(await handler(context, CALL))

            async with anyio.create_task_group() as tasks:
                for context in contexts:
                    tasks.start_soon(call, context)
            used = (await client.usage.get()).tokens.used
        assert used == credits_used
        assert len({one.structured_content["id"] for one in results}) == credits_used
        assert min(one.structured_content["executions_left"] for one in results) == 2 - credits_used

    run(scenario)


def test_a_refusal_is_refunded_unless_it_may_have_been_carried_out() -> None:
    """A refused call is refunded once; one whose first attempt may have succeeded is not."""
    budget = CountBudget(2, what="executions", option="--max-executions")
    refused, lost = ToolCall(), ToolCall(is_done=True)
    budget.refund(refused)
    for call in (refused, lost):
        budget.reserve(call)
        budget.refund(call)
    assert budget.remaining == 1


def test_old_calls_are_forgotten(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is recognized for its lifetime, and while it is one of the most recent ones."""
    monkeypatch.setattr(budgets, "MAX_CALLS", 2)

    async def scenario() -> None:
        calls = CallRegistry()
        first = calls.call_for("a")
        assert calls.call_for("a") is first
        calls.call_for("b")
        calls.call_for("c")
        assert calls.call_for("a") is not first
        c = calls.call_for("c", lifetime=60)
        assert calls.call_for("c", lifetime=60) is c
        await anyio.sleep(0.002)
        assert calls.call_for("c", lifetime=0.001) is not c

    run(scenario)
