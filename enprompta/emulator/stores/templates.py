"""Community templates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta.emulator.errors import not_found
from enprompta.emulator.stores import prompts
from enprompta.emulator.stores.community_templates import TEMPLATES
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import iso

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a template as JSON."""
    return {
        "id": row["id"],
        "title": row["title"],
        "content": row["content"],
        "description": row["description"],
        "category": row["category"],
        "tags": json.loads(row["tags"]),
        "variables": json.loads(row["variables"]),
        "usageCount": row["usage_count"],
        "createdAt": iso(row["created_at"]),
    }


def seed(database: Database, now: float) -> None:
    """Store the community templates that are missing."""
    sql = (
        "INSERT OR IGNORE INTO templates (id, title, content, description, category, tags, variables, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    with database.transaction():
        for it in TEMPLATES:
            variables = [
                prompts.variable(name, **it.variables.get(name, {}))
                for name in (variable["name"] for variable in prompts.derive(it.content))
                if isinstance(name, str)
            ]
            texts = (it.id, it.title, it.content, it.description, it.category)
            database.run(sql, *texts, json.dumps(it.tags), json.dumps(variables), int(now))


def get(database: Database, template_id: str) -> sqlite3.Row:
    """Return a template, or raise a 404."""
    row = database.one("SELECT * FROM templates WHERE id = ?", template_id)
    if row is None:
        raise not_found("Template", template_id)
    return row


def listing(*, category: str | None, search: str | None) -> Listing:
    """List the templates, newest first."""
    where: list[str] = []
    args: list[object] = []
    if category is not None:
        where.append("category = ?")
        args.append(category)
    if search:
        where.append("contains(?, title, content, description)")
        args.append(search.casefold())
    return Listing("templates", "templates", where, args)


def fork(database: Database, account: Account, template_id: str, title: str | None, now: float) -> str:
    """Create a prompt from a template and return the prompt's id."""
    with database.transaction():
        row = get(database, template_id)
        copied = {name: row[name] for name in ("title", "content", "description", "category")}
        lists = {name: json.loads(row[name]) for name in ("tags", "variables")}
        prompt = prompts.create(database, account, {**copied, **lists, "title": title or row["title"]}, now)
        database.run("UPDATE templates SET usage_count = usage_count + 1 WHERE id = ?", template_id)
        return str(prompt["id"])
