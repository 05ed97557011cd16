"""The names of span attributes, from OpenTelemetry's semantic conventions, OpenInference and this package.

The first two groups are the names of the newest released `opentelemetry-semantic-conventions` package, written out so
that this package needs it only for its tests. `OTEL_SEMCONV_STABILITY_OPT_IN` is a list separated by commas:

    gen_ai_latest_experimental, http   the names below, which are also the default
    gen_ai/dup, http/dup               the names below and, beside them, those of older conventions
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

ERROR_TYPE = "error.type"
EXCEPTION_TYPE = "exception.type"
HTTP_REQUEST_METHOD = "http.request.method"
HTTP_REQUEST_RESEND_COUNT = "http.request.resend_count"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
SERVICE_NAME = "service.name"
URL_FULL = "url.full"
URL_TEMPLATE = "url.template"

GEN_AI_AGENT_NAME = "gen_ai.agent.name"
GEN_AI_CONVERSATION_ID = "gen_ai.conversation.id"
GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
GEN_AI_PROMPT = "gen_ai.prompt"
GEN_AI_PROMPT_NAME = "gen_ai.prompt.name"
GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_STOP_SEQUENCES = "gen_ai.request.stop_sequences"
GEN_AI_REQUEST_TEMPERATURE = "gen_ai.request.temperature"
GEN_AI_REQUEST_TOP_P = "gen_ai.request.top_p"
GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_ID = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_RETRIEVAL_DOCUMENTS = "gen_ai.retrieval.documents"
GEN_AI_RETRIEVAL_QUERY_TEXT = "gen_ai.retrieval.query.text"
GEN_AI_SYSTEM = "gen_ai.system"
GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
GEN_AI_TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_RESULT = "gen_ai.tool.call.result"
GEN_AI_TOOL_NAME = "gen_ai.tool.name"

# Documented by the conventions, but not yet in the released package.
GEN_AI_PROMPT_VERSION = "gen_ai.prompt.version"
HTTP_RESPONSE_HEADER_REQUEST_ID = "http.response.header.x-request-id"  # of http.response.header.<key>

# OpenInference (package `openinference-semantic-conventions`).
INPUT_MIME_TYPE = "input.mime_type"
INPUT_VALUE = "input.value"
LLM_INPUT_MESSAGES = "llm.input_messages"
LLM_MODEL_NAME = "llm.model_name"
OPENINFERENCE_SPAN_KIND = "openinference.span.kind"
OUTPUT_MIME_TYPE = "output.mime_type"
OUTPUT_VALUE = "output.value"
SESSION_ID = "session.id"
TOOL_NAME = "tool.name"

# Names of this service.
ATTEMPT_NUMBER = "enprompta.attempt.number"
EXECUTION_COST = "enprompta.execution.cost"
EXECUTION_TOKENS = "enprompta.execution.tokens"
PROMPT_ID = "enprompta.prompt.id"
PROMPT_LABEL = "enprompta.prompt.label"
SESSION = "enprompta.session_id"

_OLD_NAMES = {
    "gen_ai": {GEN_AI_PROVIDER_NAME: GEN_AI_SYSTEM},
    "http": {
        HTTP_REQUEST_METHOD: "http.method",
        HTTP_RESPONSE_STATUS_CODE: "http.status_code",
        SERVER_ADDRESS: "net.peer.name",
        SERVER_PORT: "net.peer.port",
        URL_FULL: "http.url",
    },
}


def old_names(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the older name of each attribute that is to be written under both names."""
    chosen = {one.strip() for one in environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").lower().split(",")}
    return {new: old for group, names in _OLD_NAMES.items() if f"{group}/dup" in chosen for new, old in names.items()}


def with_old_names(attributes: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """Add each attribute that has an older name under that name too."""
    return {**attributes, **{names[name]: value for name, value in attributes.items() if name in names}}
