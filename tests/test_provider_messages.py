"""Messages for the packages of providers: their types, their roles, and texts that survive their templates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enprompta import TemplateError
from enprompta.cache.fallback import as_prompt
from enprompta.cache.keys import PromptKey
from enprompta.errors import ConfigurationError
from enprompta.models import LiveMessage, LivePrompt, MessagePlaceholder, Prompt, Template

IMAGE = {"type": "image_url", "image_url": {"url": "https://cdn.test/{{pic}}.png", "detail": "low"}}
PLAIN = {"type": "image_url", "image_url": {"url": "https://cdn.test/q.png"}}
RAW: dict[str, Any] = {
    "id": "p",
    "slug": "chat",
    "messages": [
        {"role": "system", "content": 'Be {{tone}}. {"a": {b}} {{ }} {'},
        {"type": "placeholder", "name": "history"},
        {"role": "user", "content": [{"type": "text", "text": "Look, {{user.name}}: {x}"}, IMAGE]},
    ],
    "variables": {"tone": "kind", "history": []},
}
VALUES = {"history": [{"role": "assistant", "content": "yo {{tone}}"}], "user.name": "Ada {", "pic": "q"}


def conversation(*messages: Any) -> LivePrompt:
    """A prompt with these messages."""
    return LivePrompt.model_validate({"id": "p", "messages": list(messages)})


def test_openai() -> None:
    """Variables are filled in, also in parts; the history is inserted as it is."""
    assert LivePrompt.model_validate_json(json.dumps(RAW)).to_openai(VALUES) == [
        {"role": "system", "content": 'Be kind. {"a": {b}} {{ }} {'},
        {"role": "assistant", "content": "yo {{tone}}"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look, Ada {: {x}"},
                {"type": "image_url", "image_url": {"url": "https://cdn.test/q.png", "detail": "low"}},
            ],
        },
    ]


def test_anthropic() -> None:
    """The system prompt is apart, and images have Anthropic's form."""
    live = LivePrompt.model_validate(RAW)
    history = [{"role": "human", "content": "hi"}, LiveMessage(role="ai", content="yo")]
    assert live.to_anthropic({**VALUES, "history": history}, tone="terse") == {
        "system": 'Be terse. {"a": {b}} {{ }} {',
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yo"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look, Ada {: {x}"},
                    {"type": "image", "source": {"type": "url", "url": "https://cdn.test/q.png"}},
                ],
            },
        ],
    }


def test_texts_are_one_message_of_the_user() -> None:
    """Prompts, templates and live prompts of one text have the same conversions."""
    text = "Say {{word}} {"
    for one in (
        Prompt(id="p", title="t", content=text),
        Template(id="p", title="t", content=text),
        LivePrompt(id="p", content=text),
    ):
        assert one.to_openai(word="hi") == [{"role": "user", "content": "Say hi {"}]
        assert one.to_anthropic(word="hi") == {"messages": [{"role": "user", "content": "Say hi {"}]}
        assert one.to_langchain() == [("human", "Say {word} {{")]
        with pytest.raises(TemplateError, match="Missing variables: 'word'"):
            one.to_openai()


texts = st.text(
    alphabet=st.one_of(st.sampled_from('{}"\\:[]!.%$ \n'), st.characters(exclude_categories=["Cs"])), max_size=40
)
pieces = st.lists(
    st.one_of(texts, st.sampled_from(["{{a}}", "{{ b.c }}", "{{first-name}}", "{{ 1 }}", "{{self}}", "{{}}"])),
    max_size=8,
)
NAMES = {"a": "a", "b.c": "b_c", "first-name": "first-name", "1": "_1", "self": "_self"}


