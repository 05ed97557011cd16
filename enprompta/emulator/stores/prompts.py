"""Prompts, their versions and labels."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, cast

from enprompta import templating
from enprompta.emulator.database import new_id
from enprompta.emulator.errors import FORBIDDEN, ApiError, not_found
from enprompta.emulator.stores import teams
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import iso

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

VISIBILITIES = ("PRIVATE", "TEAM", "PUBLIC")
DEFAULT_LABEL = "production"
_PRIVATE, _TEAM = VISIBILITIES[:2]
_VISIBLE = f"CASE WHEN team_id IS NULL OR visibility = '{_PRIVATE}' THEN account_id = ? ELSE {teams.MINE} END"
_NEWEST_LABELS = frozenset({DEFAULT_LABEL, "latest"})
_LONGEST_SLUG = 80

_COLUMNS = {
    "title": "title",
    "content": "content",
    "description": "description",
    "category": "category",
    "tags": "tags",
    "visibility": "visibility",
    "teamId": "team_id",
}


def wire(row: sqlite3.Row) -> JSONObject:
    """Write a prompt as it goes over the wire."""
    return {
        "id": row["id"],
        "title": row["title"],
        "slug": row["slug"],
        "content": row["content"],
        "description": row["description"],
        "category": row["category"],
        "tags": json.loads(row["tags"]),
        "variables": json.loads(row["variables"]),
        "visibility": row["visibility"],
        "version": row["version"],
        "usageCount": row["usage_count"],
        "teamId": row["team_id"],
        "createdAt": iso(row["created_at"]),
        "updatedAt": iso(row["updated_at"]),
    }


def create(database: Database, account: Account, values: Mapping[str, Any], now: float) -> sqlite3.Row:
    """Keep a new prompt.

    Args:
        database: Where.
        account: Whose it will be.
        values: Its checked fields by wire name; `title` and `content` at least. No variables, or none given: they are
            derived from the content, and follow it. Without a visibility it is seen by its team, if it has one.
        now: When.
    """
    prompt_id, content, team_id = new_id("pmt"), values["content"], values.get("teamId")
    declared = bool(values.get("variables"))
    variables = json.dumps(values["variables"] if declared else derive(content))
    with database.transaction():
        row = (
            *(prompt_id, account.id, _free_slug(database, account, values["title"])),
            *(values["title"], content, values.get("description"), values.get("category")),
            *(json.dumps(values.get("tags") or []), variables, declared),
            *(values.get("visibility") or (_TEAM if team_id else _PRIVATE), 1, team_id, int(now), int(now)),
        )
        database.run(
            "INSERT INTO prompts (id, account_id, slug, title, content, description, category, tags, variables, "
            "declared, visibility, version, team_id, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *row,
        )
        _keep_version(database, (prompt_id, 1, content, variables), now)
        return get(database, account, prompt_id)


def get(database: Database, account: Account, prompt_id: str) -> sqlite3.Row:
    """Find a prompt; a 404 when it is not there or the account may not see it.

    A prompt that is in no team, or is PRIVATE, is its maker's; any other is seen by those who are in its team.
    """
    sql = f"SELECT * FROM prompts WHERE id = ? AND {_VISIBLE}"  # noqa: S608 (no input in it)
    row = database.one(sql, prompt_id, account.id, account.user_id)
    if row is None:
        raise not_found("Prompt", prompt_id)
    return row


def get_writable(database: Database, account: Account, prompt_id: str) -> sqlite3.Row:
    """Find a prompt that is to be changed or run; a 403 when the account's role in its team forbids that."""
    row = get(database, account, prompt_id)
    if row["team_id"] is not None and row["visibility"] != _PRIVATE:
        teams.require(database, account, row["team_id"], teams.WRITERS)
    return row


def update(database: Database, account: Account, prompt_id: str, values: Mapping[str, Any], now: float) -> sqlite3.Row:
    """Change the given fields; a content that differs becomes a new version, and the old one is kept."""
    with database.transaction():
        row = get_writable(database, account, prompt_id)
        if not values:
            return row
        if row["account_id"] != account.id and (
            values.get("visibility") == _PRIVATE or values.get("teamId", row["team_id"]) != row["team_id"]
        ):
            raise ApiError(FORBIDDEN, "Insufficient permissions: only who made the prompt may take it from its team")
        changes: dict[str, object] = {column: values[name] for name, column in _COLUMNS.items() if name in values}
        if "tags" in changes:
            changes["tags"] = json.dumps(changes["tags"] or [])
        content: str = values.get("content", row["content"])
        if "variables" in values:
            changes["declared"] = bool(values["variables"])
            changes["variables"] = json.dumps(values["variables"] or derive(content))
        elif not row["declared"]:
            changes["variables"] = json.dumps(derive(content))
        variables = str(changes.get("variables", row["variables"]))
        version: int = row["version"]
        if content != row["content"]:
            version += 1
            changes["version"] = version
            _keep_version(database, (prompt_id, version, content, variables), now)
        else:
            sql = "UPDATE prompt_versions SET variables = ? WHERE prompt_id = ? AND version = ?"
            database.run(sql, variables, prompt_id, version)
        changes["updated_at"] = int(now)
        assignments = ", ".join(f"{column} = ?" for column in changes)
        database.run(f"UPDATE prompts SET {assignments} WHERE id = ?", *changes.values(), prompt_id)  # noqa: S608 (our columns)
        return get(database, account, prompt_id)


