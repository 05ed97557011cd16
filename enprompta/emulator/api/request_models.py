"""Types of request fields, for the pydantic models of bodies and queries; and the wording of their errors.

A field is declared in one of three ways: `name: NotNull[T]` is required, `name: Omittable[T] = None` may be absent but
not null, and `name: T | None = None` may be both.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from enprompta.emulator.errors import Detail, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import GetCoreSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema, ErrorDetails

T = TypeVar("T")
Model = TypeVar("Model", bound="RequestModel")

_DAY_SECONDS = 86_400
_LAST_SECOND = 9_200_000_000  # later times do not fit nanoseconds in 64 bits
_FRACTION = re.compile(r"\.(\d+)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)?")
_ISO_8601 = "Must be an ISO 8601 date or time, such as 2024-01-17 or 2024-01-17T10:15:00Z"
_WORDINGS = {
    "missing": "Required",
    "string_type": "Must be text",
    "string_too_short": "Must not be empty",
    "string_too_long": "Must be at most {max_length} characters",
    "list_type": "Must be a list",
    "too_long": "Must have at most {max_length} items",
    "dict_type": "Must be an object",
    "model_type": "Must be an object",
    "bool_type": "Must be true or false",
}
"""The API's messages for pydantic's types of errors; any other error has its own message."""


class RequestModel(BaseModel, frozen=True):
    """A request body or query: fields with the names of columns, and the API's names as aliases; others are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, alias_generator=to_camel)

    def values(self) -> dict[str, Any]:
        """Return the given fields by the names of their columns."""
        given = self.model_fields_set
        return {name: value for name, value in vars(self).items() if name in given}

    def filters(self) -> dict[str, Any]:
        """Return the parameters of a query that are filters, as `Listing.filtered` expects them."""
        return {name: value for name, value in vars(self).items() if name not in {"limit", "cursor", "offset"}}


class InvalidFieldsError(ValueError):
    """Errors of several fields, raised by a validator."""

    def __init__(self, details: list[Detail]) -> None:
        super().__init__()
        self.details = details


def validated(model: type[Model], data: Mapping[str, object], known: object = None) -> Model:
    """Validate the fields of a request; raise a 400 that names every invalid one.

    `known` is what the model's validators need to know besides the fields; the values of a query are all text.
    """
    try:
        return model.model_validate(data, context=known)
    except ValidationError as error:
        raise invalid([detail for it in error.errors(include_url=False) for detail in _details(it)]) from None


def _details(error: ErrorDetails) -> list[Detail]:
    context = error.get("ctx", {})
    if isinstance(cause := context.get("error"), InvalidFieldsError):
        return cause.details
    wording = _WORDINGS.get(error["type"])
    message = wording.format(**context) if wording else error["msg"].removeprefix("Value error, ")
    return [{"field": _field(error["loc"]), "message": message}]


def _field(path: tuple[int | str, ...]) -> str:
    """Name a field, such as `variables[0].name`.

    An option of an execution has its name alone, such as `temperature`, as in the reference's example.
    """
    if path[0] == "options":
        path = path[1:] or path
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("Must not be null")
    return value


NotNull = Annotated[T, BeforeValidator(_not_null)]
Omittable = Annotated[T | None, BeforeValidator(_not_null)]

Text100 = Annotated[str, Field(min_length=1, max_length=100)]
Text200 = Annotated[str, Field(min_length=1, max_length=200)]
Search = Annotated[str, Field(max_length=200), AfterValidator(str.casefold)]
Description = Annotated[str, Field(max_length=2_000)]


def item(low: int, high: int) -> AfterValidator:
    """Limit the length of a string in a list."""

    def check(text: str) -> str:
        if not low <= len(text) <= high:
            raise ValueError(f"Must be {low} to {high} characters")
        return text

    return AfterValidator(check)


TextItem = Annotated[str, item(1, 100)]


