"""Map a span of either convention to what the service keeps of it, and the spans of a trace to the trace it shows.

Texts are read from JSON lists of messages of both conventions, and from messages whose parts are separate attributes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from enprompta._common.narrowing import is_dict, is_list
from enprompta.emulator.ingest import attribute_names as names
from enprompta.emulator.ingest.spans import STATUS_ERROR
from enprompta.emulator.wire import list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from enprompta.emulator.ingest.spans import OtlpSpan

MAX_TOKENS = 2**53
_PROVIDERS = {
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gcp.gemini": "google",
    "aws.bedrock": "bedrock",
    "azure.ai.openai": "azure",
}
DEFAULT_ENVIRONMENT = "production"
UNKNOWN = "unknown"
_MODEL_TYPES = frozenset({"LLM", "EMBEDDING"})
_NS_PER_MS = 1_000_000
_SAID_ONCE = ("prompt_id", "session_id", "system_prompt", "temperature", "max_tokens", "top_p", "finish_reason")
_STATUSES = (
    ("CONTENT_FILTERED", re.compile(r"content.?filter|safety|content_policy", re.IGNORECASE)),
    ("RATE_LIMITED", re.compile(r"rate.?limit|too.?many.?requests|\b429\b|quota", re.IGNORECASE)),
    ("TIMEOUT", re.compile(r"time.?d?.?out|deadline", re.IGNORECASE)),
)
# Where a message of either convention keeps its text, or a list of parts that do.
_INNER = (
    "content", "text", "parts", "contents", "message", "message_content", "document", "embedding", "prompt",
    "completion", "result", "response",
)  # fmt: skip
_CALL_TYPES = frozenset({"tool_call", "tool_use", "function_call", "function"})
_MAX_DEPTH = 20
_MAX_DIGITS = 5

Tree = dict[str, object]


@dataclass(slots=True)
class SpanFacts:
    """The contents of a span in the service's terms; None where it has none."""

    span_type: str
    input: str
    output: str
    provider: str | None = None
    model: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    session_id: str | None = None
    prompt_id: str | None = None
    environment: str | None = None
    finish_reason: str | None = None
    error_message: str | None = None
    error_code: str | None = None
    metadata: dict[str, object] = field(default_factory=dict[str, object])


def facts_of(span: OtlpSpan) -> SpanFacts:
    """Read a span of either convention."""
    attributes = {**span.attributes}
    for event in span.events:
        if event.name == names.DETAILS_EVENT:
            attributes = {**event.attributes, **attributes}
    settings = object_of(parsed(attributes.get(names.INVOCATION_PARAMETERS)))
    everything = {**span.resource, **attributes}
    failed = span.status_code == STATUS_ERROR
    exceptions = [one.attributes for one in span.events if one.name == "exception"]
    exception = exceptions[-1] if exceptions else dict[str, object]()
    input_tokens, output_tokens = _tokens(attributes)
    provider = _text(attributes, names.PROVIDER)
    return SpanFacts(
        span_type=_type(attributes),
        input=_content(span, attributes, names.INPUT),
        output=_content(span, attributes, names.OUTPUT),
        provider=None if provider is None else _PROVIDERS.get(provider, provider),
        model=_text(attributes, names.MODEL),
        system_prompt=_system_prompt(attributes),
        temperature=_number({**settings, **attributes}, (*names.TEMPERATURE, "temperature")),
        max_tokens=_whole({**settings, **attributes}, (*names.MAX_TOKENS, "max_tokens", "max_completion_tokens")),
        top_p=_number({**settings, **attributes}, (*names.TOP_P, "top_p")),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=_number(attributes, names.COST, low=0),
        session_id=_text(attributes, names.SESSION),
        prompt_id=_text(attributes, names.PROMPT_ID),
        environment=_text(everything, names.ENVIRONMENT),
        finish_reason=_finish_reason(attributes),
        error_message=(span.status_message or _text(exception, ("exception.message",))) if failed else None,
        error_code=(_text({**exception, **attributes}, names.ERROR_CODE)) if failed else None,
        metadata=_metadata(everything),
    )


def _first(attributes: Mapping[str, object], wanted: Sequence[str]) -> object:
    return next((attributes[name] for name in wanted if attributes.get(name) not in (None, "", [])), None)


