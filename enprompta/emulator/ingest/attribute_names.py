"""The attribute names of both conventions, newest first, and the service's own.

OpenInference: https://github.com/Arize-ai/openinference (spec). OpenTelemetry GenAI: its semantic conventions; their
older names are still written by instrumentations.
"""

from __future__ import annotations

from typing import NamedTuple

PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor")
MODEL = (
    "gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "llm.model", "embedding.model_name",
    "reranker.model_name", "llm.response.model", "llm.request.model",
)  # fmt: skip
INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
    "llm.usage.completion_tokens",
)  # fmt: skip
TOTAL_TOKENS = ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens")
COST = ("llm.cost.total", "gen_ai.usage.cost", "enprompta.cost")
TEMPERATURE = ("gen_ai.request.temperature", "llm.request.temperature")
MAX_TOKENS = ("gen_ai.request.max_tokens", "llm.request.max_tokens")
TOP_P = ("gen_ai.request.top_p", "llm.request.top_p", "llm.top_p")
FINISH_REASON = ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.finish_reason")
SESSION = ("enprompta.session_id", "session.id", "gen_ai.conversation.id")
PROMPT_ID = ("enprompta.prompt.id", "enprompta.prompt_id")
ENVIRONMENT = ("enprompta.environment", "deployment.environment.name", "deployment.environment")
ERROR_CODE = ("error.type", "exception.type")
INVOCATION_PARAMETERS = "llm.invocation_parameters"
KIND = ("openinference.span.kind", "traceloop.span.kind", "enprompta.span.kind")
OPERATION = "gen_ai.operation.name"
SYSTEM = ("gen_ai.system_instructions", "gen_ai.system_instruction")


class Places(NamedTuple):
    """Where a span keeps its input or output, in the order in which the places are searched."""

    values: tuple[str, ...]
    """Attributes with the whole text."""
    messages: tuple[str, ...]
    """Attributes with a list of messages as JSON."""
    prefixes: tuple[str, ...]
    """Prefixes of messages whose parts are separate attributes."""
    events: tuple[str, ...]
    """Events with a message each."""


INPUT = Places(
    ("input.value", "traceloop.entity.input", "gen_ai.tool.call.arguments", "tool.parameters"),
    ("gen_ai.input.messages", "llm.input.messages", "gen_ai.prompt"),
    ("llm.input_messages.", "gen_ai.prompt.", "llm.prompts.", "embedding.embeddings."),
    ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.tool.message", "gen_ai.content.prompt"),
)
OUTPUT = Places(
    ("output.value", "traceloop.entity.output", "gen_ai.tool.call.result"),
    ("gen_ai.output.messages", "llm.output.messages", "gen_ai.completion"),
    (
        "llm.output_messages.",
        "gen_ai.completion.",
        "llm.completions.",
        "retrieval.documents.",
        "reranker.output_documents.",
    ),
    ("gen_ai.choice", "gen_ai.assistant.message", "gen_ai.content.completion"),
)
DETAILS_EVENT = "gen_ai.client.inference.operation.details"

# Kept in the trace's metadata under these names.
METADATA = {
    "gen_ai.prompt.name": "promptName",
    "gen_ai.prompt.version": "promptVersion",
    "enprompta.prompt.label": "promptLabel",
    "gen_ai.tool.name": "tool",
    "tool.name": "tool",
    "gen_ai.agent.name": "agent",
    "agent.name": "agent",
    "user.id": "userId",
    "service.name": "service",
}
TOOL_PREFIXES = ("llm.tools.", "llm.request.functions.")
TOOLS = ("gen_ai.tool.definitions",)

KINDS = {
    "llm": "LLM",
    "embedding": "EMBEDDING",
    "embeddings": "EMBEDDING",
    "tool": "TOOL",
    "retriever": "RETRIEVAL",
    "retrieval": "RETRIEVAL",
    "reranker": "RETRIEVAL",
    "agent": "AGENT",
    "chain": "CHAIN",
    "workflow": "CHAIN",
    "task": "CHAIN",
    "guardrail": "CHAIN",
    "evaluator": "CHAIN",
    "prompt": "CHAIN",
    "chat": "LLM",
    "text_completion": "LLM",
    "completion": "LLM",
    "generate_content": "LLM",
    "rerank": "RETRIEVAL",
    "execute_tool": "TOOL",
    "create_agent": "AGENT",
    "invoke_agent": "AGENT",
    "invoke_workflow": "CHAIN",
}
"""Type of a span by its kind or operation, in lower case."""
