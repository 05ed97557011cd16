"""Templates are found, checked and filled in as the module's docstring says."""

from __future__ import annotations

import enum
import re
import time
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enprompta.errors import FieldError, TemplateError
from enprompta.templating import render, render_all, validate, variables


@dataclass
class Declared:
    """Stands for `PromptVariable`: templating asks for attributes, not for a class."""

    name: str
    type: str | None = "text"
    required: bool | None = None
    default: object = None
    options: list[object] | None = field(default=None)


class Tone(str, enum.Enum):
    """A value as applications like to hold it."""

    WARM = "warm"


class Level(enum.IntEnum):
    """A number as applications like to hold it."""

    HIGH = 3


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Hello {{name}}", ["name"]),
        ("{{ a }}{{\tb\n}}{{a}}", ["a", "b"]),
        ("{{first-name}} {{_x}} {{2nd}} {{prénom}}", ["first-name", "_x", "2nd", "prénom"]),
        ("{{input.city}} {{steps.draft-1.output}}", ["input.city", "steps.draft-1.output"]),
        ("{{{{deep}}}} {{{three}}}", ["deep", "three"]),
        ("{{}} {{ }} {{a b}} {{.x}} {{x.}} {{a..b}} {{-a}} {{a!}} {name} {{name} {{{ }}}", []),
        ("", []),
    ],
)
def test_names_are_found(text: str, names: list[str]) -> None:
    """A variable is a name in double braces; anything else in braces is text."""
    assert variables(text) == names


@pytest.mark.parametrize("text", ["{{ }}", "{{}}", "{{a b}}", "{ {a} }", "{{a", "a}}", "{{{}}}"])
def test_braces_without_a_name_stay(text: str) -> None:
    """Braces that hold no name are left exactly as they are."""
    assert render(text, {}) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x {{b}} \\1 \\g<0>", "x {{b}} \\1 \\g<0>"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (10**20, "100000000000000000000"),
        (1.5, "1.5"),
        (2.0, "2"),
        (-0.0, "0"),
        (2.0**53, "9007199254740992"),
        (-(2.0**53) - 2, "-9007199254740994"),
        (1e300, "1e+300"),
        (Decimal("1.10"), "1.10"),
        (Tone.WARM, "warm"),
        (Level.HIGH, "3"),
    ],
)
def test_values_become_text(value: object, text: str) -> None:
    """Each kind of value has one text, and that text is never parsed again."""
    assert render("[{{ a }}|{{a}}]", {"a": value}) == f"[{text}|{text}]"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1], "Must be text, a number or a boolean, not a list: pass json.dumps(value)"),
        ({}, "Must be text, a number or a boolean, not a dict: pass json.dumps(value)"),
        (b"x", "Is binary (bytes): decode it first, such as bytes(value).decode()"),
        (float("nan"), "Is NaN, a missing value: leave it out"),
        (float("-inf"), "Is -inf, which JSON cannot hold: leave it out, or pass text"),
        (Decimal("Infinity"), "Is Infinity, which is no number: leave it out"),
    ],
)
def test_values_without_a_text_are_refused(value: object, kind: str) -> None:
    """A value that has no obvious text is refused by name instead of being guessed at."""
    with pytest.raises(TemplateError, match=re.escape(f"Invalid values: 'a': {kind}")):
        render("{{a}}", {"a": value})


def test_a_number_too_long_to_write_is_refused() -> None:
    """An integer beyond the interpreter's limit of digits is a TemplateError, not a ValueError from within."""
    with pytest.raises(TemplateError, match="Is a number with too many digits: pass text") as caught:
        render("{{a}}", {"a": 10**5000})
    assert type(caught.value) is TemplateError


def test_missing_and_unknown_are_both_listed() -> None:
    """One error lists every problem with the names, with suggestions."""
    with pytest.raises(TemplateError) as caught:
        render("{{topic}} {{tone}} {{length}}", {"Topic": 1, "tone": "dry", "zzz": 2})
    assert caught.value.missing == ("topic", "length")
    assert caught.value.unknown == ("Topic", "zzz")
    assert caught.value.message == (
        "Missing variables: 'topic', 'length'. Unknown variables: 'Topic' (did you mean 'topic'?), 'zzz'"
    )


def test_a_near_miss_of_a_name_that_is_given_too() -> None:
    """A misspelt name is traced to a known name even when that one has a value."""
    with pytest.raises(TemplateError, match=r"^Unknown variables: 'topics' \(did you mean 'topic'\?\)$"):
        render("{{topic}}", {"topic": 1, "topics": 2})


