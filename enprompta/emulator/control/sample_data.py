"""Sample data: what an account looks like after two weeks of use, so that every page has something to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enprompta import templating
from enprompta.emulator.database import new_id
from enprompta.emulator.stores import deliveries, executions, prompts, runs, teams, traces, webhooks, workflows
from enprompta.emulator.stores.executions import CompletionResult
from enprompta.webhooks.signature import sign

if TYPE_CHECKING:
    import sqlite3

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

_DAYS = 14
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
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
_TICKETS = (
    ("Where is order 1042?", "It left our warehouse on Tuesday and arrives tomorrow."),
    ("Can I change my delivery address?", "Yes, until the parcel has left our warehouse."),
    ("My teapot arrived broken.", "I am sorry. A new one is on its way; you can keep the old one."),
    ("Which tea has no caffeine?", "All our herbal teas: rooibos, mint and camomile."),
    ("Please cancel order 1057.", "I cannot reach our order system at the moment. Please try again in an hour."),
    ("Do you ship to Norway?", "Yes, within five days."),
)
# Name, type, parent, start and duration of each span in milliseconds.
_SPANS = (
    ("answer a ticket", "AGENT", None, 0, 1240),
    ("search the help center", "RETRIEVAL", 0, 8, 210),
    ("embed the question", "EMBEDDING", 1, 12, 74),
    ("look up the order", "TOOL", 0, 226, 148),
    ("draft the reply", "LLM", 0, 382, 846),
)
_FAILED = 4  # the ticket of which a span fails
_RECEIVER = "http://127.0.0.1:8000/"
_HANDLED = 200
_DELIVERIES = ((200,), (500, 500, 500), (200,), (200,), (500, 200), (200,))  # statuses of the attempts of each
_ANSWERS = {
    200: 'Content-Type: application/json\r\n\r\n{"status": "handled"}',
    500: "Content-Type: text/plain\r\n\r\nOut of memory",
}


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
        add_requests(database, account, _DAYS, now)
        add_runs(database, account, workflow, definition["steps"], now)
        add_traces(database, account, rows[1], now)
        add_webhook(database, account, rows[0], now)


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


def add_requests(database: Database, account: Account, days: int, now: float) -> None:
    """Count requests of the days before today, fewer at weekends."""
    today = int(now) // _DAY
    for day in range(today - days + 1, today):
        is_weekend = (day + 3) % 7 >= 5  # noqa: PLR2004 (day 0 was a Thursday)
        requests = 18 + day * 37 % 11 if is_weekend else 64 + day * 53 % 41
        database.run(
            "INSERT OR IGNORE INTO request_days (account_id, start, requests) VALUES (?, ?, ?)",
            *(account.id, day * _DAY, requests),
        )


def add_runs(database: Database, account: Account, workflow: sqlite3.Row, steps: list[JSONObject], now: float) -> None:
    """Run a workflow three times in the last two hours; the last step of one run fails."""
    for number, language in enumerate(("French", "German", "Klingon")):
        at = now - (80 - 25 * number) * _MINUTE
        given = {"article": "Tea is the most popular drink in the world after water.", "language": language}
        run = runs.create(database, account, workflow, given, at)
        error = "The model does not know this language" if language == "Klingon" else None
        output = None
        for place, step in enumerate(steps):
            is_failed = error is not None and place == len(steps) - 1
            output = None if is_failed else f"{'' if place == 0 else f'In {language}: '}People drink tea everywhere."
            result = CompletionResult(
                "openai", "gpt-4o-mini", 640 + 90 * place, output, 0 if is_failed else 58, error if is_failed else None
            )
            runs.begin_step(database, run["id"], str(step["id"]), at + place)
            execution = executions.record(
                database, account, result, prompt_id=str(step["promptId"]), variables=given, now=at + place
            )
            runs.end_step(database, run["id"], str(step["id"]), execution)
        status = runs.COMPLETED if error is None else runs.FAILED
        runs.finish(database, run["id"], status=status, output=output, error=error, now=at + len(steps))


def add_traces(database: Database, account: Account, prompt: sqlite3.Row, now: float) -> None:
    """Trace a support agent; one of its traces fails."""
    for number, (question, answer) in enumerate(_TICKETS):
        start = now - (len(_TICKETS) - number) * 5 * _HOUR + 600
        failure = "The order service does not respond" if number == _FAILED else None
        tokens = {"input_tokens": 180 + 31 * number, "output_tokens": len(answer) // 3}
        trace_id = traces.record(
            database,
            account,
            {
                **tokens,
                "prompt_id": prompt["id"],
                "session_id": f"chat-{number // 2 + 1}",
                "provider": "openai",
                "model": "gpt-4o-mini",
                "input": question,
                "output": answer,
                "latency_ms": _SPANS[0][4] + 90 * number,
                "cost": round(sum(tokens.values()) * 4e-6, 6),
                "status": "SUCCESS" if failure is None else "ERROR",
                "error_message": failure,
                "metadata": {"promptName": prompt["slug"], "promptVersion": prompt["version"], "service": "support"},
            },
            start,
        )
        ids: list[str] = []
        for name, kind, parent, begins, duration in _SPANS:
            is_model, is_failed = kind == "LLM", kind == "TOOL" and failure is not None
            given = {
                "name": name,
                "span_type": kind,
                "parent_span_id": None if parent is None else ids[parent],
                "start_time": int((start + begins / 1000) * 1_000_000_000),
                "duration_ms": duration + (90 * number if kind in {"AGENT", "LLM"} else 0),
                "input": question,
                "output": answer if kind in {"AGENT", "LLM"} else {"found": not is_failed},
                "tokens": sum(tokens.values()) if is_model else None,
                "cost": round(sum(tokens.values()) * 4e-6, 6) if is_model else None,
                "status": "ERROR" if is_failed else "SUCCESS",
                "error_message": failure if is_failed else None,
                "metadata": {"gen_ai.request.model": "gpt-4o-mini"} if is_model else {},
            }
            ids.append(traces.create_span(database, account, trace_id, given, start))


def add_webhook(database: Database, account: Account, prompt: sqlite3.Row, now: float) -> None:
    """Add a webhook with deliveries; it is paused, so that nothing is sent."""
    subscribed = {"name": "Costs", "url": _RECEIVER, "events": ["prompt.executed", "workflow.completed"]}
    webhook = webhooks.create(database, account, subscribed, now - 3 * _DAY)
    for number, answers in enumerate(_DELIVERIES):
        at = now - (len(_DELIVERIES) - number) * 4 * _HOUR
        data: JSONObject = {
            "prompt_id": prompt["id"],
            "status": "completed",
            "tokens_used": 61 + number,
            "cost": 0.0031,
        }
        row = deliveries.create(
            database, webhook["id"], event_id=new_id("evt"), event_type="prompt.executed", data=data, now=at
        )
        signature = sign(row["body"], webhook["secret"])
        for attempt, answered in enumerate(answers, start=1):
            failed = deliveries.FAILED if attempt == len(answers) else deliveries.RETRYING
            status = deliveries.DELIVERED if answered == _HANDLED else failed
            latency, content = 18 + 7 * attempt, _ANSWERS[answered].encode()
            deliveries.record(database, row, status=status, response_status=answered, latency=latency, now=at + attempt)
            made = deliveries.DeliveryAttempt(row["id"], attempt, at + attempt, signature, answered, latency, content)
            deliveries.record_attempt(database, made)
    webhooks.update(database, account, webhook["id"], {"is_active": False}, now)
