"""Every call that the client can make, with the fewest arguments and with all; the ids are those that `sow` plants.

In this order each row succeeds on an emulator that was sown, also after those before it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from enprompta import Call
from enprompta.models import PromptVariable, WorkflowStep
from tests.conformance.document import SCHEMAS
from tests.conformance.seeds import PLAIN_PROMPT, TEAMS_TO_LEAVE

if TYPE_CHECKING:
    from collections.abc import Callable

    Do = Callable[[Any], Any]

TEAM, USER, PROMPT, OTHER_PROMPT = "tem_abc123", "usr_abc123", "pmt_abc123", "pmt_def456"
TRACE, SPAN = "trc_abc123", "spn_abc123"
WORKFLOW, RUN, WEBHOOK, DELIVERY = "wfl_abc123", "wfe_abc123", "whk_abc123", "dlv_abc123"
KEY = "conformance"
MOMENT, DAY = datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc), date(2099, 1, 31)
VARIABLE = PromptVariable(name="topic", type="text", required=True, default=None, description="What about", options=[])
SELECT = {"name": "tone", "type": "select", "required": False, "default": "dry", "options": ["dry", "warm"]}
PROMPT_FIELDS: dict[str, Any] = {
    "title": "Launch",
    "content": "Write a {{tone}} post about {{topic}}",
    "description": "News",
    "category": "marketing",
    "tags": ["a", "b"],
    "variables": [VARIABLE, SELECT],
    "visibility": "TEAM",
}
EXPORT = Call(
    "POST",
    "/api/ingest/otlp/v1/traces",
    dict,
    json=SCHEMAS["ExportTraceRequest"]["examples"][0],
    enveloped=False,
)
STEPS: list[Any] = [
    {"id": "outline", "prompt_id": PLAIN_PROMPT},
    WorkflowStep(
        id="draft",
        prompt_id=OTHER_PROMPT,
        provider="openai",
        model="gpt-4",
        variables={"outline": "{{steps.outline.output}} {{input.topic}}"},
        options={"temperature": 0, "maxTokens": 5, "topP": 0.5, "stopSequences": ["END"]},
        depends_on=["outline"],
    ),
]


def cursor(listing: str) -> str:
    """A cursor of a listing, as the emulator makes them: what comes before a number that nothing reaches."""
    return base64.urlsafe_b64encode(f"{listing}<{10**9}".encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Row:
    """One method of the client and the operation that it calls."""

    operation: str
    method: str
    minimal: Do
    full: Do | None = None
    """None where there is nothing more to give, or where it can be done only once."""


TABLE = [
    Row("health.get", "health", lambda c: c.health(), lambda c: c.health(detailed=True)),
    Row(
        "prompts.list",
        "prompts.list",
        lambda c: c.prompts.list(),
        lambda c: c.prompts.list(
            limit=5, cursor=cursor("prompts"), visibility="TEAM", category="marketing", search="x", team_id=TEAM
        ),
    ),
    Row(
        "prompts.create",
        "prompts.create",
        lambda c: c.prompts.create(title="Plain", content="Hello"),
        lambda c: c.prompts.create(**PROMPT_FIELDS, team_id=TEAM, idempotency_key=f"{KEY} create"),
    ),
    Row("prompts.get", "prompts.get", lambda c: c.prompts.get(PROMPT)),
    Row(
        "prompts.update",
        "prompts.update",
        lambda c: c.prompts.update(PROMPT),
        lambda c: c.prompts.update(PROMPT, **PROMPT_FIELDS, team_id=TEAM, idempotency_key=KEY),
    ),
    Row(
        "prompts.execute",
        "prompts.execute",
        lambda c: c.prompts.execute(PLAIN_PROMPT),
        lambda c: c.prompts.execute(
            OTHER_PROMPT,
            provider="openai",
            model="gpt-4",
            variables={"outline": "1. Why"},
            temperature=0.7,
            max_tokens=500,
            top_p=0.9,
            stop_sequences=["END"],
            idempotency_key=f"{KEY} execute",
        ),
    ),
    Row(
        "prompts.get_live",
        "prompts.get_live",
        lambda c: c.prompts.get_live("launch-announcement"),
        lambda c: c.prompts.get_live("launch-announcement", label="latest", project="blog"),
    ),
    Row(
        "executions.list",
        "executions.list",
        lambda c: c.executions.list(),
        lambda c: c.executions.list(
            limit=5,
            cursor=cursor("executions"),
            prompt_id=PLAIN_PROMPT,
            provider="echo",
            start_date=MOMENT,
            end_date=DAY,
        ),
    ),
    Row(
        "executions.stats",
        "executions.stats",
        lambda c: c.executions.stats(),
        lambda c: c.executions.stats(group_by="model", start_date=MOMENT, end_date=DAY),
    ),
    Row("executions.get", "executions.get", lambda c: c.executions.get("exe_xyz789")),
    Row(
        "templates.list",
        "templates.list",
        lambda c: c.templates.list(),
        lambda c: c.templates.list(limit=5, cursor=cursor("templates"), category="marketing", search="x"),
    ),
    Row("templates.get", "templates.get", lambda c: c.templates.get("tpl_abc123")),
    Row(
        "templates.fork",
        "templates.fork",
        lambda c: c.templates.fork("tpl_abc123"),
        lambda c: c.templates.fork("tpl_abc123", title="Ours", idempotency_key=f"{KEY} fork"),
    ),
    Row(
        "workflows.list",
        "workflows.list",
        lambda c: c.workflows.list(),
        lambda c: c.workflows.list(limit=5, cursor=cursor("workflows"), search="x", team_id=TEAM),
    ),
    Row(
        "workflows.create",
        "workflows.create",
        lambda c: c.workflows.create(name="One", steps=STEPS[:1]),
        lambda c: c.workflows.create(
            name="Two", steps=STEPS, description="Two steps", team_id=TEAM, idempotency_key=f"{KEY} workflow"
        ),
    ),
    Row("workflows.get", "workflows.get", lambda c: c.workflows.get(WORKFLOW)),
    Row(
        "workflows.update",
        "workflows.update",
        lambda c: c.workflows.update(WORKFLOW),
        lambda c: c.workflows.update(
            WORKFLOW, name="Two", steps=STEPS, description=None, team_id=None, idempotency_key=f"{KEY} steps"
        ),
    ),
    Row(
        "workflows.execute",
        "workflows.execute",
        lambda c: c.workflows.execute(WORKFLOW, input={"topic": "tea"}),
        lambda c: c.workflows.execute(WORKFLOW, input={"topic": "tea"}, idempotency_key=f"{KEY} run"),
    ),
    Row(
        "workflows.executions.list",
        "workflows.list_executions",
        lambda c: c.workflows.list_executions(WORKFLOW),
        lambda c: c.workflows.list_executions(
            WORKFLOW, limit=5, cursor=cursor("workflow-executions"), status="running"
        ),
    ),
    Row("workflows.executions.get", "workflows.get_execution", lambda c: c.workflows.get_execution(WORKFLOW, RUN)),
    Row(
        "workflows.executions.cancel",
        "workflows.cancel_execution",
        lambda c: c.workflows.cancel_execution(WORKFLOW, RUN, idempotency_key=f"{KEY} cancel"),
    ),
    Row(
        "traces.list",
        "traces.list",
        lambda c: c.traces.list(),
        lambda c: c.traces.list(
            limit=5,
            offset=1,
            prompt_id=PROMPT,
            session_id="chat-1",
            provider="openai",
            model="gpt-4",
            environment="production",
            status="SUCCESS",
            start_date=MOMENT,
            end_date=DAY,
        ),
    ),
    Row(
        "traces.record",
        "traces.record",
        lambda c: c.traces.record(provider="openai", model="gpt-4", input="Hello", output="Hi."),
        lambda c: c.traces.record(
            provider="openai",
            model="gpt-4",
            input="Hello",
            output="Hi.",
            system_prompt="Be brief.",
            temperature=0.2,
            max_tokens=100,
            top_p=0.9,
            input_tokens=12,
            output_tokens=3,
            latency_ms=850,
            cost=0.0005,
            status="CONTENT_FILTERED",
            error_message="Filtered",
            error_code="filter",
            finish_reason="content_filter",
            session_id="chat-1",
            prompt_id=PROMPT,
            environment="staging",
            metadata={"feature": "chat", "turn": 2},
            idempotency_key=f"{KEY} trace",
        ),
    ),
    Row("traces.analytics", "traces.analytics", lambda c: c.traces.analytics(), lambda c: c.traces.analytics(days=30)),
    Row("traces.get", "traces.get", lambda c: c.traces.get(TRACE)),
    Row("traces.spans", "traces.spans", lambda c: c.traces.spans(TRACE)),
    Row(
        "traces.create_span",
        "traces.create_span",
        lambda c: c.traces.create_span(TRACE, name="search", span_type="RETRIEVAL"),
        lambda c: c.traces.create_span(
            TRACE,
            name="search",
            span_type="TOOL",
            parent_span_id=SPAN,
            input={"query": "tea"},
            output=["doc1"],
            start_time=MOMENT,
            end_time=MOMENT,
            duration_ms=150,
            tokens=5,
            cost=0.1,
            status="ERROR",
            error_message="No",
            metadata={"k": 1},
            idempotency_key=f"{KEY} span",
        ),
    ),
    Row("ingest.traces", "run", lambda c: c.run(EXPORT)),
    Row(
        "teams.list",
        "teams.list",
        lambda c: c.teams.list(),
        lambda c: c.teams.list(limit=5, cursor=cursor("teams")),
    ),
    Row(
        "teams.create",
        "teams.create",
        lambda c: c.teams.create(name="Support"),
        lambda c: c.teams.create(name="Support", description="Answers", idempotency_key=f"{KEY} team"),
    ),
    Row("teams.get", "teams.get", lambda c: c.teams.get(TEAM)),
    Row(
        "teams.update",
        "teams.update",
        lambda c: c.teams.update(TEAM),
        lambda c: c.teams.update(TEAM, name="Writers", description=None, idempotency_key=f"{KEY} rename"),
    ),
    Row(
        "teams.members.list",
        "teams.list_members",
        lambda c: c.teams.list_members(TEAM),
        lambda c: c.teams.list_members(TEAM, limit=5, cursor=cursor("members")),
    ),
    Row(
        "teams.members.add",
        "teams.add_member",
        lambda c: c.teams.add_member(TEAM, email="bob@example.com"),
        lambda c: c.teams.add_member(TEAM, email="eve@example.com", role="VIEWER", idempotency_key=f"{KEY} add"),
    ),
    Row(
        "teams.members.update",
        "teams.update_member",
        lambda c: c.teams.update_member(TEAM, USER, role="ADMIN"),
        lambda c: c.teams.update_member(TEAM, USER, role="VIEWER", idempotency_key=f"{KEY} role"),
    ),
    Row("teams.members.remove", "teams.remove_member", lambda c: c.teams.remove_member(TEAM, USER)),
    Row(
        "teams.leave",
        "teams.leave",
        lambda c: c.teams.leave(TEAMS_TO_LEAVE[0]),
        lambda c: c.teams.leave(TEAMS_TO_LEAVE[1], idempotency_key=f"{KEY} leave"),
    ),
    Row("webhooks.list", "webhooks.list", lambda c: c.webhooks.list()),
    Row(
        "webhooks.create",
        "webhooks.create",
        lambda c: c.webhooks.create(name="Log", url="http://127.0.0.1:9/", events=["prompt.executed"]),
        lambda c: c.webhooks.create(
            name="Log",
            url="http://127.0.0.1:9/",
            events=["workflow.completed", "workflow.failed"],
            description="Audit",
            idempotency_key=f"{KEY} hook",
        ),
    ),
    Row("webhooks.get", "webhooks.get", lambda c: c.webhooks.get(WEBHOOK)),
    Row(
        "webhooks.update",
        "webhooks.update",
        lambda c: c.webhooks.update(WEBHOOK),
        lambda c: c.webhooks.update(
            WEBHOOK,
            name="Log",
            url="http://127.0.0.1:9/",
            events=["team.member_added", "team.member_removed"],
            description=None,
            is_active=True,
            idempotency_key=f"{KEY} change",
        ),
    ),
    Row(
        "webhooks.deliveries.list",
        "webhooks.list_deliveries",
        lambda c: c.webhooks.list_deliveries(WEBHOOK),
        lambda c: c.webhooks.list_deliveries(WEBHOOK, limit=5, cursor=cursor("deliveries")),
    ),
    Row(
        "webhooks.deliveries.retry",
        "webhooks.retry_delivery",
        lambda c: c.webhooks.retry_delivery(WEBHOOK, DELIVERY, idempotency_key=f"{KEY} retry"),
    ),
    Row(
        "webhooks.test",
        "webhooks.test",
        lambda c: c.webhooks.test(WEBHOOK),
        lambda c: c.webhooks.test(WEBHOOK, idempotency_key=f"{KEY} test"),
    ),
    Row(
        "webhooks.rotate_secret",
        "webhooks.rotate_secret",
        lambda c: c.webhooks.rotate_secret(WEBHOOK),
        lambda c: c.webhooks.rotate_secret(WEBHOOK, idempotency_key=f"{KEY} rotate"),
    ),
    Row("usage.get", "usage.get", lambda c: c.usage.get()),
    Row(
        "usage.history",
        "usage.history",
        lambda c: c.usage.history(),
        lambda c: c.usage.history(start_date=MOMENT, end_date=DAY, group_by="prompt"),
    ),
    Row("billing.get", "usage.billing", lambda c: c.usage.billing()),
    Row(
        "billing.invoices.list",
        "usage.invoices",
        lambda c: c.usage.invoices(),
        lambda c: c.usage.invoices(limit=5, cursor=cursor("invoices")),
    ),
    Row("prompts.delete", "prompts.delete", lambda c: c.prompts.delete(OTHER_PROMPT)),
    Row("workflows.delete", "workflows.delete", lambda c: c.workflows.delete(WORKFLOW)),
    Row("webhooks.delete", "webhooks.delete", lambda c: c.webhooks.delete(WEBHOOK)),
    Row("teams.delete", "teams.delete", lambda c: c.teams.delete(TEAM)),
]

EXTRAS: dict[str, Do] = {
    "webhooks.enable": lambda c: c.webhooks.enable(WEBHOOK),
    "webhooks.disable": lambda c: c.webhooks.disable(WEBHOOK),
    "workflows.wait": lambda c: c.workflows.wait(WORKFLOW, RUN),
    "workflows.execute_and_wait": lambda c: c.workflows.execute_and_wait(WORKFLOW, input={"topic": "tea"}),
}
"""Methods that make calls of other rows, for convenience."""
COMPOSED = ("prompts.execute_many", "prompts.preload", "prompts.invalidate", "prompts.on_event")
"""Methods that make any number of calls of other rows, and are tested on their own."""
