"""Tools: what they return, what they refuse, what they cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import MCPError
from mcp_types import INVALID_PARAMS

from enprompta.mcp import results

if TYPE_CHECKING:
    from enprompta import Enprompta
    from enprompta.emulator import Emulator
    from enprompta.models import Prompt

READING = ["search_prompts", "get_prompt", "prompt_versions", "list_executions", "get_execution", "usage"]


@pytest.fixture
def prompt(account: Enprompta) -> Prompt:
    """A prompt with one variable."""
    return account.prompts.create(title="Welcome mail", content="Hello {{name}}", tags=["mail"], category="mails")


def text_of(result: Any) -> str:
    """Return the text of a tool result."""
    (content,) = result.content
    return content.text


async def ok(client: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; its structured content, which the text repeats."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert json.loads(text_of(result)) == result.structured_content
    return result.structured_content


async def refused(client: Any, tool: str, **arguments: Any) -> str:
    """Call a tool that fails; the text of the error."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


@pytest.mark.parametrize(
    ("allow", "more"),
    [
        ([], []),
        (["execute"], ["execute_prompt"]),
        (["write"], ["create_prompt", "update_prompt"]),
        (["write", "execute"], ["execute_prompt", "create_prompt", "update_prompt"]),
    ],
)
def test_tools_are_read_only_unless_more_is_allowed(run: Any, serve: Any, allow: list[str], more: list[str]) -> None:
    """Each permission adds its tools, whose annotations say that they change something; all have valid schemas."""

    async def scenario() -> None:
        async with serve(allow=allow) as client:
            tools = (await client.list_tools()).tools
        assert [one.name for one in tools] == READING + more
        for tool in tools:
            assert tool.annotations.read_only_hint is (tool.name in READING)
            assert tool.annotations.destructive_hint is (tool.name == "update_prompt")
            for schema in (tool.input_schema, tool.output_schema):
                Draft202012Validator.check_schema(schema)
                assert schema["type"] == "object"

    run(scenario)


def test_prompts_are_searched_and_read(run: Any, serve: Any, account: Enprompta, prompt: Prompt) -> None:
    """Search returns summaries in pages, `get_prompt` the text; a prompt is named by its id or its MCP name."""
    account.prompts.create(title="Other", content="x")

    async def scenario() -> None:
        async with serve() as client:
            page = await ok(client, "search_prompts", query="Hello")
            assert page["prompts"] == [
                {
                    "id": prompt.id, "name": None, "title": "Welcome mail", "description": None, "category": "mails",
                    "tags": ["mail"], "version": 1, "variables": ["name"],
                }
            ]  # fmt: skip
            page = await ok(client, "search_prompts", limit=1)
            last = await ok(client, "search_prompts", limit=1, cursor=page["next_cursor"])
            assert last["next_cursor"] is None
            assert {one["title"] for one in page["prompts"] + last["prompts"]} == {"Welcome mail", "Other"}
            assert (await ok(client, "search_prompts", category="none"))["prompts"] == []
            found = await ok(client, "get_prompt", prompt="welcome-mail")
            assert found == await ok(client, "get_prompt", prompt=prompt.id)
            assert (found["content"], found["content_length"], found["name"]) == ("Hello {{name}}", 14, "welcome-mail")
            assert found["variables"][0]["name"] == "name"
            assert (await ok(client, "get_prompt", prompt=prompt.id, offset=6))["content"] == "{{name}}"

    run(scenario)


def test_versions_of_labels(run: Any, serve: Any, account: Enprompta, service: Emulator, prompt: Prompt) -> None:
    """The newest version is compared with what each label points at; a label that is not set has none."""
    service.set_label(prompt.id, "stable", 1)
    account.prompts.update(prompt.id, content="Bye")
    service.set_label(prompt.id, "canary", 2)

    async def scenario() -> None:
        async with serve() as client:
            for reference in (prompt.id, "welcome-mail"):
                found = await ok(client, "prompt_versions", prompt=reference, labels=["stable", "canary", "none"])
                assert (found["newest"], found["labels"]) == (2, [
                    {"label": "stable", "version": 1, "is_newest": False},
                    {"label": "canary", "version": 2, "is_newest": True},
                    {"label": "none", "version": None, "is_newest": False},
                ])  # fmt: skip
            assert "pmt_none" in await refused(client, "prompt_versions", prompt="pmt_none")

    run(scenario)


