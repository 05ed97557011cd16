"""Inputs and outputs of spans: write values as text, keep every output non-empty, and leave contents out on request.

The service drops a trace, without an error, if its input or output is empty. So a model turn that only calls tools gets
the calls as its output, and what is empty or not captured gets a placeholder.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.metrics import NoOpMeterProvider

from enprompta._common import semantic_conventions as names
from enprompta.otel import OpenTelemetryHooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    from enprompta.hooks import CallRecord

MAX_CONTENT = 1_000_000
"""Characters of an input or output; the rest is cut off."""
EMPTY = "(empty)"
ERROR = "(error)"
NOT_CAPTURED = "(not captured)"

_JSON, _TEXT = "application/json", "text/plain"

# Texts that `capture="none"` keeps. Numbers and booleans are kept under any name.
_KEPT = frozenset(
    {
        names.ERROR_TYPE,
        names.EXCEPTION_TYPE,
        names.GEN_AI_AGENT_NAME,
        names.GEN_AI_CONVERSATION_ID,
        names.GEN_AI_OPERATION_NAME,
        names.GEN_AI_PROMPT_NAME,
        names.GEN_AI_PROMPT_VERSION,
        names.GEN_AI_PROVIDER_NAME,
        names.GEN_AI_REQUEST_MODEL,
        names.GEN_AI_RESPONSE_FINISH_REASONS,
        names.GEN_AI_RESPONSE_ID,
        names.GEN_AI_RESPONSE_MODEL,
        names.GEN_AI_SYSTEM,
        names.GEN_AI_TOOL_NAME,
        names.HTTP_REQUEST_METHOD,
        names.HTTP_RESPONSE_HEADER_REQUEST_ID,
        names.INPUT_MIME_TYPE,
        names.LLM_MODEL_NAME,
        names.OPENINFERENCE_SPAN_KIND,
        names.OUTPUT_MIME_TYPE,
        names.PROMPT_ID,
        names.PROMPT_LABEL,
        names.SERVER_ADDRESS,
        names.SESSION,
        names.SESSION_ID,
        names.TOOL_NAME,
        names.URL_TEMPLATE,
        "embedding.model_name",
        "http.method",
        "llm.provider",
        "llm.system",
        "net.peer.name",
    }
)
_TOOL_CALL = re.compile(
    r"(?:llm\.output_messages\.(?P<message>\d+)\.message\.tool_calls\.(?P<call>\d+)\.tool_call\.function"
    r"|gen_ai\.completion\.(?P<choice>\d+)\.tool_calls\.(?P<number>\d+))\.(?P<part>name|arguments)"
)
_OUTPUT_TEXT = re.compile(r"llm\.output_messages\.\d+\.message\.content.*|gen_ai\.completion(?:\.\d+\.content)?")


def write(value: object) -> tuple[str, str]:
    """Write an input or output as text; return it with its media type. Never raises."""
    if isinstance(value, str):
        return _cut(value), _TEXT
    try:
        text = json.dumps(value, default=_plain, ensure_ascii=False)
    except Exception:  # noqa: BLE001 (cycles, keys of other types, deep nesting)
        return _cut(_repr(value)), _TEXT
    return _cut(text), _JSON


def _plain(value: object) -> object:
    """Convert a value that JSON does not know: a model, a dataclass, a set, anything with a repr."""
    dump: Any = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        try:
            return dump(mode="json")
        except Exception:  # noqa: BLE001 (of the caller's class)
            return _repr(value)
    fields: Any = getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        return {name: getattr(value, name, None) for name in fields}
    if isinstance(value, (set, frozenset)):
        return sorted(cast("set[Any]", value), key=_repr)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(cast('bytes', value))} bytes>"
    return _repr(value)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 (of the caller's class)
        return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CONTENT else f"{text[:MAX_CONTENT]}… ({len(text) - MAX_CONTENT:,} more)"


def without_contents(attributes: Mapping[str, object]) -> dict[str, Any]:
    """Keep the attributes that cannot hold contents: numbers, booleans, and texts with a known name."""
    return {
        name: value
        for name, value in attributes.items()
        if isinstance(value, (bool, int, float)) or name in _KEPT or name.startswith("enprompta.")
    }


def completed(attributes: Mapping[str, object], *, is_error: bool, is_captured: bool) -> dict[str, object]:
    """Return the input and output to add, so that neither is empty."""
    added: dict[str, object] = {}
    missing = EMPTY if is_captured else NOT_CAPTURED
    if not attributes.get(names.INPUT_VALUE) and not attributes.get(names.GEN_AI_INPUT_MESSAGES):
        text = attributes.get(names.GEN_AI_TOOL_CALL_ARGUMENTS) or attributes.get(names.GEN_AI_RETRIEVAL_QUERY_TEXT)
        added[names.INPUT_VALUE] = text or missing
    if _is_blank(attributes.get(names.OUTPUT_VALUE)) and not _has_output(attributes):
        calls = _tool_calls(attributes)
        if calls:
            added[names.OUTPUT_VALUE] = json.dumps(calls, ensure_ascii=False)
            added[names.OUTPUT_MIME_TYPE] = _JSON
        else:
            added[names.OUTPUT_VALUE] = ERROR if is_error else missing
    return added


def _is_blank(value: object) -> bool:
    return not value or (isinstance(value, str) and value.strip() in {"", '""', "null", "[]", "{}"})


def _has_output(attributes: Mapping[str, object]) -> bool:
    """True if the answer of a model has a text, in either convention."""
    if any(value and _OUTPUT_TEXT.fullmatch(name) for name, value in attributes.items()):
        return True
    if attributes.get(names.GEN_AI_TOOL_CALL_RESULT) or attributes.get(names.GEN_AI_RETRIEVAL_DOCUMENTS):
        return True
    return any(part.get("content") for part in _parts(attributes) if part.get("type") == "text")


def _tool_calls(attributes: Mapping[str, object]) -> list[dict[str, Any]]:
    """List the tool calls of a model's answer, in either convention."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for name, value in attributes.items():
        if match := _TOOL_CALL.fullmatch(name):
            at = int(match["message"] or match["choice"]), int(match["call"] or match["number"])
            found.setdefault(at, {})[match["part"]] = value
    calls = [found[at] for at in sorted(found)]
    return calls or [
        {"name": part.get("name"), "arguments": part.get("arguments")}
        for part in _parts(attributes)
        if part.get("type") == "tool_call"
    ]