@settings(deadline=None)
@given(st.lists(pieces, min_size=1, max_size=3), st.lists(texts, min_size=5, max_size=5))
def test_langchain_renders_the_same(contents: list[list[str]], values: list[str]) -> None:
    """LangChain's own template, filled with any values, gives the texts that `render_messages` gives."""
    prompts = pytest.importorskip(
        "langchain_core.prompts", reason="langchain-core is not installed (it is in `.[dev]`)"
    )
    from enprompta import templating

    given_values = dict(zip(NAMES, values, strict=True))
    found = ["".join(one) for one in contents]
    live = conversation(*({"role": "user", "content": one} for one in found))
    used = {name: given_values.get(name, "x") for one in found for name in templating.variables(one)}
    template = prompts.ChatPromptTemplate.from_messages(live.to_langchain())
    known = {NAMES.get(name, name): value for name, value in used.items()}
    if used.keys() <= NAMES.keys():
        rendered = [message.content for message in template.format_messages(**known)]
        assert rendered == [message.content for message in live.render_messages(used)]


def test_langchain_takes_conversations() -> None:
    """Placeholders, images and roles arrive; names without dots are unique."""
    prompts = pytest.importorskip(
        "langchain_core.prompts", reason="langchain-core is not installed (it is in `.[dev]`)"
    )
    live = LivePrompt.model_validate(RAW)
    template = prompts.ChatPromptTemplate.from_messages(live.to_langchain())
    assert set(template.input_variables) == {"history", "tone", "user_name", "pic"}
    messages = template.format_messages(tone="kind", history=[("ai", "yo {tone}")], user_name="Ada {", pic="q")
    expected = live.render_messages(VALUES)
    assert [one.type for one in messages] == ["system", "ai", "human"]
    assert messages[0].content == expected[0].content
    assert messages[2].content == expected[2].content
    both = LivePrompt(id="p", content="{{a.b}} {{a_b}} {{a_b_2}} {{12}}")
    assert both.to_langchain() == [("human", "{a_b_3} {a_b} {a_b_2} {_12}")]
    own = prompts.ChatPromptTemplate.from_messages(LivePrompt(id="p", content="{{self}}").to_langchain())
    assert own.format_messages(_self="x")[0].content == "x"
    optional = conversation({"role": "placeholder", "name": "h", "optional": True})
    assert optional.to_langchain() == [("placeholder", ["{h}", True])]
    assert optional.render_messages() == []
    assert prompts.ChatPromptTemplate.from_messages(optional.to_langchain()).format_messages() == []


@pytest.mark.parametrize(
    ("method", "messages", "message"),
    [
        (
            "to_openai",
            [{"role": "wizard", "content": "x"}],
            "message 0 has the role 'wizard', which OpenAI does not have",
        ),
        ("to_openai", [{"role": "tool", "content": "x"}], "no tool_call_id"),
        ("to_anthropic", [{"role": "tool", "content": "x"}], "which Anthropic does not have: use system, developer"),
        ("to_anthropic", [{"role": "assistant", "content": "x"}], "requires that the user begins"),
        ("to_anthropic", [{"role": "system", "content": "x"}], "has no message of the user"),
        (
            "to_anthropic",
            [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}],
            "before all others only",
        ),
        (
            "to_anthropic",
            [{"role": "system", "content": [PLAIN]}, {"role": "user", "content": "x"}],
            "part of type 'image_url'",
        ),
        ("to_anthropic", [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "without a url"),
        (
            "to_anthropic",
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:x"}]}],
            "invalid data:",
        ),
        (
            "to_anthropic",
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,A"}]}],
            "invalid data:",
        ),
        ("to_langchain", [{"role": "tool", "content": "x"}], "a LangChain template does not have"),
    ],
)
def test_roles_and_parts_are_checked(method: str, messages: list[Any], message: str) -> None:
    """Messages that a provider would refuse are refused locally, with the number of the message."""
    live = LivePrompt.model_construct(
        id="p", variables={}, messages=[LiveMessage.model_construct(**one) for one in messages]
    )
    with pytest.raises(TemplateError, match=message):
        getattr(live, method)()


