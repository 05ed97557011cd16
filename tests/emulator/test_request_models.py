"""The types of request fields, and the wording of each error."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

from enprompta.emulator.api.request_models import (
    Description,
    FirstSecond,
    Flag,
    Instant,
    InvalidFieldsError,
    LastSecond,
    NotNull,
    Omittable,
    PageQuery,
    RequestModel,
    Search,
    Text100,
    TextItem,
    between,
    digits,
    item,
    once,
    one_of,
    scalar,
    validated,
    whole,
)
from enprompta.emulator.errors import ApiError

NOON = 1_705_492_800
ISO_8601 = "Must be an ISO 8601 date or time, such as 2024-01-17 or 2024-01-17T10:15:00Z"


class Nested(RequestModel):
    """An object in a list."""

    name: NotNull[Text100]


def refuse(text: str) -> str:
    """Refuse a text for two reasons."""
    raise InvalidFieldsError([{"field": "a", "message": text}, {"field": "b", "message": "{{text}}"}])


class Body(RequestModel):
    """One field of each type."""

    text: Omittable[Text100] = None
    nullable_text: Text100 | None = None
    description: Description | None = None
    texts: Omittable[Annotated[list[TextItem], Field(max_length=2)]] = None
    empty_texts: Omittable[list[Annotated[str, item(0, 2)]]] = None
    names: Omittable[list[Annotated[str, once("listed")]]] = None
    choice: Omittable[Annotated[str, one_of(("one", "two"))]] = None
    number: Omittable[Annotated[float, between(0, 2)]] = None
    cost: Omittable[Annotated[float, between(0, 1e9)]] = None
    count: Omittable[Annotated[int, whole(0, 2**53)]] = None
    flag: Omittable[bool] = None
    mapping: Omittable[dict[str, object]] = None
    texts_by_name: Omittable[dict[str, Annotated[str, Field(max_length=2)]]] = None
    nested: Omittable[list[Nested]] = None
    options: Omittable[Nested] = None
    value: Annotated[object, scalar] = None
    start_time: Instant | None = None
    refused: Annotated[str, AfterValidator(refuse)] | None = None


class Query(PageQuery):
    """One parameter of each type, besides those of a page."""

    number: Annotated[int, digits(0, 100)] = 0
    flag: Flag = False
    search: Search | None = None
    start_date: FirstSecond | None = None
    end_date: LastSecond | None = None


def details(model: type[RequestModel], data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields and messages of the 400 that a request gets."""
    with pytest.raises(ApiError) as caught:
        validated(model, data, set[str]())
    assert caught.value.kind.status == 400
    return [(it["field"], it["message"]) for it in caught.value.details]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("text", None, "Must not be null"),
        ("text", 5, "Must be text"),
        ("text", ["x"], "Must be text"),
        ("text", "", "Must not be empty"),
        ("text", "x" * 101, "Must be at most 100 characters"),
        ("nullableText", False, "Must be text"),
        ("nullableText", "", "Must not be empty"),
        ("description", "x" * 2_001, "Must be at most 2000 characters"),
        ("texts", "x", "Must be a list"),
        ("texts", {}, "Must be a list"),
        ("texts", ["x", 1, ""], "Must have at most 2 items"),
        ("choice", None, "Must not be null"),
        ("choice", "three", "Must be one of one, two"),
        ("choice", [], "Must be one of one, two"),
        ("choice", "", "Must be one of one, two"),
        ("number", None, "Must not be null"),
        ("number", True, "Must be between 0 and 2"),
        ("number", "1", "Must be between 0 and 2"),
        ("number", -0.1, "Must be between 0 and 2"),
        ("number", 3, "Must be between 0 and 2"),
        ("cost", 10**30, "Must be between 0 and 1e+09"),
        ("count", None, "Must not be null"),
        ("count", False, "Must be a whole number between 0 and 9007199254740992"),
        ("count", 5.5, "Must be a whole number between 0 and 9007199254740992"),
        ("count", "5", "Must be a whole number between 0 and 9007199254740992"),
        ("count", -1, "Must be a whole number between 0 and 9007199254740992"),
        ("count", 2**53 + 1, "Must be a whole number between 0 and 9007199254740992"),
        ("count", 1e300, "Must be a whole number between 0 and 9007199254740992"),
        ("flag", None, "Must not be null"),
        ("flag", 1, "Must be true or false"),
        ("flag", "true", "Must be true or false"),
        ("mapping", None, "Must not be null"),
        ("mapping", [], "Must be an object"),
        ("nested", {}, "Must be a list"),
        ("options", "x", "Must be an object"),
        ("value", [], "Must be text, a number, true, false or null"),
        ("value", {}, "Must be text, a number, true, false or null"),
        ("startTime", "yesterday", ISO_8601),
        ("startTime", "2024-02-31", ISO_8601),
        ("startTime", "2024-01-17T10:15:00+99:00", ISO_8601),
        ("startTime", "1969-12-31", ISO_8601),
        ("startTime", "2300-01-01", ISO_8601),
        ("startTime", NOON, ISO_8601),
    ],
)
def test_an_invalid_field_is_named_with_the_reason(field: str, value: object, message: str) -> None:
    """Each kind of invalid value has its message."""
    assert details(Body, {field: value}) == [(field, message)]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("texts", [1, ""], [("texts[0]", "Must be text"), ("texts[1]", "Must be 1 to 100 characters")]),
        ("texts", [None, "x" * 101], [("texts[0]", "Must be text"), ("texts[1]", "Must be 1 to 100 characters")]),
        ("emptyTexts", ["", "x", "xxx"], [("emptyTexts[2]", "Must be 0 to 2 characters")]),
        ("names", ["a", 5, "b", "a"], [("names[1]", "Must be text"), ("names[3]", "'a' is listed twice")]),
        (
            "textsByName",
            {"x": "xxx", "a.b": None, "": 5, "y": "yy"},
            [
                ("textsByName.x", "Must be at most 2 characters"),
                ("textsByName.a.b", "Must be text"),
                ("textsByName.", "Must be text"),
            ],
        ),
        (
            "nested",
            [{}, {"name": None}, None, {"name": "x"}],
            [
                ("nested[0].name", "Required"),
                ("nested[1].name", "Must not be null"),
                ("nested[2]", "Must be an object"),
            ],
        ),
        ("options", {"name": ""}, [("name", "Must not be empty")]),
        ("refused", "why", [("a", "why"), ("b", "{{text}}")]),
    ],
)
def test_errors_in_a_field_are_named_by_their_path(field: str, value: object, expected: list[tuple[str, str]]) -> None:
    """An error in a list or an object names the item; one in `options` names the option alone."""
    assert details(Body, {field: value}) == expected


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *(
            ("number", text, "Must be a whole number between 0 and 100")
            for text in ("", "5.0", "+5", " 5", "1_0", "\u0665")
        ),
        *(("number", text, "Must be a whole number between 0 and 100") for text in ("-1", "101", "5\n", "0" * 19)),
        ("limit", "0", "Must be a whole number between 1 and 100"),
        ("cursor", "", "Must not be empty"),
        ("cursor", "x" * 201, "Must be at most 200 characters"),
        ("flag", "yes", "Must be true or false"),
        ("flag", "", "Must be true or false"),
        ("search", "x" * 201, "Must be at most 200 characters"),
        ("startDate", "", ISO_8601),
        ("startDate", "2024-02-31", ISO_8601),
        ("endDate", "2024-1-17", ISO_8601),
    ],
)
def test_an_invalid_parameter_is_named_with_the_reason(field: str, value: str, message: str) -> None:
    """Each kind of invalid query parameter has its message."""
    assert details(Query, {field: value}) == [(field, message)]


