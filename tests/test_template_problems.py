"""Template syntax that stays in a text is reported with its place, wherever a prompt is written."""

from __future__ import annotations

import asyncio
import os
import time
import warnings
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import AsyncEnprompta, Enprompta, TemplateWarning
from enprompta.models import PromptVariable
from enprompta.templating import TemplateProblem, problems, variables
from enprompta.templating.template_problems import warn

URL = "https://api.test/api/v1"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("{{#if a}}x", (1, 1), "{{#if a}} stays in the text: it looks like a section"),
        ("x\n y{{/if}}", (2, 3), "the end of a section"),
        ("{{^a}}", (1, 1), "an inverted section"),
        ("{{! note }}", (1, 1), "a comment"),
        ("{{>header}}", (1, 1), "a partial"),
        ("{{& raw}}", (1, 1), "write it without the &"),
        ("{{=<% %>=}}", (1, 1), "a change of delimiters"),
        ("{{~a}}", (1, 1), "white-space control"),
        ("{{% if a %}}", (1, 1), "a block of Jinja"),
        ("{% if a %}", (1, 1), "a block of Jinja"),
        ("é{{a b}}", (1, 2), "a name has no spaces"),
        ("{{a|upper}}", (1, 1), "no filters"),
        ("{{.a}}", (1, 1), "parts are joined by dots"),
        ("{{ }}", (1, 1), "has no name"),
        ("Dear {{name, hello", (1, 6), "{{name, hello is not closed: write }} after the name"),
        ("Dear {{name\nand {{b}}", (1, 6), "{{name is not closed"),
        ("{{name}.", (1, 1), "has one closing brace: write {{name}}"),
        ("{{#if a", (1, 1), "is not closed, and stays in the text"),
        ("{{{html}}}", (1, 1), "becomes the value in braces"),
        ("{{else}}", (1, 1), "a variable named else"),
        ("{{" + "a " * 100 + "}}", (1, 1), "…"),
    ],
)
def test_what_stays_in_the_text(text: str, place: tuple[int, int], message: str) -> None:
    """Sections, comments, partials, helpers, filters and unclosed names are reported at their first brace."""
    found = problems(text)
    assert (found[0].line, found[0].column) == place
    assert message in found[0].message
    assert str(found[0]).startswith(f"line {place[0]}, column {place[1]}: ")


@pytest.mark.parametrize(
    "text",
    [
        "", "Hello {{name}}, {{ first-name }} {{user.name}} {{1}}", "{{name\n}}", '{"a": {"b": 1}}', '{"a": {{value}}}',
        "{{x}}}", "if (a) { b(); }", "{ {name} }", "${HOME} {name}", "{{", "t {{", "f(x) = {{ {", "}} {{", "{{\n{{\n",
    ],
)  # fmt: skip
def test_ordinary_texts_have_no_problems(text: str) -> None:
    """Variables, JSON, code and lone braces are fine."""
    assert problems(text) == []


def test_declarations_that_do_not_match() -> None:
    """Unused, missing, repeated and impossible names; defaults and options that do not fit; models and dicts alike."""
    declared: list[Any] = [
        PromptVariable(name="topic"),
        {"name": "unused"},
        {"name": "a b"},
        {"name": "topic", "type": "number", "default": "many"},
        {"name": "tone", "type": "select", "options": [], "default": "warm"},
        {"name": "odd", "default": {"no": "text"}},
        {"type": "text"},
    ]
    found = problems("{{topic}} {{tone}} {{new}} {unused} {topic}", declared)
    assert [str(one) for one in found] == [
        "line 1, column 28: {unused} stays in the text: write {{unused}}",
        "the variable 'unused' is declared, and the text does not use it",
        "the declared name 'a b' cannot be written in a text",
        "the variable 'topic' is declared twice: the last declaration counts",
        "the default of 'topic' does not match its declaration: Must be a number, not 'many'",
        "the select 'tone' has no options, so it accepts any text",
        "the variable 'odd' is declared, and the text does not use it",
        next(one.message for one in found if "'odd' does not match" in one.message),
        "the text uses 'new', which is not declared",
    ]
    assert problems("{{a}}", []) == []
    assert "…" in problems("x", [{"name": "n" * 100}])[0].message


@given(st.text(alphabet="{}#/!>ab |.-%\n", max_size=60), st.lists(st.sampled_from(["a", "b", "a b", ""]), max_size=3))
def test_any_text_is_examined(text: str, names: list[str]) -> None:
    """Nothing raises, places are in the text, and a problem at a brace means that braces are there."""
    for one in problems(text, [{"name": name} for name in names]):
        if one.line is not None and one.column is not None:
            assert text.split("\n")[one.line - 1][one.column - 1] == "{"


@pytest.mark.parametrize("piece", ["{", "}", "{{a", "{{ ", "{{#", "{a}", "{{a b}}", "\n{{!", "{%a", "{{" + "a" * 99])
def test_hostile_texts_take_linear_time(piece: str) -> None:
    """A megabyte of braces takes a few seconds at most; the short form reads a quarter of one."""
    size = 1_000_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 250_000
    text = piece * (size // len(piece))
    began = time.process_time()
    problems(text, [{"name": "a"}])
    variables(text)
    assert time.process_time() - began < 8 * size / 1_000_000


def answer(request: httpx.Request) -> httpx.Response:
    """Store any prompt."""
    return httpx.Response(201, json={"data": {"id": "p", "title": "t", "content": "c"}})


def test_create_and_update_warn_at_the_callers_line() -> None:
    """One warning per call, in both clients, with the place in the text; texts without problems are silent."""
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        client = Enprompta(api_key="ep_x", base_url=URL, limiter=None, http_client=http)
        with pytest.warns(
            TemplateWarning, match=r"line 1, column 1: \{\{#a\}\}.*; line 1, column 7: .* and 1 more"
        ) as it:
            client.prompts.create(title="t", content="{{#a}}" * 6)
        assert it[0].filename == __file__
        with pytest.warns(TemplateWarning, match="'b' is declared"):
            client.prompts.update("p", content="x", variables=[{"name": "b"}])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client.prompts.update("p", variables=[{"name": "b"}])
            client.prompts.create(title="t", content="{{a}} {", variables=[PromptVariable(name="a")])

    async def scenario() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            client = AsyncEnprompta(api_key="ep_x", base_url=URL, limiter=None, http_client=http)
            with pytest.warns(TemplateWarning) as found:
                await client.with_raw_response.prompts.create(title="t", content="{{a b}}")
            assert found[0].filename == __file__

    asyncio.run(scenario())


class Failing:
    """A declaration whose own code fails."""

    def __getattr__(self, name: str) -> object:
        raise LookupError(name)


def test_declarations_that_cannot_be_read_are_left_to_the_request() -> None:
    """The check of a text neither raises nor warns; the request names what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn("{{#a}}", [Failing()])
        warn("{{#a}}", [{"name": "a", "default": 1, "type": "select", "options": 5}])


def test_a_problem_is_a_value() -> None:
    """Problems without a place are their message; what is no text has none, because the request reports it."""
    warn(3, None)
    assert str(TemplateProblem(None, None, "m")) == "m"
