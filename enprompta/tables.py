"""Models as tables: HTML for notebooks, data frames where pandas or polars is installed.

Pages and lists of models have these functions as methods; the functions accept any sequence of models.
"""

from __future__ import annotations

from datetime import date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast, overload

from enprompta._common.values import encodable
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    import pandas as pd  # pyright: ignore[reportMissingTypeStubs, reportMissingImports]
    import polars as pl  # pyright: ignore[reportMissingImports]

    from enprompta._common.frame_columns import ColumnType

__all__ = ["Records", "to_html", "to_pandas", "to_polars"]

T = TypeVar("T")

_SHOWN_ROWS = 50
_SHOWN_TEXT = 120  # characters of a cell
_CELL = 'style="text-align: left; vertical-align: top"'


class Records(list[T]):
    """A list of models that notebooks show as a table, such as `usage.history()` returns.

    Args:
        items: The models.
        model: The class of the models, whose columns a data frame has even when there are none; None if unknown.
    """

    def __init__(self, items: Iterable[T] = (), model: type[T] | None = None) -> None:
        super().__init__(items)
        self._model = model

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> T: ...
    @overload
    def __getitem__(self, at: slice, /) -> Records[T]: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> T | Records[T]:
        """Return one model, or, for a slice, a table again."""
        return Records(super().__getitem__(at), self._model) if isinstance(at, slice) else super().__getitem__(at)

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas data frame; see `enprompta.tables.to_pandas`."""
        return to_pandas(self, model=self._model)

    def to_polars(self) -> pl.DataFrame:
        """Return a polars data frame; see `enprompta.tables.to_polars`."""
        return to_polars(self, model=self._model)

    def _repr_html_(self) -> str:
        return to_html(self)


def to_html(rows: Sequence[object], *, caption: str = "") -> str:
    """Render models as an HTML table, one row each. Everything is escaped; long texts and lists are truncated.

    Args:
        rows: Models.
        caption: A line below the table.
    """
    shown = [_shown(row) for row in rows[:_SHOWN_ROWS]]
    # Leave out columns without a value in any row.
    names = [name for name in _columns(shown) if any(row.get(name) not in (None, [], {}) for row in shown)]
    cells = [[_cell(row.get(name)) for name in names] for row in shown]
    left_out = len(rows) - len(shown)
    lines = [caption] if caption else []
    if left_out:
        lines.append(f"{left_out} more rows are not shown")
    return _table(names, cells, lines)


def record_html(model: object) -> str:
    """Render one model as an HTML table, one row for each field that has a value."""
    fields = [(name, value) for name, value in _shown(model).items() if value not in (None, [], {})]
    return _table([], [[f"<strong>{_escaped(name)}</strong>", _cell(value)] for name, value in fields], [])


def to_pandas(rows: Iterable[object], *, model: type | None = None) -> pd.DataFrame:
    """Create a pandas data frame from models: a column for each field, unknown ones too.

    Columns have pandas' nullable types (`Int64`, `Float64`, `boolean`, `string`), times are in UTC, and nested values
    stay as they are.

    Args:
        rows: Models, all of one class for typed columns.
        model: Their class, for the columns and types of an empty frame; None takes it from the rows.

    Raises:
        ConfigurationError: pandas is not installed; the text says how to install it.
    """
    library = _library("pandas")
    names, types, dumped = _table_of(rows, model)
    columns = {name: _pandas_series(library, types.get(name), [row.get(name) for row in dumped]) for name in names}
    return library.DataFrame(columns)


def to_polars(rows: Iterable[object], *, model: type | None = None) -> pl.DataFrame:
    """Create a polars data frame from models: a column for each field, unknown ones too.

    Types are those of the model's fields, so that frames of two pages can be concatenated. Nested models are structs;
    fields that may hold anything, such as `variables`, are text in JSON (`.str.json_decode()` reads it); times are in
    UTC. Unknown fields become columns of whatever type their values have.

    Args:
        rows: Models, all of one class for typed columns.
        model: Their class, for the columns and types of an empty frame; None takes it from the rows.

    Raises:
        ConfigurationError: polars is not installed; the text says how to install it.
    """
    library = _library("polars")
    names, types, dumped = _table_of(rows, model)
    columns = {name: [row.get(name) for row in dumped] for name in names}
    return library.DataFrame([_series(library, name, types.get(name), values) for name, values in columns.items()])


def _table_of(
    rows: Iterable[object], model: type | None
) -> tuple[list[str], Mapping[str, ColumnType], list[dict[str, Any]]]:
    """Return the names of the columns, the types of those that have one, and the rows."""
    items = list(rows)
    classes = {type(row) for row in items}
    if len(classes) == 1:
        model = classes.pop()
    fields = getattr(model, "model_fields", None) if not classes else None
    dumped = [_dumped(row) for row in items]
    if fields is None:
        return _columns(dumped), {}, dumped
    from enprompta._common.frame_columns import columns_of  # noqa: PLC0415 (only data frames need it)

    return _columns([dict.fromkeys(fields), *dumped]), columns_of(cast("Any", model)), dumped


def _library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigurationError(f"to_{name}() needs {name}: pip install {name}") from None


def _pandas_series(library: ModuleType, kind: ColumnType | None, values: Sequence[object]) -> object:
    """Create a column; values that do not fit its type stay as they are, in an object column."""
    try:
        if kind is None:
            return library.Series(values)
        return library.Series(kind.in_utc(values), dtype=kind.pandas)
    except (TypeError, ValueError, OverflowError):
        return library.Series(values, dtype="object")


def _series(library: ModuleType, name: str, kind: ColumnType | None, values: Sequence[object]) -> object:
    """Create a column; values that do not fit its type, or have no common type, are stored as text."""
    try:
        if kind is None:
            return library.Series(name, values, strict=True)
        return library.Series(name, [kind.fit(value) for value in values], dtype=kind.polars(library), strict=True)
    except (TypeError, ValueError, OverflowError, NameError, library.exceptions.PolarsError):
        # NameError: polars evaluates the annotations of a dataclass, whose names may be known to type checkers only.
        return library.Series(name, [None if value is None else encodable(_text(value)) for value in values])


def _dumped(row: object) -> dict[str, object]:
    return cast("Any", row).model_dump() if hasattr(row, "model_dump") else {"value": row}


def _shown(row: object) -> dict[str, object]:
    """Return the fields that may be shown: those that `repr` shows, so no secret."""
    fields = getattr(type(row), "model_fields", {})
    hidden = {name for name, field in fields.items() if not field.repr}
    return {name: value for name, value in _dumped(row).items() if name not in hidden}


def _columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], lines: Sequence[str]) -> str:
    head = "".join(f"<th {_CELL}>{_escaped(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td {_CELL}>{cell}</td>' for cell in cells)}</tr>" for cells in rows)
    below = "".join(f"<p>{_escaped(line)}</p>" for line in lines)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>{below}"


def _cell(value: object) -> str:
    text = "" if value is None else _text(value)
    return _escaped(text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…")


def _escaped(text: str) -> str:
    import html  # noqa: PLC0415 (it has a table of 2,231 entities, and only notebooks need it)

    return html.escape(text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        import json  # noqa: PLC0415 (most programs make no tables)

        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)
