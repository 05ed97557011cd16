"""Models as tables: HTML for notebooks, data frames where pandas or polars is installed.

Pages and lists of models have these as methods; the functions take any sequence of models.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast, overload

from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd  # pyright: ignore[reportMissingTypeStubs, reportMissingImports]
    import polars as pl  # pyright: ignore[reportMissingImports]

__all__ = ["Records", "to_html", "to_pandas", "to_polars"]

T = TypeVar("T")

_SHOWN_ROWS = 50
_SHOWN_TEXT = 120  # characters of a cell
_CELL = 'style="text-align: left; vertical-align: top"'


class Records(list[T]):
    """A list of models that notebooks show as a table, such as `usage.history()` gives."""

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> T: ...
    @overload
    def __getitem__(self, at: slice, /) -> Records[T]: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> T | Records[T]:
        """Give one, or, of a slice, a table again."""
        return Records(super().__getitem__(at)) if isinstance(at, slice) else super().__getitem__(at)

    def to_pandas(self) -> pd.DataFrame:
        """Give a pandas data frame; see `enprompta.tables.to_pandas`."""
        return to_pandas(self)

    def to_polars(self) -> pl.DataFrame:
        """Give a polars data frame; see `enprompta.tables.to_polars`."""
        return to_polars(self)

    def _repr_html_(self) -> str:
        return to_html(self)


def to_html(rows: Sequence[object], *, caption: str = "") -> str:
    """Write models as an HTML table, one row each; everything in it is escaped, long texts and lists are cut short.

    Args:
        rows: Models.
        caption: A line below the table.
    """
    shown = [_shown(row) for row in rows[:_SHOWN_ROWS]]
    # What no row has a value for would be a column of nothing.
    names = [name for name in _columns(shown) if any(row.get(name) not in (None, [], {}) for row in shown)]
    cells = [[_cell(row.get(name)) for name in names] for row in shown]
    left_out = len(rows) - len(shown)
    lines = [caption] if caption else []
    if left_out:
        lines.append(f"{left_out} more rows are not shown")
    return _table(names, cells, lines)


def record_html(model: object) -> str:
    """Write one model as an HTML table, one row for each field that has a value."""
    fields = [(name, value) for name, value in _shown(model).items() if value not in (None, [], {})]
    return _table([], [[f"<strong>{escape(name)}</strong>", _cell(value)] for name, value in fields], [])


def to_pandas(rows: Iterable[object]) -> pd.DataFrame:
    """Make a pandas data frame of models: a column for each field, unknown ones too; nested values stay as they are.

    Raises:
        ConfigurationError: pandas is not installed; the text says how to.
    """
    return _library("pandas").DataFrame.from_records([_dumped(row) for row in rows])


def to_polars(rows: Iterable[object]) -> pl.DataFrame:
    """Make a polars data frame of models: a column for each field, unknown ones too; nested values become structs.

    Raises:
        ConfigurationError: polars is not installed; the text says how to.
    """
    library = _library("polars")
    dumped = [_dumped(row) for row in rows]
    columns = {name: [row.get(name) for row in dumped] for name in _columns(dumped)}
    return library.DataFrame([_series(library, name, values) for name, values in columns.items()])


def _library(name: str) -> Any:  # noqa: ANN401 (its types may not be there either)
    try:
        return import_module(name)
    except ImportError:
        raise ConfigurationError(f"to_{name}() needs {name}: pip install {name}") from None


def _series(library: Any, name: str, values: Sequence[object]) -> Any:  # noqa: ANN401 (as above)
    """Make a column; one whose values have no type in common holds them as text, which JSON's freedom may ask for."""
    try:
        return library.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, library.exceptions.PolarsError):
        return library.Series(name, [None if value is None else _text(value) for value in values])


def _dumped(row: object) -> dict[str, Any]:
    return cast("Any", row).model_dump() if hasattr(row, "model_dump") else {"value": row}


def _shown(row: object) -> dict[str, Any]:
    """What of a model may be looked at: not what its `repr` keeps to itself, such as a secret."""
    fields = cast("dict[str, Any]", getattr(type(row), "model_fields", {}))
    hidden = {name for name, field in fields.items() if not field.repr}
    return {name: value for name, value in _dumped(row).items() if name not in hidden}


def _columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], lines: Sequence[str]) -> str:
    head = "".join(f"<th {_CELL}>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td {_CELL}>{cell}</td>' for cell in cells)}</tr>" for cells in rows)
    below = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>{below}"


def _cell(value: object) -> str:
    text = "" if value is None else _text(value)
    return escape(text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)
