"""The base class of the API's models, and the field types they share.

Models are lenient readers: they keep unknown fields in `model_extra`, keep unknown enumeration values as text, and
accept both camelCase and snake_case. In a response, a value that does not fit its optional field becomes the field's
default (`_core.lenient`). Models are written in camelCase.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic_core import core_schema

from enprompta._common.narrowing import is_dict, is_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler

T = TypeVar("T")

_WORD = r"[!-~]{1,64}"
_MAX_SHOWN = 40  # characters of a text in a repr
_REPR_FORMATS = {
    **dict.fromkeys(("id", "status", "event", "title", "name"), "{}"),
    "tokens": "{} tokens",
    "cost": "${}",
}
_QUOTED = frozenset({"title", "name"})


def to_camel(name: str) -> str:
    """Return the name of a field in the API; pydantic's own function compiles regular expressions."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


class Model(BaseModel):
    """Base of every object the API sends; fields that the model does not declare are kept in `model_extra`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        coerce_numbers_to_str=True,  # ids and keys are text, even if the server sends numbers
        protected_namespaces=(),
        allow_inf_nan=False,  # `_core.lenient` reads such numbers as absent
        defer_build=True,  # compile a validator when its model is first used, not at import
    )
    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "title", "name", "status")
    """The fields and properties that `repr` shows: short ones only, never long texts, URLs or secrets."""
    _ESSENTIAL_FIELDS: ClassVar[frozenset[str]] = frozenset()
    """Optional fields without which the object means something else: a value that does not fit one is an error."""

    def __repr__(self) -> str:
        """Identify the object in one line, without its long texts and secrets."""
        values = {name: getattr(self, name, None) for name in self._REPR_FIELDS}
        fields = [_shown(name, value) for name, value in values.items() if value is not None]
        return f"<{' '.join([type(self).__name__, *fields])}>"

    def __str__(self) -> str:
        """Return the same line as `repr`."""
        return repr(self)

    def _repr_html_(self) -> str:
        """Show the object as a table in a notebook."""
        from enprompta.tables import record_html  # noqa: PLC0415 (only notebooks need it)

        return record_html(self)


def _shown(name: str, value: object) -> str:
    """Format one field for a `repr`, in one short line whatever the API sent."""
    if is_list(value):
        value = len(value)
    elif name == "cost" and isinstance(value, float):
        value = f"{value:.6f}".rstrip("0").rstrip(".")
    elif name == "version":
        value = getattr(value, "number", value)  # a live prompt has a `LiveVersion`
    text = value.isoformat() if isinstance(value, date) else str(value)
    if name in _QUOTED or not re.fullmatch(_WORD, text):
        text = repr(text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}...")
    return _REPR_FORMATS.get(name, f"{name}={{}}").format(text)


class FailFast:
    """Stops the validation of a list or a mapping at its first invalid element, because each problem takes kilobytes.

    pydantic's own marker is not hashable, so it does not work in a union, and pydantic has none for mappings.
    """

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Set the flag on schemas that support it; validate mappings one entry at a time."""
        schema = cast("dict[str, Any]", handler(source))
        if schema["type"] in {"list", "tuple", "set", "frozenset"}:
            schema["fail_fast"] = True
        made = cast("core_schema.CoreSchema", schema)
        if schema["type"] == "dict" and schema.get("values_schema", {"type": "any"})["type"] != "any":
            return core_schema.no_info_wrap_validator_function(_one_by_one, made)
        return made


def _one_by_one(value: object, validate: Callable[[object], dict[Any, Any]]) -> dict[Any, Any]:
    """Validate the entries of a mapping until one is invalid."""
    if not is_dict(value):
        return validate(value)
    read: dict[Any, Any] = {}
    for name, one in value.items():
        read.update(validate({name: one}))
    return read


def fail_fast(returns: object) -> Any:  # noqa: ANN401 (a type)
    """Return a type whose lists and mappings stop at their first invalid element, as `FailFast` does."""
    origin, inside = get_origin(returns), get_args(returns)
    if origin in {list, set, frozenset, tuple, Sequence} and inside:
        kind: Any = list if origin is Sequence else origin
        return Annotated[kind[tuple(fail_fast(one) for one in inside)], FailFast()]
    if origin is dict:
        return Annotated[dict[inside[0], fail_fast(inside[1])], FailFast()]  # type: ignore[misc,valid-type] # as above
    if origin in {Union, UnionType}:
        return Union[tuple(fail_fast(one) for one in inside)]  # noqa: UP007 (built at run time)
    return returns


class NullAsEmpty:
    """Reads JSON `null` as an empty list or mapping, so that callers can always loop over the field."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Try the declared type first; only null values reach Python code."""
        empty = get_origin(source) or source
        null = core_schema.no_info_after_validator_function(lambda _: empty(), core_schema.none_schema())
        schema = FailFast().__get_pydantic_core_schema__(source, handler)
        return core_schema.union_schema([schema, null], mode="left_to_right")


class AnyText:
    """Reads an enumeration value as plain text, because the API may know values that this version does not."""

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Accept any text."""
        return core_schema.str_schema()


class AnyTime:
    """Reads a date and time without pydantic inspecting `datetime`, which libraries that freeze the clock replace."""

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read an ISO 8601 date and time."""
        return core_schema.datetime_schema()


class AnyDay:
    """Reads a date, the way `AnyTime` reads a date and time."""

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read an ISO 8601 date."""
        return core_schema.date_schema()


def empty_list() -> list[Any]:
    """Return the default of a list field; pydantic inspects the signature of `list` itself for a millisecond."""
    return []


def empty_dict() -> dict[str, Any]:
    """Return the default of a mapping field, for the same reason."""
    return {}


DateTime = Annotated[datetime, AnyTime()]
"""A date and time; also works if the models are loaded while the clock is frozen."""
Date = Annotated[date, AnyDay()]
"""A date; also works if the models are loaded while the clock is frozen."""
Open = Annotated[T | str, AnyText()]
"""One of the values of a `Literal`, or a value that this version does not know."""
Many = Annotated[list[T], NullAsEmpty()]
Mapped = Annotated[dict[str, T], NullAsEmpty()]
