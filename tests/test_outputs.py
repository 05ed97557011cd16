"""Outputs of models become values of a type, wherever their JSON stands in the text."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, field_validator
from typing_extensions import TypedDict

from enprompta import ConfigurationError, OutputError
from enprompta.outputs import OutputReader, parse_output, reader_for


class Item(BaseModel):
    name: str
    price: float = 0


class Items(BaseModel):
    items: list[Item]


class Row(TypedDict):
    name: str


@dataclass
class Point:
    name: str


class Broken(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def fail(cls, value: str) -> str:
        """Fail in a way that pydantic does not turn into a validation error."""
        raise KeyError(value)


PLACES = [
    "{}",
    " \ufeff\n{}\n ",
    "Here you are:\n```json\n{}\n```\nAnything else?",
    "~~~\n{}\n~~~",
    "```\n~~~\n{}\n~~~",
    "[open\n[ {}",
    "```\n{}",
    "The answer is {}, I think.",
    'Use {{curly}} braces and "{{" first: {}',
    "[see below]\n{}",
    "draft {{not: json}} {}",
    '{{"name": 1, "more": [}} {}',
    'He said ["x: {}',
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ['a "quoted" } { ] [ one', "```\n", "ż 😀 \\", ""])
def test_json_is_found_anywhere(place: str, name: str) -> None:
    """Fences, prose, brackets that are not JSON, and texts full of brackets hide no object."""
    text = place.replace("{{", "\0").replace("}}", "\1").replace("{}", json.dumps({"name": name, "price": 2}))
    text = text.replace("\0", "{").replace("\1", "}")
    assert parse_output(text, Item) == Item(name=name, price=2)
    assert parse_output(text, Row) == {"name": name}
    assert parse_output(text, Point) == Point(name)


def test_of_several_the_last_one_that_fits_wins() -> None:
    """Drafts and examples come first; a fenced block is preferred to prose."""
    assert parse_output('{"name": "a"} then {"name": "b"} and {"other": 1}', Item).name == "b"
    assert parse_output('```\n{"name": "a"}\n```\nlike {"name": "b"}', Item).name == "a"
    assert parse_output('```\n{"name": "a"}\n```\n```\n{"name": "b"}\n```', Item).name == "b"


def test_what_type_adapter_takes_is_read() -> None:
    """Lists, scalars, unions and adapters are types too; an adapter keeps its settings."""
    assert parse_output('Sure: [{"name": "a"}]', list[Item]) == [Item(name="a")]
    assert parse_output("3", int) == 3
    assert parse_output("```\n3\n```", int) == 3
    assert parse_output("null", TypeAdapter(int | None)) is None
    assert parse_output('{"a": [1]}', dict[str, list[int]]) == {"a": [1]}
    positive: Any = Annotated[int, Field(gt=0)]
    with pytest.raises(OutputError, match="greater than 0"):
        parse_output("-1", positive)
    unhashable: Any = Annotated[int, []]
    assert parse_output("1", unhashable) == 1


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "it is empty", None),
        ("I cannot do that.", "it has no JSON", None),
        ('ok\n  {"name": "a",}', "trailing comma", "line 2, column 16"),
        ('ok\n{"name": "a', "is not complete; raise max_tokens", "line 2, column 1"),
        ('ok\n{\n  "items": x}', "expected value", "line 3, column 12"),
        ('{"items": [{"name": "a"}, {"name": 3}]}', "valid string", "items[1].name"),
        ('so: [1] or {"items": {}}', "valid array", "items"),
        ('{"items": {}} as in {x}', "valid array", "items"),
        ("[1]", "object", "its top"),
        ("[" * 300 + "]" * 300, "recursion limit", "line 1, column 201"),
    ],
)
def test_the_place_is_reported(text: str, message: str, place: str | None) -> None:
    """The error has the text, what is wrong, and where: in the value, or in the text if it is not JSON."""
    with pytest.raises(OutputError) as caught:
        parse_output(text, Items)
    assert message in str(caught.value)
    assert caught.value.text == text
    assert caught.value.execution is None
    assert (caught.value.place or "").partition(", column 2")[0] == (place or "").partition(", column 2")[0]


def test_a_validator_of_the_caller_loses_no_output() -> None:
    """An exception that pydantic does not handle becomes the cause of the error that has the text."""
    with pytest.raises(OutputError, match="a validator raised KeyError") as caught:
        parse_output('{"name": "a"}', Broken)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.text == '{"name": "a"}'


@pytest.mark.parametrize("output", ["Item", b"x", {"type": "object"}, Item(name="a"), Point("a"), 5, list["Nowhere"]])  # type: ignore[type-arg,name-defined] # noqa: F821
def test_what_is_no_type_is_refused_before_anything_is_sent(output: Any) -> None:
    """Instances, names and schemas are refused, and so are types with undefined names."""
    with pytest.raises(ConfigurationError, match="output"):
        reader_for(output)


def test_readers_are_made_once() -> None:
    """A type is compiled once; a reader is its own reader, and shows the schema it was given."""
    assert reader_for(Item) is reader_for(Item)
    reader: OutputReader[Any] = OutputReader(Item, name="schema.json", schema={"type": "object"})
    assert reader_for(reader) is reader
    assert reader.json_schema() == {"type": "object"}
    with pytest.raises(ConfigurationError, match="the output must be text, not NoneType"):
        reader_for(Item).read(None)  # type: ignore[arg-type] # what an execution without output has
    assert reader_for(Item).json_schema()["required"] == ["name"]
    with pytest.raises(ConfigurationError, match="has no JSON Schema"):
        OutputReader(Callable[[], int]).json_schema()
    assert len(OutputReader(tuple[(Item,) * 30]).name) <= 81


SIZE = 1_000_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 250_000
HOSTILE = {
    "arrays": "[" * SIZE,
    "objects": '{"a":' * (SIZE // 5),
    "strings": '["' * (SIZE // 2),
    "escapes": '["' + "\\" * (SIZE - 2),
    "empty": "[]" * (SIZE // 2),
    "braces": "{a}" * (SIZE // 3),
    "nested": "{x:" * (SIZE // 4) + "}" * (SIZE // 4),
    "fences": "```\n" * (SIZE // 4),
    "quotes": '"' * SIZE,
    "misfits": "[" + "{}," * (SIZE // 3) + "{}]",
    "lines": '["\n' * (SIZE // 3),
    "spaces": " " * SIZE,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_take_linear_time(text: str) -> None:
    """Whatever is hardest to read takes seconds, not hours, and an eighth of it an eighth of that."""
    took: list[float] = []
    for part in (text[: len(text) // 8], text):
        began = time.process_time()
        with pytest.raises(OutputError):
            parse_output(part, Items)
        took.append(time.process_time() - began)
    assert took[1] < 8
    assert took[1] < 8 * 4 * max(took[0], 0.02)


@given(
    st.text(alphabet='{}[]"\\,:a1 \n`~', max_size=200), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3)
)
def test_any_text_around_is_survived(noise: str, value: dict[str, int]) -> None:
    """No text raises anything else, and a value on its own line after a closed paragraph is found."""
    with suppress(OutputError):
        parse_output(noise, Items)
    fenced = f"text\n```json\n{json.dumps(value)}\n```\n"
    assert parse_output(fenced, dict[str, int]) == value