def test_executions_and_usage(run: Any, serve: Any, account: Enprompta, prompt: Prompt) -> None:
    """Executions are listed and read, and usage shows credits."""
    execution = account.prompts.execute(prompt.id, variables={"name": "Ada"})

    async def scenario() -> None:
        async with serve() as client:
            page = await ok(client, "list_executions", prompt="welcome-mail", start_date="2020-01-01")
            assert [one["id"] for one in page["executions"]] == [execution.id]
            assert page["executions"][0]["output_preview"] == execution.output[: results.PREVIEW]
            assert (await ok(client, "list_executions", end_date="2020-01-01"))["executions"] == []
            found = await ok(client, "get_execution", execution_id=execution.id, offset=3)
            assert (found["output"], found["cost_usd"]) == (execution.output[3:], execution.cost)
            assert found["variables"] == {"name": "Ada"}
            assert (await ok(client, "usage"))["credits_used"] == 1

    run(scenario)


def test_a_failed_execution_is_an_error(run: Any, serve: Any, service: Emulator, prompt: Prompt) -> None:
    """An execution that failed is read like any other; executing a prompt whose provider fails is a tool error."""
    failed = {"id": "exe_1", "status": "failed", "output": None, "error": "no such model"}
    service.faults.add("/executions/exe_1", status=200, body={"success": True, "data": failed})
    service.faults.add("/prompts/*/execute", status=200, body={"success": True, "data": failed})

    async def scenario() -> None:
        async with serve(allow=["execute"]) as client:
            found = await ok(client, "get_execution", execution_id="exe_1")
            assert (found["output"], found["output_length"], found["error"]) == (None, 0, "no such model")
            text = await refused(client, "execute_prompt", prompt=prompt.id, variables={"name": "x"})
            assert text == f"The execution exe_1 of prompt {prompt.id} failed: no such model"

    run(scenario)


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("get_prompt", {}, "prompt: Field required"),
        ("get_prompt", {"prompt": "x", "verson": 1}, "verson: Extra inputs are not permitted"),
        ("search_prompts", {"limit": 51}, "limit: Input should be less than or equal to 50"),
        ("prompt_versions", {"prompt": "x", "labels": ["l"] * 11}, "labels"),
        ("get_prompt", {"prompt": "pmt_none"}, "pmt_none"),
        ("get_execution", {"execution_id": "exe_none"}, "exe_none"),
    ],
)
def test_errors_are_results(run: Any, serve: Any, tool: str, arguments: dict[str, Any], text: str) -> None:
    """Wrong arguments, and errors of the service, are results that a model can read."""

    async def scenario() -> None:
        async with serve() as client:
            assert text in await refused(client, tool, **arguments)

    run(scenario)


def test_tools_that_are_not_allowed_are_unknown(run: Any, serve: Any) -> None:
    """A tool without its permission is not there."""

    async def scenario() -> None:
        async with serve() as client:
            with pytest.raises(MCPError, match="Unknown tool 'execute_prompt'") as caught:
                await client.call_tool("execute_prompt", {})
        assert caught.value.code == INVALID_PARAMS

    run(scenario)


def test_a_refused_key_is_never_shown(run: Any, serve: Any, service: Emulator) -> None:
    """An error that quotes the request's key is shown without it."""
    key = service.keys.enterprise
    service.faults.add("/usage", status=401, body={"error": {"message": f"bad key {key}"}})

    async def scenario() -> None:
        async with serve() as client:
            text = await refused(client, "usage")
        assert "bad key" in text
        assert key not in text

    run(scenario)


def test_execution_budget(run: Any, serve: Any, account: Enprompta, prompt: Prompt) -> None:
    """Executions stop at the budget; one that the service refused does not count."""

    async def scenario() -> None:
        async with serve(allow=["execute"], max_executions=2) as client:
            assert "name" in await refused(client, "execute_prompt", prompt="welcome-mail")
            assert "pmt_none" in await refused(client, "execute_prompt", prompt="pmt_none")
            first = await ok(client, "execute_prompt", prompt="welcome-mail", variables={"name": "Ada"}, temperature=0)
            assert (first["executions_left"], first["usd_left"]) == (1, None)
            second = await ok(client, "execute_prompt", prompt=prompt.id, variables={"name": "Ada"}, max_tokens=9)
            assert second["id"] != first["id"]
            text = await refused(client, "execute_prompt", prompt=prompt.id, variables={"name": "Ada"})
            assert "2 executions. Nothing was sent" in text
            assert "--max-executions" in text
        used = await anyio.to_thread.run_sync(account.usage.get)
        assert used.tokens.used == 2

    run(scenario)


def test_usd_budget(run: Any, serve: Any, account: Enprompta, prompt: Prompt) -> None:
    """No execution starts once the amount is spent, however many are asked for at once."""
    cost = account.prompts.execute(prompt.id, variables={"name": "Ada"}).cost or 0.0
    assert cost > 0

    async def scenario() -> None:
        outcomes: list[bool] = []

        async def execute(number: int) -> None:
            arguments = {"prompt": prompt.id, "variables": {"name": f"Ada {number}"}}
            outcomes.append((await client.call_tool("execute_prompt", arguments)).is_error)

        async with serve(allow=["execute"], max_usd=1.5 * cost) as client, anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(execute, number)
        assert sorted(outcomes) == [False, False, True, True, True]

    run(scenario)


