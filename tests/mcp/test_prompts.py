"""Prompts of the account as MCP prompts: names, arguments, rendering, completion, notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, PromptReference, ResourceTemplateReference

from enprompta.mcp import catalog, server
from enprompta.models import LiveMessage, Prompt

if TYPE_CHECKING:
    from enprompta import Enprompta
    from enprompta.emulator import Emulator

VARIABLES = [
    {"name": "name", "type": "text", "required": True, "description": "Whom to greet."},
    {"name": "tone", "type": "select", "options": ["warm", "formal", "very warm"], "default": "warm"},
    {"name": "shout", "type": "boolean", "required": False},
    {"name": "count", "type": "number", "required": True, "default": 2},
]
CONTENT = "Hello {{name}}, {{tone}} {{shout}} {{count}}"


def greeting(account: Enprompta, title: str = "Greeting mail") -> Prompt:
    """Create a prompt with every kind of variable."""
    return account.prompts.create(title=title, content=CONTENT, description="Says hello.", variables=VARIABLES)


def test_prompts_are_listed_with_their_arguments(run: Any, serve: Any, account: Enprompta) -> None:
    """A prompt is listed by the slug of its title, with every variable and whether it is required."""
    greeting(account)

    async def scenario() -> None:
        async with serve() as client:
            (prompt,) = (await client.list_prompts()).prompts
        assert (prompt.name, prompt.title, prompt.description) == ("greeting-mail", "Greeting mail", "Says hello.")
        assert [(one.name, one.required, one.description) for one in prompt.arguments] == [
            ("name", True, "Whom to greet"),
            ("tone", False, "One of: warm, formal, very warm. Default: warm"),
            ("shout", False, "A boolean"),
            ("count", False, "A number. Default: 2"),
        ]

    run(scenario)


def test_undeclared_variables_are_arguments() -> None:
    """A variable that only the text names is required; a declared one the text lacks is not."""
    prompt = Prompt.model_validate({
        "id": "p", "title": "t", "content": "{{a}} {{b}}", "variables": [{"name": "b"}, {"name": "c"}],
    })  # fmt: skip
    arguments = catalog.CatalogEntry("t", prompt, "t").described().arguments
    assert [(one.name, one.required, one.description) for one in arguments or []] == [
        ("b", True, None),
        ("c", False, None),
        ("a", True, None),
    ]


def test_names_are_unique_and_stable() -> None:
    """The oldest prompt of a title keeps the plain name; others, and titles without a slug, end with part of the id."""
    rows: list[dict[str, Any]] = [
        {"id": "pmt_bbbbbb2", "title": "Café au lait!", "createdAt": "2026-01-02T00:00:00"},
        {"id": "pmt_aaaaaa1", "title": "cafe au lait", "createdAt": "2026-01-01T00:00:00Z"},
        {"id": "pmt_cccccc3", "title": "こんにちは"},
        {"id": "pmt_dddddd4", "title": "Else", "slug": "cafe-au-lait-bbbbb2"},
        {"id": "x-1-dddddd4", "title": "cafe au lait", "slug": "cafe-au-lait-bbbbb2"},
        {"id": "y-1-dddddd4", "title": "cafe au lait", "slug": "cafe-au-lait-bbbbb2"},
    ]
    prompts = [Prompt.model_validate({"content": "", **row}) for row in rows]
    names = catalog.named(prompts)
    assert {name: (entry.prompt.id, entry.slug) for name, entry in names.items()} == {
        "cafe-au-lait-bbbbb2": ("pmt_dddddd4", "cafe-au-lait-bbbbb2"),
        "cafe-au-lait-bbbbb2-ddddd4": ("x-1-dddddd4", "cafe-au-lait-bbbbb2"),
        "y-1-dddddd4": ("y-1-dddddd4", "cafe-au-lait-bbbbb2"),
        "cafe-au-lait": ("pmt_aaaaaa1", "cafe-au-lait"),
        "pmt_bbbbbb2": ("pmt_bbbbbb2", "pmt_bbbbbb2"),  # the name with the end of its id is taken too
        "prompt-ccccc3": ("pmt_cccccc3", "pmt_cccccc3"),
    }
    assert catalog.named(reversed(prompts)) == names


def test_long_lists_are_paged(run: Any, serve: Any, account: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prompt is in exactly one page, and no more than `max_prompts` are offered."""
    monkeypatch.setattr(catalog, "PAGE_SIZE", 2)
    for number in range(6):
        account.prompts.create(title=f"Prompt {number}", content="x")

    async def scenario() -> None:
        async with serve(max_prompts=5) as client:
            names, cursor = [], None
            while True:
                page = await client.list_prompts(cursor=cursor)
                names += [one.name for one in page.prompts]
                cursor = page.next_cursor
                if cursor is None:
                    break
        assert len(names) == len(set(names)) == 5

    run(scenario)