def delete(database: Database, account: Account, prompt_id: str) -> None:
    """Forget a prompt, its versions and labels; its executions stay."""
    get_writable(database, account, prompt_id)
    database.run("DELETE FROM prompts WHERE id = ?", prompt_id)


def listing(
    account: Account,
    *,
    visibility: str | None = None,
    category: str | None = None,
    search: str | None = None,
    team_id: str | None = None,
) -> Listing:
    """List the prompts that an account may see, newest first."""
    where, args = [_VISIBLE], [account.id, account.user_id]
    for column, value in {"visibility": visibility, "category": category, "team_id": team_id}.items():
        if value is not None:
            where.append(f"{column} = ?")
            args.append(value)
    if search:
        where.append("contains(?, title, content, description)")
        args.append(search.casefold())
    return Listing("prompts", "prompts", where, args)


def live(database: Database, account: Account, slug: str, label: str) -> JSONObject:
    """Give the version of a prompt that a label points at, as a running program wants it.

    Args:
        database: Where prompts are kept.
        account: Whose prompt it is.
        slug: Its slug; its id will do too. Of the account's own and its teams' prompts its own come first.
        label: `production`, `latest`, or any that was set.
    """
    sql = f"SELECT * FROM prompts WHERE (slug = ? OR id = ?) AND {_VISIBLE} ORDER BY account_id <> ?, number"  # noqa: S608 (no input in it)
    prompt = database.one(sql, slug, slug, account.id, account.user_id, account.id)
    if prompt is None:
        raise not_found("Prompt", slug)
    labelled = "SELECT version FROM prompt_labels WHERE prompt_id = ? AND label = ?"
    sql = f"SELECT * FROM prompt_versions WHERE prompt_id = ? AND version = coalesce(({labelled}), ?)"  # noqa: S608 (no input in it)
    newest = prompt["version"] if label in _NEWEST_LABELS else None
    version = database.one(sql, prompt["id"], prompt["id"], label, newest)
    if version is None:
        raise not_found(f"Label of prompt {slug!r}", label)
    return {
        "id": prompt["id"],
        "slug": prompt["slug"],
        "name": prompt["title"],
        "label": label,
        "version": {"id": version["id"], "number": str(version["version"]), "environment": label},
        "content": version["content"],
        "messages": None,
        "variables": _defaults(variables_of(version)),
        "_meta": {"createdAt": iso(version["created_at"])},
    }


def set_label(database: Database, prompt_id: str, label: str, version: int) -> None:
    """Point a label at a version, which must be there; a `LookupError` when it is not."""
    with database.transaction():
        sql = "SELECT count(*) FROM prompt_versions WHERE prompt_id = ? AND version = ?"
        if not database.scalar(sql, prompt_id, version):
            raise LookupError(f"Prompt {prompt_id!r} has no version {version}")
        sql = "INSERT OR REPLACE INTO prompt_labels (prompt_id, label, version) VALUES (?, ?, ?)"
        database.run(sql, prompt_id, label, version)


def _defaults(variables: list[dict[str, object]]) -> JSONObject:
    """Tell what a variable is when no value is given; of one that must be given nothing is told."""
    known: JSONObject = {}
    for it in variables:
        if it["default"] is not None or not it["required"]:
            known[str(it["name"])] = "" if it["default"] is None else it["default"]
    return known


def derive(content: str) -> list[JSONObject]:
    """Declare the variables of a content that came without declarations: all are texts and all are required."""
    return [variable(name) for name in templating.variables(content)]


def variable(name: str, **given: object) -> JSONObject:
    """Write a declaration with all its fields."""
    default: JSONObject = {"type": "text", "required": True, "default": None, "description": None, "options": []}
    return {"name": name, **default, **given}


def _keep_version(database: Database, row: tuple[str, int, str, str], now: float) -> None:
    sql = (
        "INSERT INTO prompt_versions (id, prompt_id, version, content, variables, created_at) VALUES (?, ?, ?, ?, ?, ?)"
    )
    database.run(sql, new_id("ver"), *row, int(now))


def _free_slug(database: Database, account: Account, title: str) -> str:
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_title).strip("-")[:_LONGEST_SLUG].strip("-") or "prompt"
    sql = "SELECT next FROM slug_numbers WHERE account_id = ? AND slug = ?"
    number = database.scalar(sql, account.id, base) or 1
    slug = base
    while True:
        slug = base if number == 1 else f"{base}-{number}"
        number += 1
        if database.one("SELECT 1 FROM prompts WHERE account_id = ? AND slug = ?", account.id, slug) is None:
            break
    sql = "INSERT OR REPLACE INTO slug_numbers (account_id, slug, next) VALUES (?, ?, ?)"
    database.run(sql, account.id, base, number)
    return slug


def variables_of(row: sqlite3.Row) -> list[dict[str, object]]:
    """Read a prompt's declared variables."""
    return cast("list[dict[str, object]]", json.loads(row["variables"]))