def test_valid_fields_keep_their_values() -> None:
    """Numbers keep their type, whole numbers become integers, and unknown fields are ignored."""
    data = {
        "text": "é" * 100, "texts": ["x"], "choice": "two", "number": 1, "cost": 0.5, "count": 5.0, "flag": False,
        "mapping": {"a": None}, "startTime": "2024-01-17t12:00:00.5+00:00", "unknown": 1,
    }  # fmt: skip
    values = validated(Body, data).values()
    assert list(values) == ["text", "texts", "choice", "number", "cost", "count", "flag", "mapping", "start_time"]
    assert [repr(values[name]) for name in ("number", "cost", "count", "flag")] == ["1", "0.5", "5", "False"]
    assert values["mapping"] == {"a": None}
    assert values["start_time"] == NOON * 1_000_000_000 + 500_000_000


@pytest.mark.parametrize("value", [None, True, 1, 1.0, 1.5, "1", ""])
def test_a_scalar_keeps_its_type(value: object) -> None:
    """A number stays a number and a boolean a boolean."""
    assert repr(validated(Body, {"value": value}).value) == repr(value)


def test_parameters_are_read_from_text() -> None:
    """A date ends with its last second, a search ignores case, and the page is no filter."""
    data = {"number": "007", "flag": "TRUE", "search": "Straße", "startDate": "2024-01-17", "endDate": "2024-01-17"}
    query = validated(Query, data)
    assert (query.limit, query.cursor) == (20, None)
    midnight = NOON - 12 * 3600
    assert query.filters() == {
        "number": 7, "flag": True, "search": "strasse", "start_date": midnight, "end_date": midnight + 86_399,
    }  # fmt: skip
    assert validated(Query, {"endDate": "2024-01-17 13:00:00.9+01:00", "flag": "0"}).filters()["end_date"] == NOON
