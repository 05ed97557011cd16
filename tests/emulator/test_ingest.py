"""OTLP ingest of the emulator: both encodings, both conventions, and who may."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from tests.emulator.otlp import BODY, CHILD, FULL, PATH, PROTOBUF, ROOT, START, TRACE, event, request, span

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


def traces(client: httpx.Client) -> list[dict[str, Any]]:
    """All traces that are shown."""
    found: list[dict[str, Any]] = client.get("/traces").json()["data"]["traces"]
    return found


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(BODY, ""), (gzip.compress(BODY), "gzip"), (zlib.compress(BODY), "deflate"), (BODY, "identity")],
)
def test_protobuf_plain_and_compressed(
    raw: Callable[..., httpx.Response], client: httpx.Client, body: bytes, encoding: str
) -> None:
    """A request in protobuf is answered in protobuf, and its trace is read by OpenTelemetry's id."""
    response = raw(body, Content_Encoding=encoding)
    assert (response.status_code, response.headers["Content-Type"], response.content) == (200, PROTOBUF, b"")
    assert "X-RateLimit-Limit" not in response.headers
    trace = client.get(f"/traces/{TRACE}").json()["data"]["trace"]
    assert (trace["input"], trace["output"], trace["model"], trace["latencyMs"]) == ("Hello", "Hi.", "gpt-4", 850)
    assert [one["id"] for one in trace["spans"]] == [ROOT]


MESSAGES_IN = [
    {"role": "system", "parts": [{"type": "text", "content": "Brief."}]},
    {"role": "user", "content": "Hello"},
]
MESSAGES_OUT = [{"role": "assistant", "parts": [{"type": "text", "content": "Hi."}], "finish_reason": "stop"}]
CALL = {"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Rome"}}
NEWEST = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "gcp.gen_ai", "gen_ai.request.model": "gemini-2",
    "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4, "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 100, "gen_ai.request.top_p": 0.5, "gen_ai.conversation.id": "chat-1",
    "gen_ai.response.finish_reasons": ["stop"], "gen_ai.input.messages": json.dumps(MESSAGES_IN),
    "gen_ai.output.messages": json.dumps(MESSAGES_OUT), "gen_ai.prompt.name": "greeting", "gen_ai.prompt.version": "3",
    "enprompta.prompt.id": "pmt_1", "gen_ai.tool.definitions": json.dumps([{"name": "weather"}]),
}  # fmt: skip
OLDER = {
    "gen_ai.system": "openai", "gen_ai.response.model": "gemini-2", "gen_ai.usage.prompt_tokens": 3,
    "gen_ai.usage.completion_tokens": 4, "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Brief.",
    "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "Hello", "gen_ai.completion.0.content": "Hi.",
    "gen_ai.request.temperature": 0.2, "session.id": "chat-1", "llm.request.functions.0.name": "weather",
}  # fmt: skip
OPENINFERENCE = {
    "openinference.span.kind": "LLM", "llm.provider": "openai", "llm.model_name": "gemini-2",
    "llm.token_count.prompt": 3, "llm.token_count.total": 7, "llm.cost.total": 0.25, "session.id": "chat-1",
    "llm.invocation_parameters": json.dumps({"temperature": 0.2, "max_tokens": 100, "top_p": 0.5}),
    "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Brief.",
    "llm.input_messages.1.message.contents.0.message_content.text": "Hello",
    "llm.output_messages.0.message.content": "Hi.", "llm.tools.0.tool.json_schema": json.dumps({"name": "weather"}),
    "metadata": json.dumps({"feature": "chat"}), "metadata.more": 1,
}  # fmt: skip
SERVICE = {
    "openinference.span.kind": "LLM", "llm.model": "gemini-2", "llm.input.messages": "Hello",
    "llm.output.messages": "Hi.",
    "llm.token_count.completion": 4, "llm.token_count.total": 7, "enprompta.session_id": "chat-1",
    "enprompta.environment": "test",
}  # fmt: skip


