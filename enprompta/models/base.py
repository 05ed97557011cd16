"""What every model of the API has in common.

Models are lenient readers: unknown fields are kept (`model_extra`), values an enumeration does not list pass
through as text, camelCase and snake_case are both read. They are written to the wire in camelCase.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar, cast, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

T = TypeVar("T")


class Model(BaseModel):
    """Base of every object the API sends; fields the model does not name are kept in `model_extra`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        coerce_numbers_to_str=True,  # an id or a key is text to us, whatever the server wrote
        protected_namespaces=(),
        allow_inf_nan=False,  # see `_core.decode`: such a number is read as null
        defer_build=True,  # a validator is compiled when its model is first used, not at import
    )

    def _repr_html_(self) -> str:
        """Show the object as a table in a notebook."""
        from enprompta.tables import record_html  # noqa: PLC0415 (notebooks alone ask for it)

        return record_html(self)


class FailFast:
    """Ends the validation of a list at the first element that is wrong: each problem takes kilobytes.

    pydantic's own marker has no hash, so it cannot stand in a union.
    """

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Set the flag where the schema has one."""
        schema = handler(source)
        if schema["type"] in {"list", "tuple", "set", "frozenset"}:
            cast("dict[str, object]", schema)["fail_fast"] = True
        return schema


class NullAsEmpty:
    """Reads JSON `null` as an empty list or mapping, so that a caller may always loop over the field."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Try the real type first; only a null reaches Python code."""
        empty = get_origin(source) or source
        null = core_schema.no_info_after_validator_function(lambda _: empty(), core_schema.none_schema())
        schema = FailFast().__get_pydantic_core_schema__(source, handler)
        return core_schema.union_schema([schema, null], mode="left_to_right")


class AnyText:
    """Reads an enumeration as the text it is: trying its values first would cost more than the rest of the field."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read any text, for the API may know values that this version does not."""
        del source, handler
        return core_schema.str_schema()


class AnyTime:
    """Reads a date and time, without asking pydantic what the class `datetime` is: a frozen clock replaces it."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read an ISO 8601 date and time."""
        del source, handler
        return core_schema.datetime_schema()


class AnyDay:
    """Reads a date, as `AnyTime` reads a date and time."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read an ISO 8601 date."""
        del source, handler
        return core_schema.date_schema()


DateTime = Annotated[datetime, AnyTime()]
"""A date and time, on whatever clock the models are loaded."""
Date = Annotated[date, AnyDay()]
"""A date, on whatever clock the models are loaded."""
Open = Annotated[T | str, AnyText()]
"""One of the values of a `Literal`, or one that this version does not know."""
Many = Annotated[list[T], NullAsEmpty()]
Mapped = Annotated[dict[str, T], NullAsEmpty()]