@pytest.mark.parametrize("max_usd", [None, 5.0])
def test_a_lost_answer_is_counted(
    run: Any, serve: Any, service: Emulator, prompt: Prompt, max_usd: float | None
) -> None:
    """When the answer is lost, the execution counts; repeating it with its key returns its result, charged once."""
    service.faults.add("/prompts/*/execute", drop="after", times=1)

    async def scenario() -> None:
        arguments = {"prompt": prompt.id, "variables": {"name": "Ada"}, "idempotency_key": "mine"}
        async with serve(allow=["execute"], max_executions=1, max_usd=max_usd) as client:
            await refused(client, "execute_prompt", **arguments)
            assert "used up" in await refused(client, "execute_prompt", **{**arguments, "idempotency_key": "other"})
            again = await ok(client, "execute_prompt", **arguments)
            assert again == await ok(client, "execute_prompt", **arguments)
            assert again["executions_left"] == 0
            assert (await ok(client, "usage"))["credits_used"] == 1

    run(scenario)


def test_prompts_are_written_within_a_budget(run: Any, serve: Any, account: Enprompta, prompt: Prompt) -> None:
    """Creating and updating count together; a refused write does not; fields that are not given stay."""

    async def scenario() -> None:
        async with serve(allow=["write"], max_writes=3) as client:
            made = await ok(
                client, "create_prompt", title="New", content="{{a}}", tags=["t"], category="c", description="d",
                variables=[{"name": "a", "type": "select", "options": ["x", "y"]}],
            )  # fmt: skip
            assert (made["version"], made["tags"], made["category"], made["description"]) == (1, ["t"], "c", "d")
            assert "title" in await refused(client, "create_prompt", title="t" * 300, content="x")
            assert "pmt_none" in await refused(client, "update_prompt", prompt="pmt_none", title="x")
            changed = await ok(client, "update_prompt", prompt="new", content="{{a}}!")
            assert (changed["version"], changed["title"], changed["tags"]) == (2, "New", ["t"])
            assert changed["name"] == "new"
            everything = {"title": "T", "description": "D", "category": "C", "tags": [], "variables": [{"name": "a"}]}
            changed = await ok(client, "update_prompt", prompt=made["id"], **everything)
            assert (changed["title"], changed["tags"], changed["content"]) == ("T", [], "{{a}}!")
            text = await refused(client, "create_prompt", title="More", content="x")
            assert "3 writes" in text
            assert "--max-writes" in text

    run(scenario)


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "after"}])
def test_a_write_that_may_have_happened_counts(run: Any, serve: Any, service: Emulator, fault: dict[str, Any]) -> None:
    """An error of the server, or a lost answer, uses up the budget, because the prompt may be there."""
    service.faults.add("/prompts", method="POST", times=1, **fault)

    async def scenario() -> None:
        async with serve(allow=["write"], max_writes=1) as client:
            await refused(client, "create_prompt", title="New", content="x")
            assert "used up" in await refused(client, "create_prompt", title="Newer", content="x")

    run(scenario)


def test_results_are_bounded(run: Any, serve: Any, account: Enprompta) -> None:
    """A long text is cut, says so, and can be read on with `offset`; the result still matches its schema."""
    long = "".join(f"{number:05}" for number in range(2000))
    prompt = account.prompts.create(title="Long", content=long)

    async def scenario() -> None:
        async with serve(max_chars=1000) as client:
            first = await ok(client, "get_prompt", prompt=prompt.id)
            assert first["truncated"]
            assert len(json.dumps(first)) < 2000
            kept, _, rest = first["content"].partition("… [")
            assert long.startswith(kept)
            assert rest == f"{len(long) - len(kept)} more characters]"
            last = await ok(client, "get_prompt", prompt=prompt.id, offset=len(long) - 10)
            assert (last["content"], last["truncated"]) == (long[-10:], False)

    run(scenario)


def test_lists_and_objects_are_bounded() -> None:
    """Lists and free objects are cut at the limit, and at a depth; fields of models all stay."""
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    detail = results.ExecutionDetail(
        id="e" * 50, prompt_id=None, status="completed", output=None, output_length=0, error=deep, provider=None,
        model=None, tokens=1, cost_usd=1.5, latency_ms=None, created_at=None,
        variables={f"name{number}": ["v" * 10, number] for number in range(100)},
    )  # fmt: skip
    written = results.bounded(detail, 200)
    assert written["truncated"]
    assert 0 < len(written["variables"]) < 20
    assert str(written["error"]).count("[") <= results.MAX_DEPTH
    results.ExecutionDetail.model_validate(written)
    assert not results.bounded(results.PromptPage(prompts=[], next_cursor=None), 200)["truncated"]