def _text(attributes: Mapping[str, object], wanted: Sequence[str]) -> str | None:
    value = _first(attributes, wanted)
    return None if value is None else text_of(value)


def _number(attributes: Mapping[str, object], wanted: Sequence[str], low: float = -1e15) -> float | None:
    for name in wanted:
        value = attributes.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= 1e15:  # noqa: PLR2004 (exact)
            return float(value)
    return None


def _whole(attributes: Mapping[str, object], wanted: Sequence[str]) -> int | None:
    value = _number(attributes, wanted, low=0)
    return None if value is None or value > MAX_TOKENS else int(value)


def _tokens(attributes: Mapping[str, object]) -> tuple[int | None, int | None]:
    read, written = _whole(attributes, names.INPUT_TOKENS), _whole(attributes, names.OUTPUT_TOKENS)
    total = _whole(attributes, names.TOTAL_TOKENS)
    if total is not None:
        if read is None:
            read = max(total - (written or 0), 0)
        elif written is None:
            written = max(total - read, 0)
    return read, written


def _type(attributes: Mapping[str, object]) -> str:
    for name in (*names.KIND, names.OPERATION, "llm.request.type"):
        kind = names.KINDS.get(str(attributes.get(name, "")).lower())
        if kind is not None:
            return kind
    return "LLM" if _first(attributes, names.MODEL) is not None else "CHAIN"


def _content(span: OtlpSpan, attributes: Mapping[str, object], places: names.Places) -> str:
    """Return the text of the input or output, from the first place that has any."""
    value = _text(attributes, places.values)
    if value:
        return value
    for name in places.messages:
        text = text_of_messages(attributes.get(name))
        if text:
            return text
    text = text_of_messages(unflattened(attributes, places.prefixes))
    if text:
        return text
    bodies: list[object] = []
    for event in span.events:
        if event.name in places.events:
            body = _first(event.attributes, (*places.messages, "gen_ai.event.content", "body", "message"))
            bodies.append(parsed(body) if body is not None else event.attributes)
    return text_of_messages(bodies) if bodies else ""


def _system_prompt(attributes: Mapping[str, object]) -> str | None:
    text = text_of_messages(_first(attributes, names.SYSTEM))
    if text:
        return text
    found = next((parsed(attributes[one]) for one in names.INPUT.messages if attributes.get(one)), None)
    messages = found if is_list(found) else unflattened(attributes, names.INPUT.prefixes)
    for message in messages:
        fields = object_of(message)
        inner = fields.get("message")
        fields = inner if is_dict(inner) else fields
        if fields.get("role") == "system":
            return text_of_messages(fields) or None
    return None


def _finish_reason(attributes: Mapping[str, object]) -> str | None:
    value = parsed(_first(attributes, names.FINISH_REASON))
    if is_list(value):
        value = next(iter(value), None)
    return None if value is None else text_of(value)


def _metadata(attributes: Mapping[str, object]) -> dict[str, object]:
    found = {**object_of(parsed(attributes.get("metadata")))}
    found.update((name[9:], value) for name, value in attributes.items() if name.startswith("metadata.") and name[9:])
    for name, key in names.METADATA.items():
        if attributes.get(name) not in (None, ""):
            found[key] = attributes[name]
    tools = [_tool(one) for one in unflattened(attributes, names.TOOL_PREFIXES)] or parsed(
        _first(attributes, names.TOOLS)
    )
    if tools:
        found["tools"] = tools
    return found


def _tool(node: object) -> object:
    """Return the definition of a tool, whose JSON schema is a text."""
    inner = object_of(node).get("tool")
    return parsed(inner.get("json_schema")) if is_dict(inner) else node


