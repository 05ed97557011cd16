"""Prompts, their versions and labels."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from enprompta import templating
from enprompta.emulator.database import new_id
from enprompta.emulator.errors import FORBIDDEN, ApiError, found, not_found
from enprompta.emulator.stores import teams
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json, iso

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
_MAX_SLUG = 80
_COLUMNS = (
    "id title slug content description category tags variables visibility version usage_count team_id created_at "
    "updated_at"
)


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a prompt as JSON."""
    return as_json(row, _COLUMNS)


def create(database: Database, account: Account, values: Mapping[str, Any], now: float) -> sqlite3.Row:
    """Store a new prompt; `values` are validated fields by their columns, at least `title` and `content`.

    Without `variables`, they are derived from the content and follow its changes. The default visibility is TEAM in a
    team, else PRIVATE.
    """
    prompt_id, content = new_id("pmt"), values["content"]
    row: JSONObject = {
        "tags": [],
        "visibility": _TEAM if values.get("team_id") else _PRIVATE,
        **values,
        "variables": values.get("variables") or derive(content),
        "declared": bool(values.get("variables")),
        "version": 1,
        "created_at": int(now),
        "updated_at": int(now),
    }
    with database.transaction():
        slug = _free_slug(database, account, values["title"])
        database.insert("prompts", {**row, "id": prompt_id, "account_id": account.id, "slug": slug})
        created = get(database, account, prompt_id)
        _store_version(database, created, now)
        return created


def get(database: Database, account: Account, prompt_id: str) -> sqlite3.Row:
    """Return a prompt that the account can see, or raise a 404.

    A PRIVATE prompt, or one without a team, is visible to its creator; any other to the members of its team.
    """
    sql = f"SELECT * FROM prompts WHERE id = ? AND {_VISIBLE}"  # noqa: S608 (no input in it)
    return found(database.one(sql, prompt_id, account.id, account.user_id), "Prompt", prompt_id)


def get_writable(database: Database, account: Account, prompt_id: str) -> sqlite3.Row:
    """Return a prompt that the account may change and execute; raise a 404 or, for lack of permission, a 403."""
    row = get(database, account, prompt_id)
    if row["visibility"] != _PRIVATE:
        teams.require_writer(database, account, row["team_id"])
    return row


def update(database: Database, account: Account, prompt_id: str, values: Mapping[str, Any], now: float) -> sqlite3.Row:
    """Update the given fields; changed content becomes a new version."""
    with database.transaction():
        row = get_writable(database, account, prompt_id)
        if not values:
            return row
        if row["account_id"] != account.id and (
            values.get("visibility") == _PRIVATE or values.get("team_id", row["team_id"]) != row["team_id"]
        ):
            raise ApiError(
                FORBIDDEN, "Insufficient permissions: only the creator of the prompt may remove it from its team"
            )
        changes = {**values, "updated_at": int(now)}
        content = values.get("content", row["content"])
        if "variables" in values:
            changes |= {"declared": bool(values["variables"]), "variables": values["variables"] or derive(content)}
        elif not row["declared"]:
            changes["variables"] = derive(content)
        if content != row["content"]:
            changes["version"] = row["version"] + 1
        database.update("prompts", prompt_id, changes)
        row = get(database, account, prompt_id)
        _store_version(database, row, now)
        return row


def delete(database: Database, account: Account, prompt_id: str) -> None:
    """Delete a prompt with its versions and labels; its executions remain."""
    get_writable(database, account, prompt_id)
    database.run("DELETE FROM prompts WHERE id = ?", prompt_id)


def listing(account: Account, **filters: object) -> Listing:
    """List the prompts that an account can see, newest first, with the filters of `Listing.filtered`."""
    visible = Listing("prompts", "prompts", [_VISIBLE], [account.id, account.user_id])
    return visible.filtered(filters, "title, content, description")


def live(database: Database, account: Account, slug: str, label: str) -> JSONObject:
    """Return the live version of a prompt, the one that a label points at, as JSON.

    The slug may be an id. The account's prompts take precedence over its teams'.
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
    """Point a label at a version; raise a `LookupError` if the version does not exist."""
    with database.transaction():
        sql = "SELECT count(*) FROM prompt_versions WHERE prompt_id = ? AND version = ?"
        if not database.scalar(sql, prompt_id, version):
            raise LookupError(f"Prompt {prompt_id!r} has no version {version}")
        sql = "INSERT OR REPLACE INTO prompt_labels (prompt_id, label, version) VALUES (?, ?, ?)"
        database.run(sql, prompt_id, label, version)


def versions(database: Database, prompt_id: str) -> list[JSONObject]:
    """List a prompt's versions as JSON, newest first, with the labels that point at each."""
    labels: dict[int, list[str]] = {}
    for row in database.all("SELECT label, version FROM prompt_labels WHERE prompt_id = ? ORDER BY label", prompt_id):
        labels.setdefault(row["version"], []).append(row["label"])
    rows = database.all("SELECT * FROM prompt_versions WHERE prompt_id = ? ORDER BY version DESC", prompt_id)
    moved = {label for names in labels.values() for label in names}
    if rows:  # without a row, these labels follow the newest version
        labels[rows[0]["version"]] = [*_NEWEST_LABELS - moved, *labels.get(rows[0]["version"], [])]
    return [
        {**as_json(row, "version content variables created_at"), "labels": sorted(labels.get(row["version"], []))}
        for row in rows
    ]


def remove_label(database: Database, prompt_id: str, label: str) -> None:
    """Remove a label from a prompt; raise a `LookupError` if it was not set."""
    sql = "DELETE FROM prompt_labels WHERE prompt_id = ? AND label = ?"
    if not database.run(sql, prompt_id, label):
        raise LookupError(f"Prompt {prompt_id!r} has no label {label!r}")


def _defaults(variables: list[dict[str, object]]) -> JSONObject:
    """Return the defaults of the optional variables, by name."""
    optional = [it for it in variables if it["default"] is not None or not it["required"]]
    return {str(it["name"]): "" if it["default"] is None else it["default"] for it in optional}


def derive(content: str) -> list[JSONObject]:
    """Declare the variables in a content, each as required text."""
    return [variable(name) for name in templating.variables(content)]


def variable(name: str, **given: object) -> JSONObject:
    """Return the declaration of a variable, with defaults for the fields not given."""
    default: JSONObject = {"type": "text", "required": True, "default": None, "description": None, "options": []}
    return {"name": name, **default, **given}


def _store_version(database: Database, row: sqlite3.Row, now: float) -> None:
    """Store the newest version of a prompt, or its changed variables."""
    version = {"id": new_id("ver"), "prompt_id": row["id"], "created_at": int(now)}
    version |= {name: row[name] for name in ("version", "content", "variables")}
    conflict = "ON CONFLICT (prompt_id, version) DO UPDATE SET variables = excluded.variables"
    database.insert("prompt_versions", version, conflict)


def _free_slug(database: Database, account: Account, title: str) -> str:
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_title).strip("-")[:_MAX_SLUG].strip("-") or "prompt"
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
    """Return the declared variables of a prompt."""
    return json.loads(row["variables"])
