"""Community templates, the same in every emulator."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.emulator.errors import found
from enprompta.emulator.stores import prompts
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject


@dataclass(frozen=True, slots=True)
class CommunityTemplate:
    """A template; its variables are those of its content.

    All defaults are strings, even those of numbers, because the published client reads only strings.
    """

    id: str
    title: str
    description: str
    category: str
    tags: list[str]
    content: str
    variables: dict[str, dict[str, object]] = field(default_factory=dict[str, "dict[str, object]"])
    """Declarations of the variables that are not plain required text, by name."""


def _select(default: str, *options: str) -> dict[str, object]:
    return {"type": "select", "required": False, "default": default, "options": list(options)}


_TONE = _select("friendly", "friendly", "formal", "playful")

TEMPLATES = (
    CommunityTemplate(
        "tpl_blog_outline",
        "Blog post outline",
        "An outline with sections, from a topic and its audience.",
        "writing",
        ["blog", "outline"],
        "Outline a blog post about {{topic}} for {{audience}} in {{sections}} sections, each with a summary.",
        {"sections": {"type": "number", "required": False, "default": "5"}},
    ),
    CommunityTemplate(
        "tpl_summarize",
        "Summarize a text",
        "A short summary of everything important.",
        "writing",
        ["summary"],
        "Summarize the text below in at most {{sentences}} sentences.\n\n{{text}}",
        {"sentences": {"type": "number", "required": False, "default": "3"}},
    ),
    CommunityTemplate(
        "tpl_translate",
        "Translate with context",
        "A translation that keeps tone and terms.",
        "writing",
        ["translation", "language"],
        "Translate the text below into {{language}}. Keep its tone, and do not translate names.\n\n{{text}}",
    ),
    CommunityTemplate(
        "tpl_product_description",
        "Product description",
        "A description for an online shop, from a product's features.",
        "marketing",
        ["shop", "copy"],
        "Write a {{tone}} product description of {{product}}. Mention these features: {{features}}.",
        {"tone": _TONE},
    ),
    CommunityTemplate(
        "tpl_newsletter",
        "Newsletter",
        "A newsletter from a list of news items.",
        "marketing",
        ["email", "newsletter"],
        "Write a {{tone}} newsletter for {{company}} from these items, one paragraph each:\n{{items}}",
        {"tone": _TONE},
    ),
    CommunityTemplate(
        "tpl_social_posts",
        "Social media posts",
        "Several posts about one message, for one network.",
        "marketing",
        ["social"],
        "Write {{number}} posts for {{network}} that say: {{message}}",
        {
            "number": {"type": "number", "required": False, "default": "3"},
            "network": _select("LinkedIn", "LinkedIn", "Mastodon", "Instagram"),
        },
    ),
    CommunityTemplate(
        "tpl_code_review",
        "Code review",
        "A review of a change: bugs first, then style.",
        "engineering",
        ["code", "review"],
        "Review this {{language}} code. List bugs first, then possible simplifications.\n\n{{code}}",
    ),
    CommunityTemplate(
        "tpl_unit_tests",
        "Unit tests",
        "Tests for a function, including edge cases.",
        "engineering",
        ["code", "testing"],
        "Write {{framework}} tests for this function, including edge cases. Name each test by its claim.\n\n{{code}}",
        {"framework": {"required": False, "default": "pytest"}},
    ),
    CommunityTemplate(
        "tpl_sql_query",
        "SQL from a question",
        "A query for a schema, from a question in plain language.",
        "engineering",
        ["sql", "data"],
        "Given this schema:\n{{schema}}\n\nWrite one {{dialect}} query that answers: {{question}}",
        {"dialect": _select("PostgreSQL", "PostgreSQL", "MySQL", "SQLite")},
    ),
    CommunityTemplate(
        "tpl_support_reply",
        "Support reply",
        "A reply to a customer, in your company's tone.",
        "support",
        ["email", "customer"],
        "Reply to this customer of {{company}} in a {{tone}} tone. Say what happens next, and when.\n\n{{message}}",
        {"tone": _TONE},
    ),
    CommunityTemplate(
        "tpl_ticket_triage",
        "Ticket triage",
        "The team and the urgency of a ticket, as JSON.",
        "support",
        ["classification", "json"],
        "Classify this ticket. Answer with JSON: team (one of {{teams}}), urgent (true or false).\n\n{{ticket}}",
    ),
    CommunityTemplate(
        "tpl_meeting_notes",
        "Meeting notes",
        "Decisions and tasks from a transcript.",
        "productivity",
        ["meeting", "summary"],
        "From this transcript, list the decisions, then the tasks with their owners and due dates.\n\n{{transcript}}",
    ),
    CommunityTemplate(
        "tpl_explain",
        "Explain like a teacher",
        "An explanation for an audience, with an example.",
        "education",
        ["learning"],
        "Explain {{concept}} to {{audience}}. Start from what they know and give one worked example.",
        {"audience": {"required": False, "default": "a curious beginner"}},
    ),
)


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
