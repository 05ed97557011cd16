"""Pagination with opaque cursors that contain a sort key, so that pages stay stable while a list grows."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from enprompta.emulator.errors import invalid

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_KEY = re.compile(r"([a-z-]+)([<>])([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of rows, newest first by the column `number`, that is read in pages.

    Its name is part of its cursors, so that it refuses those of another list. Its conditions are joined by AND.
    """

    name: str
    table: str
    where: Sequence[str]
    args: Sequence[object]

    def filtered(self, filters: Mapping[str, object], searched: str = "") -> Listing:
        """Return the list of the rows that match filters.

        `search` is a case-folded text in one of the columns `searched`, `start_date` and `end_date` are Unix seconds,
        and any other filter is the value of a column; None is no filter.
        """
        known = {"start_date": "created_at >= ?", "end_date": "created_at <= ?", "search": f"contains(?, {searched})"}
        given = {known.get(name, f"{name} = ?"): value for name, value in filters.items() if value is not None}
        return replace(self, where=[*self.where, *given], args=[*self.args, *given.values()])

    def rows(self, database: Database, tail: str = "", *args: object, columns: str = "*") -> list[sqlite3.Row]:
        """Select columns of the rows; `tail` orders or groups them, with a `?` for each of `args`."""
        where = f"WHERE {' AND '.join(self.where)}" if self.where else ""
        sql = f"SELECT {columns} FROM {self.table} {where} {tail}"  # noqa: S608 (no input in it)
        return database.all(sql, *self.args, *args)

    def count(self, database: Database) -> int:
        """Count the rows."""
        return int(self.rows(database, columns="count(*)")[0][0])

    def page(self, database: Database, limit: int, cursor: str | None) -> tuple[list[sqlite3.Row], JSONObject]:
        """Return the rows of one page and its `pagination` object."""
        backwards, key = self._decode(cursor)
        rest = self
        if key is not None:
            condition = "number > ?" if backwards else "number < ?"
            rest = replace(self, where=[*self.where, condition], args=[*self.args, key])
        order = "ASC" if backwards else "DESC"
        rows = rest.rows(database, f"ORDER BY number {order} LIMIT ?", limit + 1)  # one more shows that there are more
        has_further = len(rows) > limit
        rows = rows[:limit]
        if backwards:
            rows.reverse()
        older, newer = (bool(rows), has_further) if backwards else (has_further, key is not None and bool(rows))
        return rows, {
            "has_more": older,
            "next_cursor": self._encode("<", rows[-1]["number"]) if older else None,
            "previous_cursor": self._encode(">", rows[0]["number"]) if newer else None,
            "total_count": self.count(database),
            "limit": limit,
        }

    def _encode(self, direction: str, key: int) -> str:
        return base64.urlsafe_b64encode(f"{self.name}{direction}{key}".encode()).decode().rstrip("=")

    def _decode(self, cursor: str | None) -> tuple[bool, int | None]:
        if cursor is None:
            return False, None
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            text = ""
        match = _KEY.fullmatch(text)
        if match is None or match[1] != self.name:
            raise invalid([{"field": "cursor", "message": "Is not a cursor of this list"}])
        return match[2] == ">", int(match[3])