def once(how: str) -> AfterValidator:
    """Refuse a string that `known`, a set, has from an earlier item."""

    def check(text: str, info: ValidationInfo[set[str]]) -> str:
        if text in info.context:
            raise ValueError(f"{text!r} is {how} twice")
        info.context.add(text)
        return text

    return AfterValidator(check)


class Valid:
    """Annotation for a field that has one message for all its errors."""

    def __init__(self, schema: CoreSchema, message: str) -> None:
        self._schema = core_schema.custom_error_schema(schema, "invalid", custom_error_message=message)

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> CoreSchema:
        return self._schema


scalar: Valid = Valid(
    core_schema.union_schema(
        [
            core_schema.none_schema(),
            core_schema.bool_schema(),
            core_schema.int_schema(),
            core_schema.float_schema(),
            core_schema.str_schema(),
        ]
    ),
    "Must be text, a number, true, false or null",
)


def one_of(choices: Sequence[str]) -> Valid:
    """Accept one of the given strings."""
    return Valid(core_schema.literal_schema([*choices]), f"Must be one of {', '.join(choices)}")


def between(low: float, high: float) -> Valid:
    """Accept a number from `low` to `high`."""
    whole_number = core_schema.int_schema(ge=int(low), le=int(high), strict=True)
    number = core_schema.float_schema(ge=low, le=high, strict=True)
    return Valid(core_schema.union_schema([whole_number, number]), f"Must be between {low:g} and {high:g}")


def whole(low: int, high: int) -> Valid:
    """Accept a whole number from `low` to `high`; 5.0 is valid too."""
    number = core_schema.int_schema(ge=low, le=high, strict=True)
    return Valid(core_schema.no_info_before_validator_function(_as_integer, number), _whole_number(low, high))


def digits(low: int, high: int) -> Valid:
    """Accept a whole number from `low` to `high` that is written as text, as in a query."""
    text = core_schema.str_schema(pattern=r"^-?[0-9]{1,18}$")
    number = core_schema.int_schema(ge=low, le=high, strict=False)
    return Valid(core_schema.chain_schema([text, number]), _whole_number(low, high))


def _as_integer(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _whole_number(low: int, high: int) -> str:
    return f"Must be a whole number between {low} and {high}"


def _flag(text: str) -> object:
    """Read a boolean of a query."""
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def first_second(text: str) -> int:
    """Read an ISO 8601 date or time of a query as Unix seconds; a date is its first second."""
    with suppress(ValueError):  # such as February 31, or an offset of 99 hours
        if _DATE.fullmatch(text):
            return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())
        if match := _TIME.fullmatch(text):
            zone = (match[2] or "Z").upper().replace("Z", "+00:00")
            return int(datetime.fromisoformat(match[1].upper() + zone).timestamp())
    raise ValueError(_ISO_8601)


def last_second(text: str) -> int:
    """Read an ISO 8601 date or time of a query as Unix seconds; a date is its last second."""
    return first_second(text) + (_DAY_SECONDS - 1 if _DATE.fullmatch(text) else 0)


def instant(value: object) -> int:
    """Read an ISO 8601 time as Unix nanoseconds, from 1970 to 2261."""
    seconds = first_second(value) if isinstance(value, str) else -1
    if not 0 <= seconds < _LAST_SECOND:
        raise ValueError(_ISO_8601)
    fraction = _FRACTION.search(str(value))
    return seconds * 1_000_000_000 + (0 if fraction is None else int(fraction[1][:9].ljust(9, "0")))


Flag = Annotated[bool, BeforeValidator(_flag)]
FirstSecond = Annotated[int, BeforeValidator(first_second)]
LastSecond = Annotated[int, BeforeValidator(last_second)]
Instant = Annotated[int, BeforeValidator(instant)]


class PageQuery(RequestModel, frozen=True):
    """The page size and cursor of a list."""

    limit: Annotated[int, digits(1, 100)] = 20
    cursor: Text200 | None = None
