"""Community templates."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.emulator.errors import found
from enprompta.emulator.stores import prompts
from enprompta.emulator.stores.community_templates import TEMPLATES
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a template as JSON."""
    return as_json(row, "id title content description category tags variables usage_count created_at")


def seed(database: Database, now: float) -> None:
    """Store the community templates that are missing."""
    with database.transaction():
        for it in TEMPLATES:
            names = templating.variables(it.content)
            variables = [prompts.variable(name, **it.variables.get(name, {})) for name in names]
            row = {**asdict(it), "variables": variables, "created_at": int(now)}
            database.insert("templates", row, "ON CONFLICT DO NOTHING")


def get(database: Database, template_id: str) -> sqlite3.Row:
    """Return a template, or raise a 404."""
    return found(database.one("SELECT * FROM templates WHERE id = ?", template_id), "Template", template_id)


def listing(**filters: object) -> Listing:
    """List the templates, newest first, with the filters of `Listing.filtered`."""
    return Listing("templates", "templates", [], []).filtered(filters, "title, content, description")


def fork(database: Database, account: Account, template_id: str, title: str | None, now: float) -> str:
    """Create a prompt from a template and return the prompt's id."""
    with database.transaction():
        row = get(database, template_id)
        copied = {name: row[name] for name in ("title", "content", "description", "category")}
        lists = {name: json.loads(row[name]) for name in ("tags", "variables")}
        prompt = prompts.create(database, account, {**copied, **lists, "title": title or row["title"]}, now)
        database.run("UPDATE templates SET usage_count = usage_count + 1 WHERE id = ?", template_id)
        return str(prompt["id"])
