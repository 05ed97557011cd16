"""Pagination with opaque cursors that contain a sort key, so that pages stay stable while a list grows."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta.emulator.errors import invalid

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from enprompta.emulator.api.request_models import Query
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 100
_KEY = re.compile(r"([a-z-]+)([<>])([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page size and cursor of a request."""

    limit: int
    cursor: str | None

    @classmethod
    def read(cls, query: Query) -> PageRequest:
        """Read `limit` and `cursor`."""
        limit = query.integer("limit", 1, _MAX_LIMIT)
        return cls(_DEFAULT_LIMIT if limit is None else limit, query.text("cursor", max_length=200))


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of rows, newest first, that is read in pages.

    Args:
        name: Part of the cursors, so that a list refuses the cursors of another.
        table: Table of the rows, with a column `number` that only increases.
        where: Conditions, joined by AND, with a `?` for each of `args`.
        args: Values of the conditions.
    """

    name: str
    table: str
    where: Sequence[str]
    args: Sequence[object]

    def page(self, database: Database, request: PageRequest) -> tuple[list[sqlite3.Row], JSONObject]:
        """Return the rows of one page and its `pagination` object."""
        backwards, key = self._decode(request.cursor)
        where, args = list(self.where), list(self.args)
        if key is not None:
            where.append("number > ?" if backwards else "number < ?")
            args.append(key)
        order = "ASC" if backwards else "DESC"
        sql = f"SELECT * FROM {self.table} {_clause(where)} ORDER BY number {order} LIMIT ?"  # noqa: S608 (no input in it)
        rows = database.all(sql, *args, request.limit + 1)  # one extra row shows that there are more
        has_further = len(rows) > request.limit
        rows = rows[: request.limit]
        if backwards:
            rows.reverse()
        older, newer = (bool(rows), has_further) if backwards else (has_further, key is not None and bool(rows))
        total = f"SELECT count(*) FROM {self.table} {_clause(self.where)}"  # noqa: S608 (no input in it)
        return rows, {
            "has_more": older,
            "next_cursor": self._encode("<", rows[-1]["number"]) if older else None,
            "previous_cursor": self._encode(">", rows[0]["number"]) if newer else None,
            "total_count": database.scalar(total, *self.args),
            "limit": request.limit,
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


def _clause(where: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(where)}" if where else ""
