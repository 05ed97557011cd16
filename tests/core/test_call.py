"""An id becomes one quoted path segment, whatever its characters."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import Call, ConfigurationError
from enprompta._core.call import check_id, path
from enprompta.models import Prompt, WorkflowExecution


@pytest.mark.parametrize(
    ("prompt_id", "quoted"),
    [
        ("pmt_1", "pmt_1"),
        ("prompt_abc-123.~", "prompt_abc-123.~"),
        ("../teams", "..%2Fteams"),
        ("a/b?x=1", "a%2Fb%3Fx%3D1"),
        ("a#b", "a%23b"),
        ("a b", "a%20b"),
        ("%2e%2e", "%252e%252e"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("{}", "%7B%7D"),
        ("{0.__class__}", "%7B0.__class__%7D"),
        ("żółw", "%C5%BC%C3%B3%C5%82w"),
        ("🐢", "%F0%9F%90%A2"),
        ("a\r\nHost: x", "a%0D%0AHost%3A%20x"),
        ("\0", "%00"),
        ("\\", "%5C"),
        ("a;b@c:d", "a%3Bb%40c%3Ad"),
    ],
)
def test_an_id_is_quoted_to_one_segment(prompt_id: str, quoted: str) -> None:
    """No character of an id has a meaning in the path."""
    assert path("/prompts/{}", prompt_id) == f"/prompts/{quoted}"


def test_several_ids_fill_in_their_order() -> None:
    """Each placeholder takes the next id."""
    assert path("/teams/{}/members/{}", "t/1", "u?2") == "/teams/t%2F1/members/u%3F2"


def test_an_empty_id_is_refused() -> None:
    """`delete("")` never sends `DELETE /prompts/`; the error names the path."""
    with pytest.raises(ConfigurationError, match=r"/prompts/\{\} is empty"):
        path("/prompts/{}", "")


class Step:
    """An object that also has the id of another one."""

    id = "s"
    prompt_id = "p"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "not None: leave it out, or pass an id"),
        (1, "not int: pass the id as text, such as prompt.id"),
        (True, "not bool: pass the id as text"),
        (b"pmt_1", "not bytes: decode it first"),
        (["pmt_1"], "not list: pass one id"),
        ({"id": "pmt_1"}, 'not dict: pass its id, such as prompt["id"]'),
        (object(), "not object: pass the id as text, such as prompt.id"),
        (Prompt(id="p", title="t", content="c"), "not Prompt: pass prompt.id"),
        (WorkflowExecution(id="w", workflow_id="v"), "not WorkflowExecution: pass workflow_execution.id"),
        (Step(), "not Step: pass step.prompt_id"),
    ],
)
def test_an_id_that_is_not_text_is_refused(value: Any, says: str) -> None:
    """The error names the type of an object passed as an id, and what to pass instead."""
    with pytest.raises(ConfigurationError, match=re.escape(f"prompt_id must be text, {says}")):
        check_id("prompt_id", value)
    with pytest.raises(ConfigurationError, match=r"an id in /prompts/\{\} must be text, not"):
        path("/prompts/{}", value)


@pytest.mark.parametrize(
    ("value", "says"),
    [("", "is empty"), (" ", "is blank"), ("\n", "is blank"), ("pmt_1\n", "has white space around it"),
     (" pmt_1", "has white space around it")],
)  # fmt: skip
def test_an_id_with_white_space_around_it_is_refused(value: str, says: str) -> None:
    """Spaces and line breaks from files or forms never become part of an id."""
    with pytest.raises(ConfigurationError, match=f"prompt_id {says}: pass the id"):
        check_id("prompt_id", value)


class Name(str):
    """A text that prints as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (UUID(int=1), "00000000-0000-0000-0000-000000000001"), (Name("a"), "a")]
)
def test_an_id_may_be_text_or_a_uuid(value: Any, text: str) -> None:
    """A UUID is sent as text; a subclass of `str` as its value."""
    assert check_id("prompt_id", value) == text
    assert path("/prompts/{}", value) == f"/prompts/{text}"


def test_a_lone_surrogate_is_refused() -> None:
    """It has no UTF-8 form."""
    with pytest.raises(ConfigurationError, match="lone surrogate"):
        path("/prompts/{}", "a\ud800")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_id_is_one_path_segment(prompt_id: str) -> None:
    """Every id is sent as one path segment that decodes to the id, and none changes the path."""
    url = httpx.URL(f"https://api.test/v1{path('/prompts/{}', prompt_id)}/execute")
    before, prompts, segment, after = url.raw_path.decode("ascii").rsplit("/", 3)
    assert (before, prompts, after) == ("/v1", "prompts", "execute")
    assert unquote(segment, errors="strict") == prompt_id


def test_a_call_is_a_value() -> None:
    """Calls compare by content and are immutable."""
    call = Call("GET", "/prompts", dict)
    assert call == Call("GET", "/prompts", dict)
    assert call != Call("GET", "/prompts", dict, params={"limit": 1})
    with pytest.raises(AttributeError):
        call.path = "/teams"  # type: ignore[misc]
