"""Derive the column types of a data frame from a model's fields, so that all pages of a listing have the same types."""

from __future__ import annotations

import json
import types
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Annotated, Any, Literal, TypeAlias, Union, cast, get_args, get_origin

from pydantic import BaseModel

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

    def polars(self, library: Any) -> Any:  # noqa: ANN401 (polars may not be installed)
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
            return in_utc(value)
        if self.items is not None and isinstance(value, list):
            return [self.items.fit(each) for each in cast("list[object]", value)]
        if self.kind == "struct" and isinstance(value, dict):
            named = cast("dict[str, object]", value)
            return {name: each.fit(named.get(name)) for name, each in self.fields.items()}
        return storable(value) if self.kind in {"text", "json"} else value


def columns_of(model: type[BaseModel]) -> dict[str, ColumnType]:
    """Return the type of each field of a model."""
    return _fields(model, ())


def in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC; one without a time zone counts as UTC, as in the API."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def storable(value: object) -> str:
    """Convert any value to text that can be encoded as UTF-8; values other than text become JSON."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


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