def test_none_is_not_given() -> None:
    """None counts as no value: the default steps in, and without one the name is missing."""
    assert render("{{a}}", {"a": None}, [Declared("a", default=5)]) == "5"
    with pytest.raises(TemplateError, match=r"^Missing variables: 'a'$"):
        render("{{a}}", {"a": None})


@pytest.mark.parametrize(
    ("required", "default", "text", "result"),
    [
        (True, None, "{{a}}", None),
        (True, None, "", None),
        (True, "d", "{{a}}", "d"),
        (False, None, "[{{a}}]", "[]"),
        (False, "d", "{{a}}", "d"),
        (None, None, "{{a}}", None),
        (None, None, "plain", "plain"),
        (None, False, "{{a}}", "false"),
    ],
)
def test_required_and_default(*, required: bool | None, default: object, text: str, result: str | None) -> None:
    """A declaration decides if a name needs a value, and which default is used."""
    declared = [Declared("a", required=required, default=default)]
    if result is None:
        with pytest.raises(TemplateError, match="Missing variables: 'a'"):
            render(text, {}, declared)
    else:
        assert render(text, {}, declared) == result


@pytest.mark.parametrize("given", [{"a": "1"}, {"a": "1", "b": "2"}])
def test_declared_and_used_names_are_both_known(given: dict[str, object]) -> None:
    """A declared name that the text does not use may be given; a used one that is not declared must be."""
    assert render("{{a}}", given, [Declared("b", required=False)]) == "1"


@pytest.mark.parametrize(
    ("kind", "fits", "misfits"),
    [
        ("text", ["", "x", 1, True], []),
        ("number", [1, 1.5, Decimal(2), "3", " -4.5e3 ", ".5"], ["", "x", "1,5", "0x1", "nan", "1 2", True]),
        ("boolean", [True, False, "true", "FALSE"], ["", "yes", 1, 0]),
        ("select", ["warm", 3, Tone.WARM], ["cold", "", True]),
        ("something-new", ["x", 1, True], []),
        (None, ["x", 1, True], []),
    ],
)
def test_types(kind: str | None, fits: list[object], misfits: list[object]) -> None:
    """A value must fit its declared type; a type of the future accepts every value."""
    declared = [Declared("a", type=kind, options=["warm", 3])]
    assert [validate(declared, {"a": value}) for value in fits] == [[]] * len(fits)
    for value in misfits:
        (wrong,) = validate(declared, {"a": value})
        assert wrong.field == "a"
        with pytest.raises(TemplateError, match=r"^Invalid values: 'a': Must be "):
            render("{{a}}", {"a": value}, declared)


@pytest.mark.parametrize("options", [None, [], [{"label": "Warm", "value": "warm"}]])
def test_select_without_readable_options_accepts_all(options: list[object] | None) -> None:
    """Options that are absent, or of a shape this version does not know, never refuse a value."""
    assert validate([Declared("a", type="select", options=options)], {"a": "anything"}) == []


def test_validate_lists_problems_in_order() -> None:
    """`validate` lists one entry per problem, like the API's `details`: missing, unknown, then invalid."""
    declared = [
        {"name": "topic", "type": "text", "required": True},
        {"name": "count", "type": "number"},
        {"name": "tone", "type": "select", "options": ["warm", "dry"]},
    ]
    assert validate(declared, {"topik": "x", "count": "many", "tone": "loud"}, "{{topic}}") == [
        FieldError("topic", "Required variable is missing"),
        FieldError("topik", "Unknown variable (did you mean 'topic'?)"),
        FieldError("count", "Must be a number, not 'many'"),
        FieldError("tone", "Must be one of 'warm', 'dry', not 'loud'"),
    ]


def test_a_declaration_may_be_silent() -> None:
    """An object that says nothing but a name is read like a mapping that says nothing but a name."""
    silent: list[Any] = [SimpleNamespace(name="a"), {"name": "b"}]
    assert render("{{a}}{{b}}", {"a": 1, "b": "x"}, silent) == "1x"


def test_an_empty_option_is_shown_as_one() -> None:
    """The message lists the options as they are, the empty one too."""
    (wrong,) = validate([Declared("tone", type="select", options=["", "dry"])], {"tone": "loud"})
    assert wrong.message == "Must be one of '', 'dry', not 'loud'"


def test_all_invalid_values_are_reported_together() -> None:
    """Every value that does not fit is named with its reason, one after the other."""
    declared = [Declared("a", type="number"), Declared("b", type="boolean")]
    with pytest.raises(TemplateError) as caught:
        render("", {"a": "x", "b": "y"}, declared)
    assert caught.value.message == (
        "Invalid values: 'a': Must be a number, not 'x'; 'b': Must be true or false, not 'y'"
    )


