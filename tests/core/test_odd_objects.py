"""Objects whose own code fails, and values out of range, are refused before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, model_serializer

from enprompta import Call, ConfigurationError, Enprompta, TemplateError, templating
from enprompta.models.live_prompts import LivePrompt
from enprompta.models.prompts import Prompt
from enprompta.models.templates import Template


class OwnError(Exception):
    """Raised by the code of the caller's object."""


def fail(*_: object, **__: object) -> Any:
    """Raise, with a text that must not be shown."""
    raise OwnError("hunter2")


class FailingList(list[Any]):
    """A list that cannot be iterated or counted."""

    __len__ = __iter__ = fail


class FailingMapping(Mapping[Any, Any]):
    """A mapping without entries to read."""

    __getitem__ = __iter__ = __len__ = fail


class FailingSequence(Sequence[Any]):
    """A sequence without items to read."""

    __getitem__ = __len__ = fail


class FailingDecimal(Decimal):
    """A number that does not know if it is finite."""

    is_finite = fail


class FailingModel(BaseModel):
    """A model that cannot be written."""

    @model_serializer
    def write(self) -> Any:
        """Raise."""
        fail()


class Deceiving:
    """An object without a class to ask for."""

    __class__ = property(fail)  # type: ignore[assignment] # what is tested


def no_answer(_: httpx.Request) -> httpx.Response:
    """Fail the test: nothing may be sent."""
    raise AssertionError("sent")


@pytest.fixture(name="client")
def _client() -> Any:
    with httpx.Client(transport=httpx.MockTransport(no_answer)) as http_client:
        yield Enprompta(api_key="ep_test_x", base_url="https://api.test/v1", limiter=None, http_client=http_client)


@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("variables", lambda c: c.prompts.execute("p", variables=FailingMapping())),
        ("variables.a", lambda c: c.prompts.execute("p", variables={"a": FailingDecimal("1")})),
        ("tags", lambda c: c.prompts.create(title="t", content="c", tags=FailingList("a"))),
        (r"tags\[1\]", lambda c: c.prompts.create(title="t", content="c", tags=["a", FailingDecimal("1")])),
        ("title", lambda c: c.prompts.create(title=Deceiving(), content="c")),
        ("prompt_id", lambda c: c.prompts.get(Deceiving())),
        (r"variables\[0\]", lambda c: c.prompts.create(title="t", content="c", variables=[FailingModel()])),
        (r"variables\[0\]", lambda c: c.prompts.create(title="t", content="c", variables=[FailingMapping()])),
        (r"steps\[0\]", lambda c: c.workflows.create(name="n", steps=[FailingMapping()])),
        ("steps", lambda c: c.workflows.create(name="n", steps=FailingSequence())),
        ("headers", lambda c: c.prompts.get("p", headers=FailingMapping())),
        ("deadline", lambda c: c.prompts.get("p", deadline=Deceiving())),
        ("the value", lambda c: c.run(Call("POST", "/x", dict, json=FailingSequence()))),
        ("a", lambda c: c.run(Call("POST", "/x", dict, json={"a": FailingMapping()}))),
        ("a", lambda c: c.run(Call("GET", "/x", dict, params={"a": FailingList("a")}))),
        ("rows", lambda c: c.prompts.execute_many("p", FailingSequence())),
    ],
)
def test_an_object_that_raises_is_named(client: Enprompta, place: str, call: Any) -> None:
    """The error names the place and the type; the object's exception is the cause, and its text is not shown."""
    with pytest.raises(ConfigurationError, match=rf"^{place} is a \w+ whose own code raised") as caught:
        call(client)
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, Exception)


@pytest.mark.parametrize(
    "moment",
    ["yesterday", "", "2024-13-01", "2024-02-30", "17.1.2024", "2024-01-17T25:00:00Z", "2024-01-17x", "x" * 99],
)
def test_a_text_that_is_no_time_is_refused(client: Enprompta, moment: str) -> None:
    """The error shows the form to use."""
    with pytest.raises(ConfigurationError, match="start_date must be a date or a time in ISO 8601, such as 2024-01-17"):
        client.executions.list(start_date=moment)


@pytest.mark.parametrize(
    "moment", ["2024-01-17", "2024-02-29T10:15:00Z", "2024-01-17 10:15", "2024-01-17T10:15:00.5+01:00"]
)
def test_a_time_as_text_is_sent_unchanged(client: Enprompta, moment: str) -> None:
    """All common forms of ISO 8601 are accepted."""
    with pytest.raises(AssertionError, match="sent"):
        client.executions.list(start_date=moment)


def test_values_out_of_range_are_refused(client: Enprompta) -> None:
    """A number that no JSON reader keeps, and text that no header carries."""
    with pytest.raises(ConfigurationError, match="max_tokens must be a whole number of 1 or more, not that large"):
        client.prompts.execute("p", max_tokens=10**400)
    for key in ("k" * 100_000, "k" * 256, "", 5, "a\nb"):
        with pytest.raises(ConfigurationError, match=r"idempotency_key must be .* of 1 to 255 characters"):
            client.prompts.execute("p", idempotency_key=key)  # type: ignore[arg-type] # what is tested
    with pytest.raises(ConfigurationError, match="header X-A is longer than 8,000 characters"):
        client.prompts.get("p", headers={"X-A": "a" * 100_000})


@pytest.mark.parametrize(
    ("values", "cure"),
    [
        (["topic"], "values must be a mapping of names to values, not list"),
        ("topic", "values must be a mapping of names to values, not str"),
        (FailingModel(), "values must be a mapping of names to values, not FailingModel: pass value.model_dump()"),
        (FailingMapping(), "values is a FailingMapping whose own code raised OwnError: pass plain data"),
        ({1: "x"}, "values has a name that is not text: 1"),
        ({"topic": FailingDecimal("1")}, "whose own code raised OwnError: pass plain data"),
    ],
)
def test_values_that_cannot_be_rendered_are_refused_with_advice(values: Any, cure: str) -> None:
    """Every way to render refuses them with a `TemplateError`."""
    prompt = Prompt(id="p", title="t", content="{{topic}}")
    live = LivePrompt.model_validate({"id": "p", "content": "{{topic}}"})
    talk = LivePrompt.model_validate({"id": "p", "messages": [{"role": "user", "content": "{{topic}}"}]})
    template = Template(id="p", title="t", content="{{topic}}")
    ways = (prompt, live, talk, template)
    for render in (
        *(way.render for way in ways),
        live.to_openai,
        talk.to_anthropic,
        partial(templating.render, "{{topic}}"),
    ):
        with pytest.raises(TemplateError) as caught:
            render(values)
        assert cure in str(caught.value)


class Name(str):
    """A name of another type."""

    __slots__ = ()
    __str__ = fail


def test_a_name_of_a_text_type_is_rendered() -> None:
    """A subclass of `str` is a name; None counts as no values."""
    prompt = Prompt(id="p", title="t", content="{{topic}}")
    assert prompt.render({Name("topic"): "x"}) == "x"
    assert prompt.render(None, topic="x") == "x"
