"""Derive the column types of a data frame from a model's fields, so that all pages of a listing have the same types."""

from __future__ import annotations

import json
import types
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, Union, cast, get_args, get_origin

from pydantic import BaseModel

from enprompta._common.narrowing import is_dict, is_list
from enprompta._common.values import encodable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "time", "day", "json", "list", "struct"]

_SCALARS: dict[object, Kind] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime: "time",
    date: "day",
}
_PANDAS: dict[Kind, str] = {
    "text": "string",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "boolean",
    "time": "datetime64[us, UTC]",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Type of a column; `json` is for fields whose rows have no common type."""

    kind: Kind
    items: ColumnType | None = None
    """Type of the items of a list."""
    fields: dict[str, ColumnType] = field(default_factory=dict[str, "ColumnType"])
    """Types of the fields of a struct."""

    @property
    def pandas(self) -> str:
        """Name of the pandas dtype, a nullable one where there is one."""
        return _PANDAS.get(self.kind, "object")

    def polars(self, library: ModuleType) -> object:
        """Return the polars type."""
        if self.items is not None:
            return library.List(self.items.polars(library))
        if self.kind == "struct":
            return library.Struct({name: each.polars(library) for name, each in self.fields.items()})
        return {
            "integer": library.Int64,
            "number": library.Float64,
            "boolean": library.Boolean,
            "time": library.Datetime("us", "UTC"),
            "day": library.Date,
        }.get(self.kind, library.String)

    def fit(self, value: object) -> object:
        """Convert a value to what a polars column of this type accepts."""
        if value is None:
            return None
        if isinstance(value, datetime):
            return _in_utc(value)
        if self.items is not None and is_list(value):
            return [self.items.fit(each) for each in value]
        if self.kind == "struct" and is_dict(value):
            return {name: each.fit(value.get(name)) for name, each in self.fields.items()}
        if self.kind not in {"text", "json"}:
            return value
        return encodable(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))

    def in_utc(self, values: Sequence[object]) -> Sequence[object]:
        """Convert the values of a column of times to UTC; other columns stay as they are."""
        if self.kind != "time":
            return values
        return [_in_utc(value) if isinstance(value, datetime) else value for value in values]


def columns_of(model: type[BaseModel]) -> dict[str, ColumnType]:
    """Return the type of each field of a model."""
    return _fields(model, ())


def _in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC; one without a time zone counts as UTC, as in the API."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def _fields(model: type[BaseModel], within: tuple[object, ...]) -> dict[str, ColumnType]:
    return {name: _type_of(each.annotation, (*within, model)) for name, each in model.model_fields.items()}


def _type_of(annotation: object, within: tuple[object, ...]) -> ColumnType:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_of(arguments[0], within)
    if origin in {Union, types.UnionType}:
        found = [_type_of(each, within) for each in arguments if each is not type(None)]
        return found[0] if all(each == found[0] for each in found) else ColumnType("json")
    if origin is Literal and all(isinstance(each, str) for each in arguments):
        return ColumnType("text")
    if origin is list:
        return ColumnType("list", _type_of(arguments[0], within))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in within:
        return ColumnType("struct", fields=_fields(annotation, within))
    return ColumnType(_SCALARS.get(cast("object", annotation), "json"))
