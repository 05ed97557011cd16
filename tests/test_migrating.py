"""The page on migrating leaves out nothing that the published 1.4.0 offered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "migrating.md").read_text(encoding="utf-8")

# Every public class, function and method of the wheel of 1.4.0, its modules and its types included.
CALLS = {
    "client": "close health paginate request get post put patch delete trace redact_pii",
    "prompts": "list get get_live create update delete list_all",
    "executions": "execute list get list_all",
    "templates": "list get fork list_all",
    "teams": "list get create update delete list_members add_member update_member_role remove_member leave",
    "webhooks": "list get create update delete enable disable list_deliveries retry_delivery test rotate_secret",
    "traces": "record get list list_all create_span get_spans get_analytics wrap",
}
NAMES = """
Enprompta trace traced_openai EnpromptaTrace EnpromptaSpan auto_instrument shutdown_auto_instrument
instrument_frameworks FrameworkInstrumentation PiiConfig redact_pii
EnpromptaError ApiError AuthenticationError RateLimitError NetworkError TimeoutError ValidationError NotFoundError
is_auth_error is_validation_error is_resource_error is_rate_limit_error is_server_error
PaginatedResponse Trace TraceSpan TraceEvaluation TraceStatus SpanType SpanStatus TraceAnalytics
PromptVisibility AIProvider TeamRole WebhookDeliveryStatus PaginationMeta HealthResponse PromptMessage
LivePromptVersion CreatePromptParams UpdatePromptParams ExecutionOptions ExecutePromptParams CreateTeamParams
UpdateTeamParams AddTeamMemberParams CreateWebhookParams UpdateWebhookParams WebhookCreatedResponse ApiKey
TokenResponse RecordTraceParams CreateSpanParams TracesListResult TraceContext verify_signature
Instrumentation TracedOpenAI TracedChatCompletions TracedCompletions TracedEmbeddings
extract_media_parts extract_gemini_media redact_span_attributes
Middleware MiddlewareManager create_middleware RequestContext ResponseContext LoggingMiddleware Logger ConsoleLogger
JsonLogger SilentLogger redact_headers truncate_body
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_is_there(name: str) -> None:
    """Each public name of 1.4.0 stands on the page, as code."""
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PAGE)


@pytest.mark.parametrize("resource", CALLS)
def test_every_call_is_there(resource: str) -> None:
    """Each method of 1.4.0 stands in the first column of a table, named in full or after one that is."""
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") > 2]
    before = "\n".join(cell for cell in cells if f"{resource}." in cell or (resource == "client" and "close()" in cell))
    lacking = [call for call in CALLS[resource].split() if not re.search(rf"[`.]{call}[(`]", before)]
    assert lacking == []
