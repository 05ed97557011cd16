"""Sample data: what an account looks like after two weeks of use, so that every page has something to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enprompta import templating
from enprompta.emulator.control import sample_activity
from enprompta.emulator.stores import executions, prompts, teams, workflows
from enprompta.emulator.stores.executions import CompletionResult

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database

_DAY = 86_400
_DAYS = 14
_MODELS = (
    ("openai", "gpt-4o-mini", 640),
    ("anthropic", "claude-3-5-haiku-latest", 820),
    ("google", "gemini-2.0-flash", 410),
)
_PROMPTS: tuple[dict[str, Any], ...] = (
    {
        "title": "Summarize an article",
        "content": "Summarize the following article in {{sentences}} sentences:\n\n{{article}}",
        "description": "A short summary for a newsletter.",
        "category": "content",
        "tags": ["summary", "newsletter"],
        "variables": [
            prompts.variable("article", description="Text of the article"),
            prompts.variable("sentences", type="number", required=False, default=3),
        ],
    },
    {
        "title": "Reply to a support ticket",
        "content": "You are a support agent of {{company}}. Reply to this ticket in a {{tone}} tone:\n\n{{ticket}}",
        "description": "A first draft for the support team.",
        "category": "support",
        "tags": ["support", "email"],
        "variables": [
            prompts.variable("company", default="Acme", required=False),
            prompts.variable("ticket", description="Text of the ticket"),
            prompts.variable("tone", type="select", options=["friendly", "formal"], default="friendly"),
        ],
    },
    {
        "title": "Translate",
        "content": "Translate into {{language}}: {{text}}",
        "category": "content",
        "tags": ["translation"],
    },
)
_VALUES: tuple[dict[str, object], ...] = (
    {"article": "Tea is the most popular drink in the world after water.", "sentences": 1},
    {"company": "Acme", "ticket": "My parcel has not arrived.", "tone": "friendly"},
    {"language": "French", "text": "Good morning"},
)


def add_sample_data(database: Database, account: Account, now: float) -> None:
    """Add prompts with versions and labels, a team, a workflow, and two weeks of activity to an account."""
    with database.transaction():
        start = now - _DAYS * _DAY
        rows = [prompts.create(database, account, values, start) for values in _PROMPTS]
        improved = f"{_PROMPTS[0]['content']}\n\nKeep names and numbers."
        prompts.update(database, account, rows[0]["id"], {"content": improved}, now - 3 * _DAY)
        prompts.set_label(database, rows[0]["id"], "production", 1)
        prompts.set_label(database, rows[0]["id"], "staging", 2)
        team = teams.create(database, account, "Content", "Writers and reviewers", start)
        teams.add(database, team["id"], "ada@example.com", "MEMBER", start)
        definition = _workflow(rows)
        workflow = workflows.create(database, account, definition, start)
        for number in range(_DAYS * 6):
            _record(database, account, rows, number, start + (number + 1) * (_DAY // 6) - _DAY // 12)
        sample_activity.add_requests(database, account, _DAYS, now)
        sample_activity.add_runs(database, account, workflow, definition["steps"], now)
        sample_activity.add_traces(database, account, rows[1], now)
        sample_activity.add_webhook(database, account, rows[0], now)


def _workflow(rows: list[sqlite3.Row]) -> dict[str, Any]:
    step: dict[str, Any] = {"provider": "openai", "model": "gpt-4o-mini", "options": {}}
    summary = {"article": "{{input.article}}", "sentences": "2"}
    translation = {"language": "{{input.language}}", "text": "{{steps.summary.output}}"}
    return {
        "name": "Summarize and translate",
        "description": "Summarizes an article, then translates the summary.",
        "steps": [
            {**step, "id": "summary", "promptId": rows[0]["id"], "variables": summary, "dependsOn": []},
            {**step, "id": "translation", "promptId": rows[2]["id"], "variables": translation, "dependsOn": []},
        ],
    }


def _record(database: Database, account: Account, rows: list[sqlite3.Row], number: int, at: float) -> None:
    """Record one past execution; the choice of prompt and model, and the failures, follow from its number."""
    which = (number * number + number // 5) % len(rows)
    provider, model, latency = _MODELS[(number // 2) % len(_MODELS)]
    failed = number % 17 == 16  # noqa: PLR2004 (a few of them)
    output = None if failed else templating.render(rows[which]["content"], _VALUES[which])
    result = CompletionResult(
        provider,
        model,
        latency + number * 37 % 290,
        output,
        0 if output is None else len(output) // 4 + 20 + number * 13 % 90,
        "The model is overloaded" if failed else None,
    )
    executions.record(database, account, result, prompt_id=rows[which]["id"], variables=_VALUES[which], now=at)