def test_a_default_is_the_authors_word() -> None:
    """A default is not validated against its declaration, but must be convertible to text."""
    assert render("{{a}}", {}, [Declared("a", type="number", default="several")]) == "several"
    with pytest.raises(TemplateError, match="not a list"):
        render("{{a}}", {}, [Declared("a", default=[1])])


def test_several_texts_share_the_values() -> None:
    """A name is unknown only when none of the texts knows it, and needed as soon as one does."""
    assert render_all(["{{a}}", "{{b}}", ""], {"a": 1, "b": 2}) == ["1", "2", ""]
    with pytest.raises(TemplateError, match="Missing variables: 'b'"):
        render_all(["{{a}}", "{{b}}"], {"a": 1})


def test_long_lists_and_names_are_cut_in_the_message_only() -> None:
    """An error's text stays readable and quick to build whatever comes in; its attributes are complete."""
    long = "n" * 100_000
    text = "".join(f"{{{{v{number}}}}}" for number in range(20_000))
    with pytest.raises(TemplateError) as caught:
        render(text, {f"u{number}": 1 for number in range(20_000)} | {long: 1})
    assert len(caught.value.missing) == 20_000
    assert len(caught.value.unknown) == 20_001
    assert "and 19990 more" in caught.value.message
    assert len(caught.value.message) < 2_000
    with pytest.raises(TemplateError, match=r"^Unknown variables: 'n{80}…'$"):
        render("", {long: 1})


def test_near_misses_are_found_for_ten_names() -> None:
    """The eleventh unknown name gets no hint: looking for near misses is what costs."""
    unknown = {f"topic{number}": 1 for number in "abcdefghijkl"}
    messages = [wrong.message for wrong in validate([Declared("topic", required=False)], unknown)]
    assert messages == ["Unknown variable (did you mean 'topic'?)"] * 10 + ["Unknown variable"] * 2


def test_near_misses_are_looked_for_among_five_hundred_names() -> None:
    """However many names a text has, the time for a hint has a bound."""
    for others, hint in ((499, " (did you mean 'topic'?)"), (500, "")):
        declared = [Declared(f"{number:09}", required=False) for number in range(others)]
        (wrong,) = validate([*declared, Declared("topic", required=False)], {"topik": 1})
        assert wrong.message == "Unknown variable" + hint


def test_what_fits_a_message_is_whole() -> None:
    """Ten names are all listed, and a name of eighty characters is shown, and compared, to its end."""
    with pytest.raises(TemplateError) as caught:
        render("".join(f"{{{{v{number}}}}}" for number in range(10)), {})
    assert caught.value.message == f"Missing variables: {', '.join(repr(f'v{number}') for number in range(10))}"
    name, given = "n" * 79 + "a", "n" * 79 + "b"
    with pytest.raises(TemplateError) as caught:
        render(f"{{{{{name}}}}}", {given: 1})
    assert caught.value.message == (
        f"Missing variables: '{name}'. Unknown variables: '{given}' (did you mean '{name}'?)"
    )


def test_many_invalid_values_are_counted() -> None:
    """The eleventh invalid value is counted, not spelt out."""
    with pytest.raises(TemplateError, match=r"^Invalid values: 'v0': .* and 2 more$"):
        render("", {f"v{n}": [] for n in range(12)}, [Declared(f"v{n}") for n in range(12)])


@settings(deadline=None)
@given(st.text(alphabet="{}a b.-", max_size=60), st.text(alphabet="{}a"))
def test_rendering_replaces_variables_and_nothing_else(text: str, value: str) -> None:
    """For any text, rendering is the text with each variable's place taken by its value, read once from the left."""
    names = variables(text)
    rendered = render(text, dict.fromkeys(names, value))
    if not names:
        assert rendered == text
    marked = render(text, dict.fromkeys(names, "\0"))
    assert marked.replace("\0", value) == rendered
    assert variables(marked) == []


HOSTILE = {
    "open": "{{",
    "blank": "{{ ",
    "spaces": " ",
    "name": "a",
    "dotted": "a.",
    "variable": "{{a}}",
    "unclosed": "{{a ",
    "closed": "}}",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_is_linear(piece: str) -> None:
    """A template eight times as long takes about eight times as long, whatever it is made of, also at 1 MB."""

    def seconds(size: int) -> float:
        text = "{{" + piece * (size // len(piece))
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            render(text, dict.fromkeys(variables(text), "v"))
            best = min(best, time.process_time() - start)
        return best

    assert seconds(1_000_000) < 8 * max(seconds(125_000), 0.0005) * 4  # quadratic would be 64, and seconds