def test_a_cursor_of_an_earlier_server_works(run: Any, serve: Any, account: Enprompta) -> None:
    """A client may send a cursor before the list is loaded."""
    for title in ("a", "b"):
        account.prompts.create(title=title, content="x")

    async def scenario() -> None:
        async with serve() as client:
            assert [one.name for one in (await client.list_prompts(cursor="a")).prompts] == ["b"]

    run(scenario)


def test_only_prompts_of_a_category_are_offered(run: Any, serve: Any, account: Enprompta) -> None:
    """`category` narrows the list."""
    account.prompts.create(title="In", content="x", category="mail")
    account.prompts.create(title="Out", content="x")

    async def scenario() -> None:
        async with serve(category="mail") as client:
            assert [one.name for one in (await client.list_prompts()).prompts] == ["in"]

    run(scenario)


def test_a_prompt_is_rendered(run: Any, serve: Any, account: Enprompta) -> None:
    """The newest version is fetched and filled in; an optional argument left empty counts as not given."""
    prompt = greeting(account)

    async def scenario() -> None:
        async with serve() as client:
            await client.list_prompts()
            await anyio.to_thread.run_sync(lambda: account.prompts.update(prompt.id, content="Bye {{name}} {{count}}"))
            result = await client.get_prompt(
                "greeting-mail", {"name": "{{Ada}}", "tone": "", "shout": "", "count": "3"}
            )
            assert [(one.role, one.content.text) for one in result.messages] == [("user", "Bye {{Ada}} 3")]
            assert result.description == "Says hello."
            assert result.meta == {server.PROMPT_ID: prompt.id, server.VERSION: 2} | (result.meta or {})
            for reference in (prompt.id, "Greeting mail"):
                assert (await client.get_prompt(reference, {"name": "Ada"})).messages[0].content.text == "Bye Ada 2"

    run(scenario)


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("greeting-mail", {}, "name"),
    ("greeting-mail", {"name": "Ada", "nme": "x"}, "nme"),
    ("greeting-mail", {"name": "Ada", "tone": "rude"}, "tone"),
    ("unknown", {}, "Prompt not found: 'unknown'"),
]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_wrong_arguments_are_named(run: Any, serve: Any, account: Enprompta, mode: str) -> None:
    """An error says which variable is missing, unknown or wrong, or that there is no prompt of this name."""
    greeting(account)

    async def scenario() -> None:
        async with serve(mode=mode) as client:
            for name, arguments, text in WRONG:
                with pytest.raises(MCPError, match=text) as caught:
                    await client.get_prompt(name, arguments)
                assert caught.value.code == INVALID_PARAMS

    run(scenario)


def test_a_labelled_prompt_is_served_as_it_is_live(run: Any, serve: Any, account: Enprompta, service: Emulator) -> None:
    """With a label, the version under the label is rendered, whatever is newer; without one set, the error says so."""
    prompt = account.prompts.create(title="Live one", content="old {{name}}")
    service.set_label(prompt.id, "stable", 1)
    account.prompts.update(prompt.id, content="new {{name}}")

    async def scenario() -> None:
        async with serve(label="stable") as client:
            result = await client.get_prompt("live-one", {"name": "Ada"})
            assert [(one.role, one.content.text) for one in result.messages] == [("user", "old Ada")]
            assert result.meta[server.VERSION] == 1
        async with serve(label="missing") as client:
            with pytest.raises(MCPError, match="missing") as caught:
                await client.get_prompt("live-one", {"name": "Ada"})
            assert caught.value.code == INTERNAL_ERROR

    run(scenario)