@pytest.mark.parametrize("attributes", [NEWEST, OLDER, OPENINFERENCE, SERVICE], ids=["newest", "older", "oi", "own"])
def test_both_conventions_are_read(
    send: Callable[..., dict[str, Any]], client: httpx.Client, attributes: dict[str, Any]
) -> None:
    """A model call of either convention, with newest and older names, is read as the same trace."""
    assert send(span(attributes), resource={"service.name": "shop", "deployment.environment": "test"}) == {}
    [trace] = traces(client)
    assert trace["input"].endswith("Hello")
    assert (trace["output"], trace["model"], trace["sessionId"]) == ("Hi.", "gemini-2", "chat-1")
    assert (trace["inputTokens"], trace["outputTokens"], trace["environment"]) == (3, 4, "test")
    assert trace["status"] == "SUCCESS"
    assert trace["metadata"]["service"] == "shop"
    if attributes is not SERVICE:
        assert (trace["temperature"], trace["systemPrompt"]) == (0.2, "Brief.")
        assert trace["metadata"]["tools"] == [{"name": "weather"}]
    if attributes is NEWEST:
        assert (trace["provider"], trace["promptId"], trace["finishReason"]) == ("google", "pmt_1", "stop")
        assert (trace["metadata"]["promptName"], trace["metadata"]["promptVersion"]) == ("greeting", "3")
    if attributes is OPENINFERENCE:
        assert (trace["cost"], trace["maxTokens"], trace["metadata"]["more"]) == (0.25, 100, 1)


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        *(
            ({"openinference.span.kind": kind}, wanted)
            for kind, wanted in (
                ("LLM", "LLM"), ("RETRIEVER", "RETRIEVAL"), ("RERANKER", "RETRIEVAL"), ("TOOL", "TOOL"),
                ("CHAIN", "CHAIN"),
                ("EMBEDDING", "EMBEDDING"), ("AGENT", "AGENT"), ("GUARDRAIL", "CHAIN"), ("EVALUATOR", "CHAIN"),
                ("PROMPT", "CHAIN"), ("new", "CHAIN"),
            )
        ),
        *(
            ({"gen_ai.operation.name": operation}, wanted)
            for operation, wanted in (
                ("chat", "LLM"), ("text_completion", "LLM"), ("generate_content", "LLM"), ("embeddings", "EMBEDDING"),
                ("execute_tool", "TOOL"), ("create_agent", "AGENT"), ("invoke_agent", "AGENT"),
                ("retrieval", "RETRIEVAL"),
                ("invoke_workflow", "CHAIN"),
            )
        ),
        ({"traceloop.span.kind": "workflow"}, "CHAIN"),
        ({"gen_ai.request.model": "gpt-4"}, "LLM"),
        ({}, "CHAIN"),
    ],
)  # fmt: skip
def test_kinds(
    send: Callable[..., dict[str, Any]], client: httpx.Client, attributes: dict[str, Any], kind: str
) -> None:
    """Every kind of span and every operation has its type."""
    send(span({**attributes, "input.value": "a", "output.value": "b"}))
    [found] = client.get(f"/traces/{TRACE}/spans").json()["data"]["spans"]
    assert found["spanType"] == kind


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            span({"gen_ai.tool.call.arguments": '{"city": "Rome"}', "gen_ai.tool.call.result": "20"}),
            ('{"city": "Rome"}', "20"),
        ),
        (
            span(
                events=[
                    event("gen_ai.user.message", content="Hello"),
                    event("gen_ai.choice", message='{"content": "Hi."}'),
                ]
            ),
            ("Hello", "Hi."),
        ),
        (
            span(
                events=[
                    event("gen_ai.content.prompt", gen_ai__prompt='[{"content": "Hello"}]'),
                    event("gen_ai.content.completion", gen_ai__completion="Hi."),
                ]
            ),
            ("Hello", "Hi."),
        ),
        (
            span(
                events=[
                    event(
                        "gen_ai.client.inference.operation.details",
                        gen_ai__input__messages=json.dumps(MESSAGES_IN[1:]),
                        gen_ai__output__messages=json.dumps(MESSAGES_OUT),
                    )
                ]
            ),
            ("Hello", "Hi."),
        ),
        (
            span({"embedding.embeddings.0.embedding.text": "Hello", "retrieval.documents.0.document.content": "Doc"}),
            ("Hello", "Doc"),
        ),
        (
            span({"input.value": "{not json", "llm.output_messages.0.message.content": "[nor this"}),
            ("{not json", "[nor this"),
        ),
    ],
)  # fmt: skip
def test_contents_are_found_wherever_they_stand(
    send: Callable[..., dict[str, Any]], client: httpx.Client, given: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Input and output are read from tools, events, embeddings and documents."""
    send(given)
    [trace] = traces(client)
    assert (trace["input"], trace["output"]) == expected


@pytest.mark.parametrize(
    "output",
    [
        {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [CALL]}])},
        {
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "Rome",
        },
        {"gen_ai.output.messages": json.dumps([{"content": None, "tool_calls": [{"function": {"name": "weather"}}]}])},
    ],
)
def test_a_turn_that_only_calls_tools_is_kept(
    send: Callable[..., dict[str, Any]], client: httpx.Client, output: dict[str, Any]
) -> None:
    """Its calls are its output."""
    send(span({"input.value": "Weather?", **output}))
    [trace] = traces(client)
    assert "weather" in trace["output"]


@pytest.mark.parametrize(
    "output",
    [
        {}, {"output.value": ""}, {"llm.output_messages.0.message.content": ""},
        {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": []}])},
    ],
)  # fmt: skip
def test_an_empty_output_is_dropped_until_one_arrives(
    send: Callable[..., dict[str, Any]], client: httpx.Client, output: dict[str, Any]
) -> None:
    """The trap: a success, and no trace. A later span of the trace may still bring the output."""
    assert send(span({"input.value": "Hello", **output}, parentSpanId="")) == {}
    assert traces(client) == []
    assert client.get(f"/traces/{TRACE}").status_code == 404
    send(span({"gen_ai.operation.name": "chat", "output.value": "Hi."}, spanId=CHILD, parentSpanId=ROOT))
    [trace] = traces(client)
    assert (trace["input"], trace["output"]) == ("Hello", "Hi.")


def test_system_instructions_and_deep_messages(send: Callable[..., dict[str, Any]], client: httpx.Client) -> None:
    """The system prompt may stand alone, counts may all be given, and messages nested too deeply have no text."""
    deep: Any = "too deep"
    for _ in range(30):
        deep = [deep]
    counts = {"llm.token_count.prompt": 1, "llm.token_count.completion": 2, "llm.token_count.total": 9}
    send(
        span(
            {
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Brief."}]),
                "gen_ai.input.messages": json.dumps(deep),
                "llm.input_messages.0.message.content": "Hello",
                "output.value": "Hi.",
                **counts,
            }
        )
    )
    [trace] = traces(client)
    assert (trace["systemPrompt"], trace["input"], trace["totalTokens"]) == ("Brief.", "Hello", 3)


def test_spans_of_one_trace_arrive_in_any_order_and_twice(
    send: Callable[..., dict[str, Any]], client: httpx.Client
) -> None:
    """The root speaks for the trace whenever it comes; a span that is sent again replaces the first one."""
    child = span({**OPENINFERENCE, "input.value": "in"}, spanId=CHILD, parentSpanId=ROOT, startTimeUnixNano=START + 5)
    send(child)
    send(child, span({"openinference.span.kind": "CHAIN", "input.value": "question", "output.value": "answer"}))
    send(child)
    [trace] = traces(client)
    assert (trace["input"], trace["output"], trace["model"]) == ("question", "answer", "gemini-2")
    assert (trace["totalTokens"], trace["cost"], trace["latencyMs"]) == (7, 0.25, 850)
    spans = client.get(f"/traces/{TRACE}/spans").json()["data"]["spans"]
    assert [(one["id"], one["parentSpanId"]) for one in spans] == [(ROOT, None), (CHILD, ROOT)]
    added = client.post(f"/traces/{TRACE}/spans", json={"name": "n", "spanType": "TOOL", "parentSpanId": ROOT})
    assert added.status_code == 201
    send(child)
    assert len(client.get(f"/traces/{TRACE}/spans").json()["data"]["spans"]) == 3


@pytest.mark.parametrize(
    ("attributes", "status", "expected"),
    [
        ({}, {"code": 2, "message": "No"}, "ERROR"),
        ({"error.type": "RateLimitError"}, {"code": 2}, "RATE_LIMITED"),
        ({}, {"code": "STATUS_CODE_ERROR", "message": "Error code: 429"}, "RATE_LIMITED"),
        ({"error.type": "openai.APITimeoutError"}, {"code": 2}, "TIMEOUT"),
        ({"gen_ai.response.finish_reasons": ["content_filter"]}, {"code": 1}, "CONTENT_FILTERED"),
        ({}, {"code": 1, "message": "timeout"}, "SUCCESS"),
    ],
)
def test_statuses(
    send: Callable[..., dict[str, Any]],
    client: httpx.Client,
    attributes: dict[str, Any],
    status: dict[str, Any],
    expected: str,
) -> None:
    """The status says how a call failed; the error is in the trace and its span."""
    send(span({**FULL, **attributes}, status=status, events=[event("exception", exception__message="Why")]))
    [trace] = traces(client)
    assert trace["status"] == expected
    if expected == "TIMEOUT":
        assert (trace["errorMessage"], trace["errorCode"]) == ("Why", "openai.APITimeoutError")


def test_scopes(emulator: Emulator, connect: Callable[..., httpx.Client]) -> None:
    """Ingest and recording need traces:write, reading needs traces:read."""
    client, own = connect(emulator, None), emulator.clients.pro
    credentials = {"grant_type": "client_credentials", "client_id": own.client_id, "client_secret": own.client_secret}
    address = emulator.url.removesuffix("/api/v1") + PATH
    allowed = {}
    for scope in ("traces:read", "traces:write", "prompts:write"):
        token = client.post("/oauth/token", json={**credentials, "scope": scope}).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        allowed[scope] = [
            client.post(address, json={}, headers=headers).status_code,
            client.post("/traces", json={}, headers=headers).status_code,
            client.get("/traces", headers=headers).status_code,
        ]
    assert allowed == {
        "traces:read": [403, 403, 200], "traces:write": [200, 400, 403], "prompts:write": [403, 403, 403],
    }  # fmt: skip


def test_ingest_is_outside_the_request_budget(connect: Callable[..., httpx.Client]) -> None:
    """Ingest neither uses the budget nor is refused when it is used up."""
    with Emulator(limits={"pro": (2, 100)}) as emulator:
        client, address = connect(emulator, emulator.keys.pro), emulator.url.removesuffix("/api/v1") + PATH
        for _ in range(5):
            assert client.post(address, json={}).status_code == 200
        assert [client.get("/traces").status_code for _ in range(3)] == [200, 200, 429]
        assert client.post(address, json=request(span(FULL))).status_code == 200


def test_two_accounts_may_have_the_same_trace(emulator: Emulator, connect: Callable[..., httpx.Client]) -> None:
    """A trace id that another account uses too is another trace."""
    address = emulator.url.removesuffix("/api/v1") + PATH
    for key, output in ((emulator.keys.pro, "pro"), (emulator.keys.team, "team")):
        connect(emulator, key).post(address, json=request(span({**FULL, "output.value": output})))
    found = [connect(emulator, key).get(f"/traces/{TRACE}") for key in (emulator.keys.pro, emulator.keys.team)]
    assert [one.json()["data"]["trace"]["output"] for one in found] == ["pro", "team"]
