"""Export all data of an emulator as one JSON document, import it, and delete it."""

from __future__ import annotations

import base64
import sqlite3
from typing import TYPE_CHECKING, Any, cast

from enprompta.emulator.wire import object_of
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

FORMAT = "enprompta-emulator-1"


def export_data(database: Database) -> JSONObject:
    """Return all tables as JSON, including keys and secrets; bytes are in base64."""
    tables = {name: [_to_json(row) for row in database.all(f"SELECT * FROM {name}")] for name in _tables(database)}  # noqa: S608 (names from the schema)
    return {"format": FORMAT, "tables": tables}


def import_data(database: Database, document: object) -> None:
    """Replace all data by an exported document; nothing is changed if it is invalid.

    Raises:
        ConfigurationError: The document was not exported by an emulator of this version, or is damaged.
    """
    given = object_of(document)
    tables = given.get("tables")
    if given.get("format") != FORMAT or not isinstance(tables, dict):
        raise ConfigurationError(f"The document is not an export of an emulator (format {FORMAT})")
    known = _tables(database)
    try:
        with database.transaction():
            delete_data(database)
            for name, rows in cast("dict[str, list[dict[str, Any]]]", tables).items():
                columns = known[name]
                for row in rows:
                    _insert(database, name, columns, row)
            if database.all("PRAGMA foreign_key_check"):
                raise ConfigurationError("The document is damaged: it refers to objects that it does not have")
    except (sqlite3.Error, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"The document is damaged: {error}") from error


def delete_data(database: Database) -> None:
    """Delete all rows of all tables."""
    with database.transaction():
        database.run("PRAGMA defer_foreign_keys = ON")  # until the transaction ends
        for name in _tables(database):
            database.run(f"DELETE FROM {name}")  # noqa: S608 (names from the schema)


def _tables(database: Database) -> dict[str, set[str]]:
    """Return the columns of each table."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    names = [row["name"] for row in database.all(sql)]
    return {name: {row["name"] for row in database.all(f"PRAGMA table_info({name})")} for name in names}


def _insert(database: Database, table: str, columns: set[str], row: dict[str, Any]) -> None:
    unknown = row.keys() - columns
    if unknown:
        raise ConfigurationError(f"The document is damaged: {table} has no {', '.join(sorted(unknown))}")
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    values = [_from_json(one) for one in row.values()]
    database.run(f"INSERT INTO {table} ({names}) VALUES ({marks})", *values)  # noqa: S608 (names from the schema)


def _from_json(value: Any) -> object:  # noqa: ANN401 (any JSON)
    return base64.b64decode(cast("dict[str, str]", value)["base64"]) if isinstance(value, dict) else value


def _to_json(row: sqlite3.Row) -> JSONObject:
    def value(one: Any) -> object:  # noqa: ANN401 (any type of SQLite)
        return {"base64": base64.b64encode(one).decode("ascii")} if isinstance(one, bytes) else one

    return {name: value(row[name]) for name in row.keys()}  # noqa: SIM118 (a row iterates over its values)