def test_parts_of_either_provider_are_converted() -> None:
    """Images in base64, by URL and as plain text; parts of other types, and fields of messages, pass unchanged."""
    data = "data:image/png;base64,aGk="
    audio = {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}, "n": 1}
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    live = conversation(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": data}, audio]},
    )
    assert live.to_openai()[2]["content"] == [{"type": "image_url", "image_url": {"url": data}}, audio]
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert live.to_anthropic() == {"system": blocks, "messages": [{"role": "user", "content": [block, audio]}]}
    back = conversation({"role": "user", "content": [block, {"type": "image", "source": {"type": "url", "url": "u"}}]})
    assert back.to_openai()[0]["content"] == [  # type: ignore[index] # any of its messages
        {"type": "image_url", "image_url": {"url": data}},
        {"type": "image_url", "image_url": {"url": "u"}},
    ]
    other = {"type": "image", "source": {"type": "file", "file_id": "f"}}
    assert conversation({"role": "user", "content": [other]}).to_openai()[0]["content"] == [other]
    tool = {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "sum", "unknown": 1}
    assert conversation(tool).to_openai() == [{"role": "tool", "content": "42", "tool_call_id": "c1", "name": "sum"}]


CALLING: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "sum", "arguments": "{}"}}],
}


def test_a_message_that_calls_tools_has_no_content() -> None:
    """Messages with calls, as OpenAI returns them, are kept in a prompt, a history and a fallback."""
    expected = {**CALLING, "content": ""}
    answer = {"role": "tool", "content": "42", "tool_call_id": "c1"}
    assert conversation(CALLING, answer).to_openai() == [expected, answer]
    without = {name: value for name, value in CALLING.items() if name != "content"}
    history = [without, answer]
    assert conversation({"type": "placeholder", "name": "h"}).to_openai(h=history) == [expected, answer]
    assert as_prompt(history, PromptKey("chat", "production", None)).to_openai() == [expected, answer]
    older = {"role": "assistant", "content": None, "function_call": {"name": "sum", "arguments": "{}"}}
    assert conversation(older).to_openai() == [{**older, "content": ""}]


@pytest.mark.parametrize("method", ["to_anthropic", "to_langchain"])
def test_calls_of_tools_are_not_lost(method: str) -> None:
    """A conversion that would leave out calls of tools is refused."""
    with pytest.raises(TemplateError, match=r"message 1 calls tools in OpenAI's form"):
        getattr(conversation({"role": "user", "content": "x"}, CALLING), method)()


def test_placeholders_are_typed_and_kept() -> None:
    """Both forms are read, in JSON too; a prompt is the same after it was written and read."""
    live = LivePrompt.model_validate_json(json.dumps(RAW))
    (place,) = [one for one in live.messages or [] if isinstance(one, MessagePlaceholder)]
    assert (place.name, place.optional, place.role) == ("history", None, "placeholder")
    written = live.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert LivePrompt.model_validate(written) == live
    (plain,) = conversation({"role": "placeholder", "content": "{{x}}"}).messages or []
    assert type(plain) is LiveMessage
    assert written["messages"][2] == RAW["messages"][2]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (None, "Missing messages: 'history'"),
        ("hi", "must be a list of messages with role and content, not str"),
        ({"role": "user", "content": "x"}, "not dict"),
        (3, "not int"),
        ([{"role": "user"}], "item 0 is not one"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "item 0 is not one"),
        ([{"role": "user", "content": [3]}], "item 0"),
        ([{"role": "user", "content": [{"text": "x"}]}], "item 0"),
        ([5], "item 0"),
        ([MessagePlaceholder(name="x")], "item 0"),
        ([{"type": "placeholder", "name": "x"}], "item 0"),
    ],
)
def test_what_is_no_history_is_refused(history: Any, message: str) -> None:
    """The error names the placeholder and the item."""
    live = conversation({"type": "placeholder", "name": "history"})
    with pytest.raises(TemplateError, match=message):
        live.render(history=history)


def test_fallbacks_may_have_parts_and_placeholders() -> None:
    """A list of messages as a fallback takes what live prompts have; anything else is refused."""
    key = PromptKey("chat", "production", None)
    live = as_prompt([*RAW["messages"]], key)
    assert live.render_messages({**VALUES, "tone": "kind", "history": []})[0].role == "system"
    nested = as_prompt([{"role": "user", "content": [{"type": "x", "deep": [{"text": "{{a}}", "n": 3}]}]}], key)
    assert nested.render_messages(a="b")[0].content == [{"type": "x", "deep": [{"text": "b", "n": 3}]}]
    with pytest.raises(ConfigurationError, match="must be a string, a list of messages"):
        as_prompt([{"role": "user", "content": 3}], key)
