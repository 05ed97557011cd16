"""`docs/openapi.yaml` is valid, complete and consistent."""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.openapi_file import PATH as DOCUMENT
from tests.openapi_file import document

if TYPE_CHECKING:
    from collections.abc import Iterator


# method, path, operationId, status of success
CONTRACT = [
    ("GET", "/api/v1/prompts", "prompts.list", 200),
    ("POST", "/api/v1/prompts", "prompts.create", 201),
    ("GET", "/api/v1/prompts/{id}", "prompts.get", 200),
    ("PUT", "/api/v1/prompts/{id}", "prompts.update", 200),
    ("DELETE", "/api/v1/prompts/{id}", "prompts.delete", 204),
    ("POST", "/api/v1/prompts/{id}/execute", "prompts.execute", 201),
    ("GET", "/api/sdk/prompts/{slug}", "prompts.get_live", 200),
    ("GET", "/api/v1/executions", "executions.list", 200),
    ("GET", "/api/v1/executions/stats", "executions.stats", 200),
    ("GET", "/api/v1/executions/{id}", "executions.get", 200),
    ("GET", "/api/v1/templates", "templates.list", 200),
    ("GET", "/api/v1/templates/{id}", "templates.get", 200),
    ("POST", "/api/v1/templates/{id}/fork", "templates.fork", 201),
    ("GET", "/api/v1/workflows", "workflows.list", 200),
    ("POST", "/api/v1/workflows", "workflows.create", 201),
    ("GET", "/api/v1/workflows/{id}", "workflows.get", 200),
    ("PUT", "/api/v1/workflows/{id}", "workflows.update", 200),
    ("DELETE", "/api/v1/workflows/{id}", "workflows.delete", 204),
    ("POST", "/api/v1/workflows/{id}/execute", "workflows.execute", 202),
    ("GET", "/api/v1/workflows/{id}/executions", "workflows.executions.list", 200),
    ("GET", "/api/v1/workflows/{id}/executions/{executionId}", "workflows.executions.get", 200),
    ("POST", "/api/v1/workflows/{id}/executions/{executionId}/cancel", "workflows.executions.cancel", 200),
    ("GET", "/api/v1/teams", "teams.list", 200),
    ("POST", "/api/v1/teams", "teams.create", 201),
    ("GET", "/api/v1/teams/{id}", "teams.get", 200),
    ("PUT", "/api/v1/teams/{id}", "teams.update", 200),
    ("DELETE", "/api/v1/teams/{id}", "teams.delete", 204),
    ("GET", "/api/v1/teams/{id}/members", "teams.members.list", 200),
    ("POST", "/api/v1/teams/{id}/members", "teams.members.add", 201),
    ("PUT", "/api/v1/teams/{id}/members/{userId}", "teams.members.update", 200),
    ("DELETE", "/api/v1/teams/{id}/members/{userId}", "teams.members.remove", 204),
    ("POST", "/api/v1/teams/{id}/leave", "teams.leave", 204),
    ("GET", "/api/v1/webhooks", "webhooks.list", 200),
    ("POST", "/api/v1/webhooks", "webhooks.create", 201),
    ("GET", "/api/v1/webhooks/{id}", "webhooks.get", 200),
    ("PUT", "/api/v1/webhooks/{id}", "webhooks.update", 200),
    ("DELETE", "/api/v1/webhooks/{id}", "webhooks.delete", 204),
    ("GET", "/api/v1/webhooks/{id}/deliveries", "webhooks.deliveries.list", 200),
    ("POST", "/api/v1/webhooks/{id}/deliveries/{deliveryId}/retry", "webhooks.deliveries.retry", 200),
    ("POST", "/api/v1/webhooks/{id}/test", "webhooks.test", 200),
    ("POST", "/api/v1/webhooks/{id}/rotate-secret", "webhooks.rotate_secret", 200),
    ("GET", "/api/v1/traces", "traces.list", 200),
    ("POST", "/api/v1/traces", "traces.record", 201),
    ("GET", "/api/v1/traces/analytics", "traces.analytics", 200),
    ("GET", "/api/v1/traces/{id}", "traces.get", 200),
    ("GET", "/api/v1/traces/{id}/spans", "traces.spans", 200),
    ("POST", "/api/v1/traces/{id}/spans", "traces.create_span", 201),
    ("POST", "/api/ingest/otlp/v1/traces", "ingest.traces", 200),
    ("GET", "/api/v1/usage", "usage.get", 200),
    ("GET", "/api/v1/usage/history", "usage.history", 200),
    ("GET", "/api/v1/billing", "billing.get", 200),
    ("GET", "/api/v1/billing/invoices", "billing.invoices.list", 200),
    ("GET", "/api/v1/health", "health.get", 200),
    ("POST", "/api/v1/oauth/token", "oauth.token", 200),
]
EVENTS = ["prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"]
EVENT_CLASSES = ["PromptExecuted", "WorkflowCompleted", "WorkflowFailed", "TeamMemberAdded", "TeamMemberRemoved"]
ANONYMOUS = {"health.get", "oauth.token"}
BARE = {"prompts.get_live", "health.get", "oauth.token", "ingest.traces"}
OTLP = "ingest.traces"  # speaks OTLP: its own errors, and no request budget
BY_OFFSET = {"traces.list"}
WHOLE_LISTS = {"executions.stats", "usage.history", "webhooks.list"}
RATE_LIMIT_HEADERS = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"}
SCOPES = {
    "prompts:read",
    "prompts:write",
    "executions:read",
    "executions:write",
    "teams:read",
    "teams:write",
    "webhooks:manage",
    "analytics:read",
    "traces:read",
    "traces:write",
}
# resource, its fields (`?`: may be absent), those of them that may be null
RESOURCES = [
    (
        "Prompt",
        (
            "id title slug? content description category tags variables visibility version usageCount teamId createdAt "
            "updatedAt"
        ),
        "description category teamId",
    ),
    ("PromptVariable", "name type required default description options", "default description"),
    (
        "Execution",
        "id promptId status output tokens cost latency provider model variables createdAt error",
        "output error",
    ),
    ("ExecutionStats", "key date executions tokens cost", "date"),
    ("LivePrompt", "id slug name label version content messages variables _meta", "messages _meta"),
    ("LivePromptVersion", "id number environment", "environment"),
    ("PromptMessage", "role content", ""),
    (
        "Template",
        "id title content description category tags variables usageCount createdAt",
        "description category",
    ),
    ("ForkedPrompt", "promptId", ""),
    ("Workflow", "id name description steps teamId createdAt updatedAt", "description teamId"),
    ("WorkflowStep", "id promptId provider model variables options dependsOn", "provider model"),
    (
        "WorkflowExecution",
        "id workflowId status input output steps tokens cost error createdAt startedAt completedAt",
        "output error startedAt completedAt",
    ),
    ("WorkflowStepExecution", "stepId executionId status output error tokens cost", "executionId output error"),
    ("Team", "id name description ownerId memberCount createdAt updatedAt", "description"),
    ("TeamMember", "id userId email name role joinedAt", "name"),
    (
        "Webhook",
        "id name description url events isActive failureCount lastSuccess lastFailure createdAt updatedAt",
        "description lastSuccess lastFailure",
    ),
    (
        "WebhookDelivery",
        "id webhookId eventType eventId status attempts responseStatus latencyMs createdAt deliveredAt",
        "responseStatus latencyMs deliveredAt",
    ),
    ("WebhookSecret", "secret", ""),
    (
        "Trace",
        (
            "id userId promptId sessionId provider model input output systemPrompt temperature maxTokens topP "
            "inputTokens outputTokens totalTokens latencyMs cost status errorMessage errorCode finishReason "
            "environment metadata createdAt spans? evaluations?"
        ),
        "promptId sessionId systemPrompt temperature maxTokens topP errorMessage errorCode finishReason",
    ),
    (
        "TraceSpan",
        (
            "id traceId parentSpanId name spanType startTime endTime durationMs input output tokens cost status "
            "errorMessage metadata"
        ),
        "parentSpanId endTime durationMs tokens cost errorMessage",
    ),
    (
        "TraceEvaluation",
        "id traceId evaluatorType evaluatorName score passed threshold reasoning evaluationType createdAt",
        "reasoning",
    ),
    ("TraceAnalytics", "totalTraces totalTokens totalCost avgLatency byProvider statusCounts period", ""),
    ("RecordedTrace", "traceId", ""),
    ("CreatedSpan", "spanId traceId", ""),
    ("Usage", "plan periodStart periodEnd tokens requestsPerMinute requestsPerDay executions cost", ""),
    ("TokenBudget", "used limit remaining", "limit remaining"),
    ("RequestBudget", "limit remaining reset", ""),
    ("UsageRecord", "key date requests executions tokens cost", "date"),
    ("Billing", "plan status currentPeriodStart currentPeriodEnd cancelAtPeriodEnd amount currency", ""),
    ("Invoice", "id number status amount currency periodStart periodEnd createdAt", ""),
    ("Health", "status version timestamp components uptime_seconds", "components uptime_seconds"),
    ("ComponentHealth", "status latency_ms message", "latency_ms message"),
    (
        "Pagination",
        "has_more next_cursor previous_cursor total_count limit",
        "next_cursor previous_cursor total_count",
    ),
    ("Token", "access_token token_type expires_in scope", ""),
    *((f"{name}Event", "id event created_at api_version data", "") for name in EVENT_CLASSES),
    ("PromptExecutedData", "execution_id prompt_id status tokens_used cost", ""),
    ("WorkflowCompletedData", "execution_id workflow_id status tokens_used cost", ""),
    ("WorkflowFailedData", "execution_id workflow_id status tokens_used cost error", "error"),
    ("TeamMemberData", "team_id user_id email role", ""),
]


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref`, within the document, until there is none."""
    while "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def walk(node: Any, where: str = "#") -> Iterator[tuple[str, Any]]:
    """Yield every node of the document with its place."""
    yield where, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from walk(child, f"{where}/{key}")


def in_section(section: str) -> list[tuple[str, str, dict[str, Any]]]:
    """List method, path (or event) and operation of `paths` or `webhooks`."""
    return [
        (method.upper(), path, operation)
        for path, item in document()[section].items()
        for method, operation in item.items()
    ]


OPERATIONS = {operation["operationId"]: (method, path, operation) for method, path, operation in in_section("paths")}
SCHEMAS: dict[str, Any] = document()["components"]["schemas"]
each_operation = pytest.mark.parametrize("name", sorted(OPERATIONS))


def responses(name: str) -> dict[str, dict[str, Any]]:
    """Return an operation's responses by status."""
    return {status: resolve(response) for status, response in OPERATIONS[name][2]["responses"].items()}


def parameters(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return an operation's parameters by place and name."""
    resolved = [resolve(parameter) for parameter in OPERATIONS[name][2].get("parameters", [])]
    return {(parameter["in"], parameter["name"]): parameter for parameter in resolved}


def success(name: str) -> dict[str, Any]:
    """Return the schema of an operation's 2xx."""
    status = next(status for status in responses(name) if status.startswith("2"))
    schema: dict[str, Any] = responses(name)[status]["content"]["application/json"]["schema"]
    return schema


def schema(name: str) -> dict[str, Any]:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def problems(of: dict[str, Any], value: Any) -> list[str]:
    """List what a schema of the document has against a value."""
    validator = Draft202012Validator(
        {"allOf": [of], "components": document()["components"]}, format_checker=FormatChecker()
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def nullable(of: dict[str, Any]) -> bool:
    """True if a schema allows null."""
    return "null" in resolve(of).get("type", [])


def test_is_valid_openapi_3_1() -> None:
    """The document is valid OpenAPI 3.1."""
    assert document()["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []


def test_every_schema_is_valid() -> None:
    """Every schema is valid JSON Schema 2020-12."""
    for each in SCHEMAS.values():
        Draft202012Validator.check_schema(each)


def test_no_anchors() -> None:
    """Shared parts use `$ref`: the file has no YAML anchors, aliases or duplicate keys."""
    tokens = list(yaml.scan(DOCUMENT.read_text(encoding="utf-8")))
    assert not [token for token in tokens if isinstance(token, yaml.AnchorToken | yaml.AliasToken)]

    def keys_once(node: yaml.Node | None) -> None:
        if isinstance(node, yaml.MappingNode):
            counted = Counter(key.value for key, _ in node.value)
            assert [key for key, count in counted.items() if count > 1] == [], node.start_mark
        for child in node.value if isinstance(node, yaml.CollectionNode) else ():
            for part in child if isinstance(child, tuple) else (child,):
                keys_once(part)

    keys_once(yaml.compose(DOCUMENT.read_text(encoding="utf-8")))


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    """Every `$ref` resolves, and no component is left over."""
    used = {node["$ref"] for _, node in walk(document()) if isinstance(node, dict) and "$ref" in node}
    for reference in used:
        resolve({"$ref": reference})
    components = document()["components"]
    offered = {
        f"#/components/{kind}/{name}" for kind in components if kind != "securitySchemes" for name in components[kind]
    }
    assert used == offered


def test_servers() -> None:
    """The service comes first, then the emulator on loopback; paths hold everything after the host."""
    assert [server["url"] for server in document()["servers"]] == ["https://enprompta.com", "http://127.0.0.1:8787"]


def test_has_every_row_of_the_contract_and_no_other() -> None:
    """Every call of the API is there under its operationId, with its status of success, and nothing else is."""
    found = [
        (method, path, name, int(status))
        for name, (method, path, _) in OPERATIONS.items()
        for status in responses(name)
        if status.startswith("2")
    ]
    assert sorted(found) == sorted(CONTRACT), "docs/openapi.yaml and CONTRACT of this test list different operations"


def test_operation_ids_are_unique() -> None:
    """No two operations, webhooks included, share an operationId."""
    names = [operation["operationId"] for section in ("paths", "webhooks") for _, _, operation in in_section(section)]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+)+", name) for name in names)


@pytest.mark.parametrize("section", ["paths", "webhooks"])
def test_provenance_names_the_strongest_source_first(section: str) -> None:
    """Every operation names its sources, the most authoritative first."""
    for _, path, operation in in_section(section):
        letters = operation["x-provenance"]
        assert letters, path
        assert letters == sorted(set(letters), key="SDWI".index), path


@each_operation
def test_operation_is_described(name: str) -> None:
    """Every operation has a summary, a known tag and its path's parameters, all required."""
    _, path, operation = OPERATIONS[name]
    assert operation["summary"]
    assert set(operation["tags"]) <= {tag["name"] for tag in document()["tags"]}
    in_path = {key for where, key in parameters(name) if where == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    assert all(parameter.get("required") for (where, _), parameter in parameters(name).items() if where == "path")
    assert all(parameter["description"] for parameter in parameters(name).values())


@each_operation
def test_operation_has_the_errors_that_can_occur(name: str) -> None:
    """Any call may meet 429 and 500; 401 and 403 if it needs credentials; 404 with ids; 400 and 409 when it writes."""
    method, path, operation = OPERATIONS[name]
    expected = {"429", "500"}
    if name not in ANONYMOUS:
        expected |= {"401", "403"}
    if "{" in path:
        expected.add("404")
    if method in {"POST", "PUT"}:
        expected |= {"400", "409"}
    if method == "GET" and any(where == "query" for where, _ in parameters(name)):
        expected.add("400")
    if "requestBody" in operation and name != "oauth.token":
        expected.add("422")
    if name in {"prompts.execute", "workflows.execute"}:
        expected.add("402")
    assert expected <= set(responses(name)), "docs/openapi.yaml lacks a response"
    assert ("402" in responses(name)) == (name in {"prompts.execute", "workflows.execute"})


@each_operation
def test_every_response_has_the_rate_limit_headers(name: str) -> None:
    """Every response, errors and empty ones included, has the rate-limit headers and the request id."""
    for status, response in responses(name).items():
        if name == OTLP:
            continue
        headers = {header: resolve(described) for header, described in response["headers"].items()}
        assert set(headers) >= RATE_LIMIT_HEADERS, status
        assert all(headers[header]["required"] for header in RATE_LIMIT_HEADERS), status
        assert ("Retry-After" in headers) == (status == "429"), status


@each_operation
def test_errors_have_both_dialects(name: str) -> None:
    """Every error response is an `Error`, of either dialect; the token endpoint may also answer as RFC 6749 does."""
    for status, response in responses(name).items():
        if int(status) >= 400 and name != OTLP:
            body = response["content"]["application/json"]["schema"]
            for dialect in ("ErrorS", "ErrorD"):
                assert problems(body, SCHEMAS[dialect]["examples"][0]) == [], status
            oauth = problems(body, SCHEMAS["OAuthError"]["examples"][0])
            assert (oauth == []) == (name == "oauth.token" and status in {"400", "401"}), status


@each_operation
def test_results_come_in_the_envelope(name: str) -> None:
    """A result is wrapped in `success` and `data`, a page has `pagination` too; only a few named answers are bare."""
    if "204" in responses(name):
        assert "content" not in responses(name)["204"]
        return
    listed = (name.rpartition(".")[2] == "list" or name in WHOLE_LISTS) and name not in BY_OFFSET
    envelope = "List" if name in WHOLE_LISTS else "Page" if listed else "Result"
    enveloped = success(name).get("$ref", "").endswith(envelope)
    assert enveloped != (name in BARE or name == "webhooks.rotate_secret"), f"its schema is named …{envelope}"
    if enveloped:
        assert set(resolve(success(name))["properties"]) - {"pagination"} == {"success", "data"}
    if listed:
        assert (problems(success(name), {"success": True, "data": []}) == []) == (name in WHOLE_LISTS)
        page = {"success": True, "data": [], "pagination": SCHEMAS["Pagination"]["examples"][0]}
        assert problems(success(name), page) == []
        assert problems(success(name), {**page, "data": [0]}) != []


def test_a_rotated_secret_may_be_without_an_envelope() -> None:
    """The new secret of a webhook is accepted in the envelope and without it."""
    answer = success("webhooks.rotate_secret")
    assert problems(answer, {"secret": "whsec_new"}) == []
    assert problems(answer, {"success": True, "data": {"secret": "whsec_new"}}) == []
    assert problems(answer, {"success": True, "data": {}}) != []


@each_operation
def test_lists_are_paged(name: str) -> None:
    """A page is asked for with `limit`, 1 to 100 and 20 by default, and `cursor`; nothing else takes them."""
    paged = name.rpartition(".")[2] == "list" and name not in WHOLE_LISTS
    assert (("query", "cursor") in parameters(name)) == (paged and name not in BY_OFFSET)
    assert (("query", "offset") in parameters(name)) == (name in BY_OFFSET)
    assert paged == (("query", "limit") in parameters(name))
    if paged and name not in BY_OFFSET:
        limit = parameters(name)["query", "limit"]["schema"]
        assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 100, 20)


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("prompts.list", "visibility category search teamId"),
        ("executions.list", "promptId provider startDate endDate"),
        ("templates.list", "category search"),
        ("workflows.list", "search teamId"),
        ("workflows.executions.list", "status"),
        ("prompts.get_live", "label project"),
        ("executions.stats", "groupBy startDate endDate"),
        ("usage.history", "groupBy startDate endDate"),
        ("health.get", "detailed"),
        ("traces.list", "promptId sessionId provider model environment status startDate endDate offset"),
        ("traces.analytics", "days"),
    ],
)
def test_filters(name: str, filters: str) -> None:
    """A call takes the query parameters of the contract, none of them required."""
    query = {key: each for (where, key), each in parameters(name).items() if where == "query"}
    assert set(query) - {"limit", "cursor"} == set(filters.split())
    assert not any(each.get("required") for each in query.values())


@each_operation
def test_writes_take_an_idempotency_key(name: str) -> None:
    """POST and PUT take an `Idempotency-Key`, which is optional; GET and DELETE do not."""
    key = parameters(name).get(("header", "Idempotency-Key"))
    assert (key is not None) == (OPERATIONS[name][0] in {"POST", "PUT"})
    assert key is None or not key.get("required")


def test_live_prompts_are_revalidated() -> None:
    """A live prompt has an `ETag`, and `If-None-Match` may make it a 304 without a body."""
    assert ("header", "If-None-Match") in parameters("prompts.get_live")
    assert parameters("prompts.get_live")["query", "label"]["schema"]["default"] == "production"
    assert "ETag" in responses("prompts.get_live")["200"]["headers"]
    assert "ETag" in responses("prompts.get_live")["304"]["headers"]
    assert "content" not in responses("prompts.get_live")["304"]


def test_scopes_are_named() -> None:
    """The ten scopes are those of the client-credentials flow; an API key is a bearer token."""
    schemes = document()["components"]["securitySchemes"]
    assert (schemes["apiKey"]["type"], schemes["apiKey"]["scheme"]) == ("http", "bearer")
    flow = schemes["oauth2"]["flows"]["clientCredentials"]
    assert set(flow["scopes"]) == SCOPES
    assert flow["tokenUrl"] == "https://enprompta.com/api/v1/oauth/token"


@each_operation
def test_operation_needs_one_scope(name: str) -> None:
    """A call takes an API key or a token with the scope of its resource; health and the token endpoint take neither."""
    security = OPERATIONS[name][2]["security"]
    if name in ANONYMOUS:
        assert security == []
        return
    key, oauth2 = security
    assert key == {"apiKey": []}
    (scope,) = oauth2["oauth2"]
    resource, reads = name.partition(".")[0], OPERATIONS[name][0] == "GET"
    if name in {"prompts.execute", "workflows.execute", "workflows.executions.cancel"}:
        expected = "executions:write"
    elif name.startswith(("executions.", "workflows.executions.")):
        expected = "executions:read"
    elif resource in {"usage", "billing"}:
        expected = "analytics:read"
    elif resource in {"traces", "ingest"}:
        expected = f"traces:{'read' if reads else 'write'}"
    elif resource == "webhooks":
        expected = "webhooks:manage"
    else:
        family = "teams" if resource == "teams" else "prompts"
        expected = f"{family}:{'read' if reads else 'write'}"
    assert scope == expected, f"{name} of another scope than its resource's is named in this test"


def test_tiers_are_named() -> None:
    """The limits of the four plans are those of the public reference."""
    tiers = document()["x-tiers"]
    assert {name: tuple(tier.values()) for name, tier in tiers.items()} == {
        "free": (False, 0, 0, 15),
        "pro": (True, 60, 10_000, 200),
        "team": (True, 300, 100_000, None),
        "enterprise": (True, 1_000, 1_000_000, None),
    }
    assert {tuple(tier) for tier in tiers.values()} == {
        ("apiAccess", "requestsPerMinute", "requestsPerDay", "tokensPerMonth")
    }
    assert SCHEMAS["Plan"]["enum"] == list(tiers)


@pytest.mark.parametrize(("name", "fields", "nulls"), RESOURCES, ids=[name for name, _, _ in RESOURCES])
def test_answers_have_all_their_fields(name: str, fields: str, nulls: str) -> None:
    """An object of an answer has every field of the contract, and null only where nothing may be set."""
    described = SCHEMAS[name]
    assert described["required"] == [field for field in fields.split() if not field.endswith("?")]
    assert list(described["properties"]) == fields.replace("?", "").split()
    assert {key for key, field in described["properties"].items() if nullable(field)} == set(nulls.split())


def test_the_contract_has_every_object_of_an_answer() -> None:
    """Each object in the envelope of a result, page or list has a row in the contract."""
    held = {
        data.get("items", data).get("$ref", "").rpartition("/")[2]
        for name, each in SCHEMAS.items()
        if name.endswith(("Result", "Page", "List")) and (data := each["properties"].get("data"))
    }
    with_objects = {"WebhookCreated", "TracePage", "TraceSpanList", "OneTrace"}  # hold objects that have their row
    known = {name for name, _, _ in RESOURCES}
    assert held - with_objects - {""} <= known, "add the fields of the object to RESOURCES of this test"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Visibility", "PRIVATE TEAM PUBLIC"),
        ("ExecutionStatus", "completed failed"),
        ("WorkflowStatus", "pending running completed failed cancelled"),
        ("TeamRole", "OWNER ADMIN MEMBER VIEWER"),
        ("DeliveryStatus", "PENDING DELIVERED FAILED RETRYING"),
        ("HealthStatus", "healthy degraded unhealthy"),
        ("EventType", " ".join(EVENTS)),
        ("TraceStatus", "SUCCESS ERROR TIMEOUT RATE_LIMITED CONTENT_FILTERED"),
        ("SpanStatus", "RUNNING SUCCESS ERROR"),
        ("SpanType", "LLM RETRIEVAL TOOL CHAIN EMBEDDING AGENT"),
        ("Plan", "free pro team enterprise"),
    ],
)
def test_known_values(name: str, values: str) -> None:
    """An enumeration names the values known today."""
    assert SCHEMAS[name]["enum"] == values.split()


def test_wire_names() -> None:
    """Names are camelCase, except in pagination, errors, OAuth, health and what webhooks are sent."""
    snake = re.compile(
        r"Pagination|.*Result|.*Page|.*List|Error.*|OAuthError|FieldError|Token|TokenRequest|.*Data|.*Event|(Component)?Health"
    )
    for name, described in SCHEMAS.items():
        for field in described.get("properties", {}):
            style = r"[a-z]+(_[a-z]+)*" if snake.fullmatch(name) else r"_?[a-z]+([A-Z][a-z]+)*|topP"
            assert re.fullmatch(style, field), f"{name}.{field}"


def test_objects_stay_open() -> None:
    """No schema forbids fields it does not name, neither in requests nor in answers."""
    for where, node in walk(document()):
        if isinstance(node, dict):
            assert node.get("additionalProperties") is not False, where
            assert node.get("unevaluatedProperties") is not False, where


def test_every_object_has_an_example() -> None:
    """Every object shows an example: its own, or one of each field. An envelope shows that of what it holds."""
    without = [
        name
        for name, each in SCHEMAS.items()
        if not {"examples", "enum"} & set(each) and not re.fullmatch(r".+(Result|Page|List)", name)
    ]
    # An example with a `default` looks like a schema to Spectral: these have an example of each field instead.
    assert without == ["VariableType", "PromptVariable", "Prompt", "Template"], (
        "an object needs `examples`; the name of an envelope ends in Result, Page or List"
    )
    for name in without[1:]:
        for field, described in SCHEMAS[name]["properties"].items():
            nested = resolve(described.get("items", described))
            assert {"examples", "enum", "anyOf", "properties"} & {*described, *nested}, f"{name}.{field}"


def test_every_field_example_is_valid() -> None:
    """Every example of a field is valid under the schema of that field."""
    for where, node in walk(document()["components"]["schemas"]):
        if "/properties/" in where and isinstance(node, dict) and isinstance(node.get("examples"), list):
            for example in node["examples"]:
                assert problems({key: value for key, value in node.items() if key != "x-provenance"}, example) == [], (
                    where
                )


def test_document_is_flat() -> None:
    """No schema is put together by `allOf`, every array has typed items, and every object says what it holds.

    Generators type such a list as a list of anything, and such an object as one without fields.
    """
    for where, node in walk(document()):
        if not isinstance(node, dict) or "/examples/" in where or where.endswith("/properties"):
            continue
        kinds = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
        assert "allOf" not in node, where
        assert "array" not in kinds or "items" in node, where
        assert "object" not in kinds or "properties" in node or "additionalProperties" in node, where


@pytest.mark.parametrize("name", ["Prompt", "Workflow", "Team"])
def test_create_and_update_have_the_same_fields(name: str) -> None:
    """Updates accept the same fields as creates, with the same limits; only creates require some."""
    assert SCHEMAS[f"{name}Create"]["properties"] == SCHEMAS[f"{name}Update"]["properties"]
    assert "required" not in SCHEMAS[f"{name}Update"]


def test_a_created_webhook_is_a_webhook_with_its_secret() -> None:
    """The answer to a new webhook has the fields of a webhook, and the secret."""
    webhook, secret = SCHEMAS["Webhook"], SCHEMAS["WebhookSecret"]
    assert SCHEMAS["WebhookCreated"]["properties"] == webhook["properties"] | secret["properties"]
    assert SCHEMAS["WebhookCreated"]["required"] == webhook["required"] + secret["required"]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_examples_are_valid(name: str) -> None:
    """Every example of a schema is valid under it, and names no field that the schema does not have."""
    parts = [SCHEMAS[name], *(resolve(part) for word in ("anyOf", "oneOf") for part in SCHEMAS[name].get(word, []))]
    known = {field for part in parts for field in part.get("properties", {})}
    for example in SCHEMAS[name].get("examples", []):
        assert problems(schema(name), example) == []
        assert set(example) <= known


def test_other_examples_are_valid() -> None:
    """Every example of a parameter, a header or a body is valid under the schema beside it."""
    checked = 0
    for where, node in walk(document()):
        if isinstance(node, dict) and "schema" in node and ("example" in node or "examples" in node):
            examples = [node["example"]] if "example" in node else [each["value"] for each in node["examples"].values()]
            for example in examples:
                assert problems(node["schema"], example) == [], where
                checked += 1
    assert checked > 30


def test_enveloped_examples_are_valid() -> None:
    """The example of every resource, in its envelope, is a valid answer of the calls that return that resource."""
    for name in OPERATIONS:
        if "204" in responses(name) or name in BARE:
            continue
        (example,) = examples_of(success(name))[:1]
        assert problems(success(name), example) == [], name


def examples_of(described: dict[str, Any]) -> list[Any]:
    """Return the examples of a schema, built from those of its fields if it has none."""
    described = resolve(described)
    if "examples" in described:
        return list(described["examples"])
    if "const" in described or "enum" in described:
        return [described["const"]] if "const" in described else list(described["enum"])
    if "anyOf" in described:
        return examples_of(described["anyOf"][0])
    if "items" in described:
        return [[example] for example in examples_of(described["items"])]
    return [{name: examples_of(field)[0] for name, field in described["properties"].items()}]


STEP = {"id": "a", "promptId": "pmt_1"}
RUN = {"provider": "openai", "model": "gpt-4"}
HOOK = {"name": "n", "url": "https://example.com", "events": ["prompt.executed"]}


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("PromptCreate", {"title": "t", "content": "c", "colour": "red"}),
        ("PromptUpdate", {}),
        ("PromptUpdate", {"description": None, "teamId": None}),
        ("PromptVariableInput", {"name": "n", "type": "date"}),
        ("ExecutePrompt", {}),
        ("ExecutePrompt", {**RUN, "options": {"temperature": 0, "topP": 1, "maxTokens": 1}}),
        ("ExecutePrompt", {**RUN, "options": {"temperature": 2, "topP": 0, "stopSequences": []}}),
        ("TemplateFork", {}),
        ("WorkflowCreate", {"name": "n", "steps": [STEP]}),
        ("ExecuteWorkflow", {}),
        ("TeamCreate", {"name": "n"}),
        ("TeamMemberCreate", {"email": "ada@example.com"}),
        ("WebhookCreate", HOOK),
        ("WebhookUpdate", {"isActive": True}),
        ("TokenRequest", {"grant_type": "client_credentials", "client_id": "i", "client_secret": "s"}),
        ("Execution", {**SCHEMAS["Execution"]["examples"][0], "region": "eu"}),
    ],
)
def test_good_bodies(name: str, good: dict[str, Any]) -> None:
    """Minimal bodies, the ends of ranges, and unknown fields are accepted."""
    assert problems(schema(name), good) == []


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("PromptCreate", {"title": "t"}),
        ("PromptCreate", {"content": "c"}),
        ("PromptCreate", {"title": "", "content": "c"}),
        ("PromptCreate", {"title": "t", "content": "c", "visibility": "SECRET"}),
        ("PromptUpdate", {"title": None}),
        ("PromptUpdate", {"tags": "a"}),
        ("ExecutePrompt", {"provider": ""}),
        ("ExecutePrompt", {"variables": []}),
        ("PromptVariableInput", {"name": "two words"}),
        ("PromptVariableInput", {"type": "text"}),
        ("WorkflowCreate", {"name": "n", "steps": [{"id": "a"}]}),
        ("ExecutePrompt", {**RUN, "options": {"temperature": 2.1}}),
        ("ExecutePrompt", {**RUN, "options": {"temperature": -0.1}}),
        ("ExecutePrompt", {**RUN, "options": {"topP": 1.1}}),
        ("ExecutePrompt", {**RUN, "options": {"maxTokens": 0}}),
        ("WorkflowCreate", {"name": "n"}),
        ("WorkflowCreate", {"name": "n", "steps": []}),
        ("WorkflowCreate", {"name": "n", "steps": [{**STEP, "variables": {"a": 1}}]}),
        ("TeamCreate", {}),
        ("TeamMemberCreate", {"role": "MEMBER"}),
        ("TeamMemberCreate", {"email": "ada@example.com", "role": "BOSS"}),
        ("TeamMemberUpdate", {}),
        ("WebhookCreate", {**HOOK, "events": []}),
        ("WebhookCreate", {**HOOK, "events": ["prompt.deleted"]}),
        ("WebhookCreate", {**HOOK, "url": "example.com"}),
        ("TokenRequest", {"grant_type": "password", "client_id": "i", "client_secret": "s"}),
        ("Error", {"error": {"message": "no code"}}),
        ("Error", {"error": "invalid_client"}),
        ("Execution", {key: value for key, value in SCHEMAS["Execution"]["examples"][0].items() if key != "error"}),
    ],
)
def test_bad_bodies(name: str, bad: dict[str, Any]) -> None:
    """A body without what is required, or beyond its range, is refused."""
    assert problems(schema(name), bad) != []


def test_an_error_is_of_one_dialect() -> None:
    """No error is of both dialects: they differ in the type of `code`."""
    for dialect, other in (("ErrorS", "ErrorD"), ("ErrorD", "ErrorS")):
        for example in SCHEMAS[dialect]["examples"]:
            assert problems(schema(other), example) != []


def test_links_fit_the_calls_they_lead_to() -> None:
    """A link gives its call every path parameter and nothing it does not take, from fields that are always there."""
    for name in OPERATIONS:
        for status, response in responses(name).items():
            for key, each in response.get("links", {}).items():
                link = resolve(each)
                target = parameters(link["operationId"])
                taken = {parameter for where, parameter in target if where in {"path", "query"}}
                needed = {parameter for where, parameter in target if where == "path"}
                assert needed <= set(link["parameters"]) <= taken, key
                for expression in link["parameters"].values():
                    assert_readable(name, status, expression)


def assert_readable(name: str, status: str, expression: str) -> None:
    """Check that a link's expression finds a value in every such answer."""
    if expression.startswith("$request.path."):
        assert ("path", expression.removeprefix("$request.path.")) in parameters(name)
        return
    field = expression.removeprefix("$response.body#/data/")
    described = responses(name)[status]["content"]["application/json"]["schema"]
    assert field in resolve(resolve(described)["properties"]["data"])["required"], f"{name}: {expression}"


@pytest.mark.parametrize(
    ("name", "following"),
    [
        ("prompts.create", "prompts.get prompts.update prompts.delete prompts.execute executions.list"),
        ("prompts.execute", "executions.get prompts.get"),
        ("templates.get", "templates.fork"),
        ("templates.fork", "prompts.get prompts.update prompts.delete prompts.execute"),
        (
            "workflows.create",
            "workflows.get workflows.update workflows.delete workflows.execute workflows.executions.list",
        ),
        ("workflows.execute", "workflows.executions.get workflows.executions.cancel"),
        ("teams.create", "teams.get teams.update teams.delete teams.leave teams.members.list teams.members.add"),
        ("teams.members.add", "teams.members.update teams.members.remove"),
        (
            "webhooks.create",
            (
                "webhooks.get webhooks.update webhooks.delete webhooks.test webhooks.rotate_secret "
                "webhooks.deliveries.list"
            ),
        ),
        ("webhooks.test", "webhooks.deliveries.retry"),
    ],
)
def test_what_is_created_links_to_what_can_be_done_with_it(name: str, following: str) -> None:
    """Where a call answers with an id, links lead to the calls that take it."""
    status = next(status for status in responses(name) if status.startswith("2"))
    links = [resolve(link)["operationId"] for link in responses(name)[status]["links"].values()]
    assert sorted(links) == sorted(following.split())


def test_the_five_events_are_described() -> None:
    """Each event is a POST with a signature header, whose body says which event it is."""
    assert list(document()["webhooks"]) == EVENTS
    for method, event, operation in in_section("webhooks"):
        assert method == "POST"
        header = resolve(operation["parameters"][0])
        assert (header["name"], header["in"], header["required"]) == ("X-Enprompta-Signature", "header", True)
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        example = resolve(body)["examples"][0]
        assert problems(body, example) == []
        assert problems(body, {**example, "event": "something.else"}) != []
        assert problems(body, {**example, "data": {}}) != []
        assert example["event"] == event
        assert resolve(schema("WebhookEvent"))["discriminator"]["mapping"][event] == body["$ref"]
        assert body in resolve(schema("WebhookEvent"))["oneOf"]
        assert "2XX" in operation["responses"]


def test_the_example_signature_is_right() -> None:
    """The signature shown is that of the `prompt.executed` example, made with the secret shown."""
    body = json.dumps(SCHEMAS["PromptExecutedEvent"]["examples"][0], separators=(",", ":")).encode()
    secret = SCHEMAS["WebhookSecret"]["examples"][0]["secret"].encode()
    signature = "sha256=" + hmac.digest(secret, body, "sha256").hex()
    assert document()["components"]["parameters"]["Signature"]["example"] == signature
