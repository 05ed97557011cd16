"""Prompts render their declared variables strictly."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from enprompta.errors import TemplateError
from enprompta.models import LiveMessage, LivePrompt, Prompt, Template
from enprompta.models.live_prompts import CacheInfo

DECLARED: Any = [{"name": "topic", "required": True}, {"name": "tone", "default": "calm"}]
KINDS: Any = [Prompt, Template]


@pytest.mark.parametrize("kind", KINDS)
class TestPromptsAndTemplates:
    def test_values_and_defaults(self, kind: Any) -> None:
        """Values are inserted as text, defaults apply, and inserted text is not parsed again."""
        prompt = kind(id="p", title="t", content="{{topic}} {{ tone }} {{}}", variables=DECLARED)
        assert prompt.render(topic="{{tone}}") == "{{tone}} calm {{}}"
        assert prompt.render(topic="x", tone="wild") == "x wild {{}}"

    def test_every_wrong_name_is_reported(self, kind: Any) -> None:
        """The error lists missing and unknown variables, with suggestions."""
        prompt = kind(id="p", title="t", content="{{topic}}", variables=DECLARED)
        with pytest.raises(
            TemplateError, match=r"Missing variables: 'topic'. Unknown .*did you mean 'topic'"
        ) as caught:
            prompt.render(topci="x")
        assert (caught.value.missing, caught.value.unknown) == (("topic",), ("topci",))

    def test_any_name_can_be_given(self, kind: Any) -> None:
        """Variables may be named `self` or `values`, and a mapping may hold names that are not Python identifiers."""
        prompt = kind(id="p", title="t", content="{{self}} {{values}} {{first-name}} {{a.b}}")
        given = {"first-name": "Ada", "a.b": 1, "self": "overruled"}
        assert prompt.render(given, self="me", values=True) == "me true Ada 1"

    def test_values_must_match_their_declared_type(self, kind: Any) -> None:
        """A value that does not match its declaration is rejected."""
        prompt = kind(id="p", title="t", content="{{n}}", variables=[{"name": "n", "type": "number"}])
        with pytest.raises(TemplateError, match="Must be a number"):
            prompt.render(n="many")


class TestLivePrompts:
    @pytest.mark.parametrize(
        "variables",
        [
            {"tone": "calm"},
            {"topic": {"type": "text", "required": True}, "tone": {"default": "calm"}},
            [{"name": "topic", "required": True}, {"name": "tone", "default": "calm"}],
            [{"name": "tone", "default": "calm"}, "noise"],
        ],
        ids=["defaults", "declarations by name", "declarations", "noise"],
    )
    def test_variables_as_the_service_returns_them(self, variables: Any) -> None:
        """Variables are declared as defaults by name, or as declarations."""
        prompt = LivePrompt(id="p", content="{{topic}} {{tone}}", variables=variables)
        assert prompt.render(topic="x") == "x calm"
        with pytest.raises(TemplateError, match="Missing variables: 'topic'"):
            prompt.render()

    def test_an_empty_default_is_empty_text(self) -> None:
        """A default marks an optional variable; null marks a required one."""
        assert LivePrompt(id="p", content="<{{a}}>", variables={"a": ""}).render() == "<>"
        with pytest.raises(TemplateError, match="Missing"):
            LivePrompt(id="p", content="<{{a}}>", variables={"a": None}).render()
        assert LivePrompt.model_validate({"id": "p", "content": "x", "variables": None}).render() == "x"

    def test_a_conversation(self) -> None:
        """Each message keeps its role and extra fields; a variable of one message is known to all."""
        told: Any = [{"role": "system", "content": "Be {{tone}}"}, {"role": "user", "content": "{{q}}", "name": "Ada"}]
        prompt = LivePrompt(id="p", slug="chat", messages=told)
        rendered = prompt.render(tone="kind", q="Why?")
        assert rendered == [
            LiveMessage(role="system", content="Be kind"),
            LiveMessage(role="user", content="Why?", name="Ada"),  # type: ignore[call-arg]
        ]
        assert prompt.messages is not None
        assert prompt.messages[0].content == "Be {{tone}}"
        with pytest.raises(TemplateError, match=r"'chat' is a conversation: use render_messages\(\)"):
            prompt.render_text(tone="kind", q="Why?")

    def test_a_text_as_a_conversation(self) -> None:
        """`render_messages` works for any prompt and returns messages; `render_text` returns a text."""
        prompt = LivePrompt(id="p", content="Hi {{self}}")
        assert prompt.render_text(self="Ada") == "Hi Ada"
        assert prompt.render_messages(self="Ada") == [LiveMessage(role="user", content="Hi Ada")]

    def test_nothing_to_render(self) -> None:
        """A prompt without text raises a clear error."""
        with pytest.raises(TemplateError, match="'p' has no text"):
            LivePrompt(id="p").render()


def test_cache_information_is_not_compared() -> None:
    """Prompts compare by content; a copy and a pickle keep the cache information."""
    prompt = LivePrompt(id="p", content="x", _meta={"a": 1})  # type: ignore[call-arg]
    served = prompt.with_cache_info(CacheInfo(7.0, is_stale=True, error=TemplateError("why")))
    for it in (served, pickle.loads(pickle.dumps(served)), served.model_copy(deep=True)):
        assert it == prompt
        assert (it.age, it.is_stale, it.is_fallback, str(it.error)) == (7.0, True, False, "why")
        assert it.model_dump() == prompt.model_dump()
    assert (prompt.age, prompt.is_stale, prompt.error) == (0.0, False, None)