def _parts(attributes: Mapping[str, object]) -> list[dict[str, Any]]:
    """List the parts of the output messages of the GenAI conventions."""
    value = attributes.get(names.GEN_AI_OUTPUT_MESSAGES)
    try:
        messages: Any = json.loads(value) if isinstance(value, str) else value
        return [dict(part) for message in messages or () for part in message.get("parts", ())]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []


class ClientHooks(OpenTelemetryHooks):
    """Records a client's calls as spans of a tracer; executions with variables and output, if they are captured."""

    def __init__(self, provider: TracerProvider, *, is_captured: bool) -> None:
        super().__init__(provider, NoOpMeterProvider())
        self._is_captured = is_captured

    def _execution_attributes(self, record: CallRecord) -> dict[str, AttributeValue]:
        """Add the variables."""
        attributes = super()._execution_attributes(record)
        attributes[names.OPENINFERENCE_SPAN_KIND] = "LLM"
        if self._is_captured:
            try:
                variables: Any = json.loads(record.body).get("variables")
            except (ValueError, AttributeError):
                variables = None
            text, kind = write(variables or {})
            attributes |= {names.INPUT_VALUE: text, names.INPUT_MIME_TYPE: kind}
        return attributes

    def _result_attributes(self, result: Mapping[str, Any]) -> dict[str, AttributeValue]:
        """Add the output."""
        attributes = super()._result_attributes(result)
        output = result.get("output")
        if self._is_captured and output is not None:
            text, kind = write(output)
            attributes |= {names.OUTPUT_VALUE: text, names.OUTPUT_MIME_TYPE: kind}
        return attributes