def test_messages_keep_their_roles(run: Any, serve: Any, account: Enprompta, service: Emulator) -> None:
    """A conversation keeps its messages; a role that MCP does not have becomes `user`, and is named in `_meta`."""
    account.prompts.create(title="Chat", content="{{name}}")
    messages = [
        {"role": "system", "content": "Be kind to {{name}}."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello {{name}}"},
    ]
    live = {"id": "x", "slug": "chat", "messages": messages, "variables": {}}
    service.faults.add("/api/sdk/prompts/chat", status=200, body=live)

    async def scenario() -> None:
        async with serve(label="production") as client:
            result = await client.get_prompt("chat", {"name": "Ada"})
        found = [(one.role, one.content.text, (one.content.meta or {}).get(server.ROLE)) for one in result.messages]
        assert found == [
            ("user", "Be kind to Ada.", "system"),
            ("user", "Hi", None),
            ("assistant", "Hello Ada", None),
        ]

    run(scenario)


def test_content_other_than_text_becomes_json() -> None:
    """Parts of a message, as dicts or models, are written as JSON; a value JSON does not have is written as text."""
    assert server.message("user", [{"type": "image_url"}]).content.text == '[{"type": "image_url"}]'
    parts = [LiveMessage(role="a", content="é"), {1j}]
    assert server.message("tool", parts).content.text == '[{"role": "a", "content": "é"}, "{1j}"]'


COMPLETIONS: list[tuple[str, str, list[str]]] = [
    ("tone", "", ["warm", "formal", "very warm"]),
    ("tone", "WA", ["warm", "very warm"]),
    ("tone", "rude", []),
    ("shout", "t", ["true"]),
    ("count", "", ["2"]),
    ("name", "", []),
    ("unknown", "", []),
]


def test_values_are_completed(run: Any, serve: Any, account: Enprompta) -> None:
    """Options, booleans and defaults are suggested: first those that start with the typed text."""
    greeting(account)

    async def scenario() -> None:
        async with serve() as client:
            reference = PromptReference(name="greeting-mail")
            for argument, typed, values in COMPLETIONS:
                found = (await client.complete(reference, {"name": argument, "value": typed})).completion
                assert (found.values, found.total, found.has_more) == (values, len(values), False)

    run(scenario)


def test_many_options_are_completed_up_to_the_limit(run: Any, serve: Any, account: Enprompta) -> None:
    """At most 100 values are sent, with the number of all."""
    options = [f"v{number}" for number in range(120)]
    variables = [{"name": "pick", "type": "select", "options": options}]
    account.prompts.create(title="Many", content="{{pick}}", variables=variables)

    async def scenario() -> None:
        async with serve() as client:
            found = (await client.complete(PromptReference(name="many"), {"name": "pick", "value": "v"})).completion
        assert (len(found.values), found.total, found.has_more) == (100, 120, True)

    run(scenario)


def test_only_prompts_are_completed(run: Any, serve: Any) -> None:
    """A reference to a resource, or to an unknown prompt, is an error."""

    async def scenario() -> None:
        async with serve() as client:
            for reference in (ResourceTemplateReference(uri="file:///{x}"), PromptReference(name="none")):
                with pytest.raises(MCPError) as caught:
                    await client.complete(reference, {"name": "x", "value": ""})
                assert caught.value.code == INVALID_PARAMS

    run(scenario)


def test_failures_of_the_service_are_errors_without_secrets(run: Any, serve: Any, service: Emulator) -> None:
    """Every prompt request reports what the SDK says, without the key."""
    service.faults.add("/prompts**", status=500)

    async def scenario() -> None:
        async with serve() as client:
            for call in (
                client.list_prompts,
                lambda: client.get_prompt("x"),
                lambda: client.complete(PromptReference(name="x"), {"name": "x", "value": ""}),
            ):
                with pytest.raises(MCPError, match="500") as caught:
                    await call()
                assert caught.value.code == INTERNAL_ERROR
                assert service.keys.enterprise not in str(caught.value)

    run(scenario)