def trace_of(rows: Sequence[Any]) -> dict[str, Any]:
    """Return the columns of a trace from the rows of its spans, in the order of their start.

    The root span speaks for the trace: its input and output, its duration and its error. What it does not say, the
    model calls in it say: the input of the first, the output of the last. Tokens and cost are those of all model calls.

    Args:
        rows: Mappings with the columns of `trace_spans`, where `facts` is decoded.
    """
    root = next((row for row in rows if not row["parent_span_id"]), rows[0])
    model_calls = [row for row in rows if row["span_type"] in _MODEL_TYPES]
    by_weight = [root["facts"], *(row["facts"] for row in model_calls), *(row["facts"] for row in rows)]
    counted = [row["facts"] for row in model_calls or rows]
    start = min(row["start_time"] for row in rows)
    end = root["end_time"] or max((row["end_time"] or 0) for row in rows)
    metadata: dict[str, Any] = {}
    for facts in reversed(by_weight):
        metadata.update(facts["metadata"])
    said = {name: _first_of((facts[name] for facts in by_weight), None) for name in _SAID_ONCE}
    error = root["facts"]["error_message"], root["facts"]["error_code"]
    failed = root["status"] == "ERROR"
    return {
        **said,
        "provider": _first_of((facts["provider"] for facts in by_weight), UNKNOWN),
        "model": _first_of((facts["model"] for facts in by_weight), UNKNOWN),
        "input": _first_of((facts["input"] for facts in by_weight[: len(model_calls) + 1]), ""),
        "output": _first_of([root["facts"]["output"], *(row["facts"]["output"] for row in reversed(model_calls))], ""),
        "input_tokens": sum(facts["input_tokens"] or 0 for facts in counted),
        "output_tokens": sum(facts["output_tokens"] or 0 for facts in counted),
        "latency_ms": max(end - (root["start_time"] if root["end_time"] else start), 0) / _NS_PER_MS,
        "cost": sum(facts["cost"] or 0 for facts in counted),
        "status": _status(failed, said["finish_reason"], *error),
        "error_message": error[0],
        "error_code": error[1],
        "environment": _first_of((facts["environment"] for facts in by_weight), DEFAULT_ENVIRONMENT),
        "metadata": metadata,
        "created_at": start // 1_000_000_000,
    }


def _first_of(values: Iterable[Any], default: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return the first value that is neither None nor empty text."""
    return next((value for value in values if value is not None and value != ""), default)


def _status(failed: bool, finish_reason: str | None, message: str | None, code: str | None) -> str:  # noqa: FBT001 (one call)
    reason = f"{finish_reason or ''} {code or ''} {message or ''}" if failed else finish_reason or ""
    for status, pattern in _STATUSES if failed else _STATUSES[:1]:
        if pattern.search(reason):
            return status
    return "ERROR" if failed else "SUCCESS"


def text_of(value: object) -> str:
    """Return the text of a value; JSON stays JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parsed(value: object) -> object:
    """Return a value; text that is a JSON object or list is decoded."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def text_of_messages(value: object) -> str:
    """Return the texts of messages; tool calls as JSON if there is no text; empty if there is neither."""
    texts: list[str] = []
    calls: list[object] = []
    _collect(parsed(value), texts, calls, 0)
    return "\n".join(texts) if texts else json.dumps(calls, ensure_ascii=False) if calls else ""


def _collect(node: object, texts: list[str], calls: list[object], depth: int) -> None:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, str):
        texts += [node] if node else []
    elif is_list(node):
        for one in node:
            _collect(one, texts, calls, depth + 1)
    elif is_dict(node):
        fields = node
        if fields.get("type") in _CALL_TYPES or ("content" not in fields and "arguments" in fields):
            calls.append(fields)
            return
        calls += [fields[name] for name in ("tool_calls", "function_call") if fields.get(name)]
        for name in _INNER:
            _collect(fields.get(name), texts, calls, depth + 1)


def unflattened(attributes: Mapping[str, object], prefixes: Sequence[str]) -> list[object]:
    """Put together a list whose parts are separate attributes: `llm.input_messages.0.message.content`."""
    for prefix in prefixes:
        tree: Tree = {}
        for name, value in attributes.items():
            path = name[len(prefix) :].split(".") if name.startswith(prefix) else [""]
            if _is_index(path[0]) and len(path) <= _MAX_DEPTH:
                _put(tree, path, value)
        if tree:
            return list_of(_with_lists(tree))
    return []


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _put(tree: Tree, path: Sequence[str], value: object) -> None:
    for name in path[:-1]:
        inner = tree.get(name)
        if not is_dict(inner):
            inner = tree[name] = Tree()
        tree = inner
    tree[path[-1]] = value


def _with_lists(node: object) -> object:
    """Turn objects whose names are all numbers into lists."""
    if not is_dict(node):
        return node
    fields = {name: _with_lists(one) for name, one in node.items()}
    if fields and all(_is_index(name) for name in fields):
        return [fields[name] for name in sorted(fields, key=int)]
    return fields
