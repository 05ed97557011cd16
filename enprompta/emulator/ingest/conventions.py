"""Map a span of either convention to what the service keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from enprompta._common.narrowing import is_dict, is_list
from enprompta.emulator.ingest import attribute_names as names
from enprompta.emulator.ingest.messages import parsed, text_of, text_of_messages, unflattened
from enprompta.emulator.ingest.spans import STATUS_ERROR
from enprompta.emulator.wire import object_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.emulator.ingest.spans import OtlpSpan

MAX_TOKENS = 2**53
_PROVIDERS = {
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gcp.gemini": "google",
    "aws.bedrock": "bedrock",
    "azure.ai.openai": "azure",
}


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
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= 1e15:  # noqa: PLR2004
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
