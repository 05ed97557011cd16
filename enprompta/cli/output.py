"""Output of commands: tables for people, JSON Lines for programs."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from enprompta._common.narrowing import is_list
from enprompta.cli.console import err, line, out, plain
from enprompta.cli.options import given_only
from enprompta.cli.shared_options import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.text import Text

PAGE = 100
_NARROWEST = 12  # minimum width in characters of a folded text column
_RIGHT = frozenset({"tokens", "cost", "executions", "requests", "attempts", "version", "members", "latency", "amount"})
_WRAPS = frozenset({"title", "model", "variables", "name", "description", "output", "tags", "email", "url", "events"})


def show_rows(
    rows: Iterable[BaseModel], columns: Mapping[str, str], *, as_json: bool, limit: int | None = None
) -> None:
    """Print objects as a table, one row per object, or as JSON Lines with all fields.

    At most one more than `limit` is fetched, to know if there are more; None is no limit.
    """
    iterator = iter(rows)
    shown = iterator if limit is None else islice(iterator, limit)
    if as_json:
        for row in shown:
            write_json(row)
    elif shared.quiet:
        first = next(iter(columns.values()))
        for row in shown:
            _write_id(row, first)
    else:
        cells = [[cell(name, getattr(row, name, None)) for name in columns.values()] for row in shown]
        print_table(list(columns), cells)
    if not shared.quiet and limit is not None and next(iterator, None) is not None:
        err.print(f"There are more results than {limit}: use --limit N or --all to show them.")


def show_listing(
    start: Callable[..., Iterable[BaseModel]],
    columns: Mapping[str, str],
    *,
    limit: int | None,
    as_json: bool,
    **filters: object,
) -> None:
    """Fetch a listing and print it as `show_rows` does; filters that are None are not passed."""
    size = PAGE if limit is None else min(limit + 1, PAGE)
    show_rows(start(limit=size, **given_only(**filters)), columns, as_json=as_json, limit=limit)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    """Print a table with right-aligned numbers and folded texts; nothing is cut off.

    In a pipe, the table is as wide as its content. On a terminal that is too narrow, each row becomes a paragraph.
    """
    if not rows:
        err.print("No results.")
        return
    wraps = [heading.lower() in _WRAPS for heading in headings]
    widths = [max(map(cell_len, (heading, *(row[at].plain for row in rows)))) for at, heading in enumerate(headings)]
    least = sum(min(width, _NARROWEST) if wrap else width for width, wrap in zip(widths, wraps, strict=True))
    if out.is_terminal and least + 2 * (len(widths) - 1) > out.width:
        _print_paragraphs(headings, rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading, wrap in zip(headings, wraps, strict=True):
        justify = "right" if heading.lower() in _RIGHT else "left"
        table.add_column(heading.upper(), justify=justify, no_wrap=not wrap, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if out.is_terminal:
        out.print(table, soft_wrap=False)
    else:
        wide = Console(color_system=None, highlight=False, width=sum(widths) + 2 * len(widths))
        wide.print(table)


def _print_paragraphs(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    width = max(map(len, headings))
    for number, row in enumerate(rows):
        if number:
            out.print()
        for heading, each in zip(headings, row, strict=True):
            out.print(line((f"{heading.upper():<{width}}  ", "bold")).append_text(each))


def show_object(thing: BaseModel, *, as_json: bool, text: str | None = None, hidden: Sequence[str] = ()) -> None:
    """Print one object, one line per field, with its long text below; some fields, such as secrets, are hidden."""
    if as_json:
        write_json(thing, hidden)
        return
    if shared.quiet:
        _write_id(thing, "id")
        return
    fields = {name: one for name, one in thing if name not in {text, *hidden} and one is not None and one != []}
    width = max(map(len, fields), default=0)
    for name, one in fields.items():
        out.print(line((f"{name:<{width}}  ", "cyan"), str(cell(name, one))))
    if text is not None and (body := getattr(thing, text)) is not None:
        out.print()
        write_text(body)


def _write_id(thing: BaseModel, other: str) -> None:
    """Print an object's id, or another field if it has no id."""
    write_text(_written("id", getattr(thing, "id", None) or getattr(thing, other, None)))


def write_text(text: str) -> None:
    """Print a text: unchanged into a pipe, with control characters escaped on a terminal."""
    if out.is_terminal:
        text = "\n".join(plain(each.replace("\t", "    ")) for each in text.split("\n"))
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def write_json(thing: BaseModel | Mapping[str, object], hidden: Sequence[str] = ()) -> None:
    """Print an object as one line of JSON, with the API's field names."""
    values = (
        thing.model_dump(mode="json", by_alias=True, exclude=set(hidden)) if isinstance(thing, BaseModel) else thing
    )
    sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")


def cell(name: str, value: object) -> Text:
    """Format a value for a table, with control characters escaped."""
    return line(_written(name, value))


def _written(name: str, value: object) -> str:
    if value is None or value in ([], ""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, (int, float)):
        return f"${value:,.4f}" if name == "cost" else f"{value:,}"
    return _joined(value)


def _joined(value: object) -> str:
    if isinstance(value, str):
        return " ".join(value.split("\n"))
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if is_list(value):
        names = [str(getattr(item, "name", None) or getattr(item, "id", None) or item) for item in value]
        return ", ".join(names)
    return json.dumps(value, ensure_ascii=False, default=str)
