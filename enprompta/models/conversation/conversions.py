"""Convert messages to what the packages of model providers take; none of those packages is imported."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Required, TypedDict

from enprompta import templating
from enprompta._common.narrowing import is_dict
from enprompta.errors import TemplateError
from enprompta.models.messages import CALLS, MessagePlaceholder, texts_of, with_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anthropic.types import MessageParam, TextBlockParam
    from openai.types.chat import ChatCompletionMessageParam

    from enprompta.models.messages import ContentPart, LiveMessage

_ALIASES = {"human": "user", "ai": "assistant", "model": "assistant"}
_OPENAI_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_OPENAI_FIELDS = ("name", "tool_call_id", *CALLS)
_SYSTEM = frozenset({"system", "developer"})
_LANGCHAIN_ROLES = {"system": "system", "developer": "system", "user": "human", "assistant": "ai"}
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,(?P<data>[A-Za-z0-9+/=\s]*)\Z")


class AnthropicMessages(TypedDict, total=False):
    """The arguments of Anthropic's `messages.create` that a prompt gives: `create(**live.to_anthropic(), …)`."""

    system: str | Iterable[TextBlockParam]
    """The system prompt; left out if the prompt has none."""
    messages: Required[list[MessageParam]]


def to_openai(messages: Sequence[LiveMessage]) -> list[ChatCompletionMessageParam]:
    """Convert rendered messages; see `ProviderMessages.to_openai`."""
    return cast("list[ChatCompletionMessageParam]", [_openai(at, message) for at, message in enumerate(messages)])


def _role(at: int, message: LiveMessage, allowed: Iterable[str], provider: str) -> str:
    role = _ALIASES.get(message.role, message.role)
    if role not in allowed:
        raise TemplateError(
            f"message {at} has the role {message.role!r}, which {provider} does not have: use {', '.join(allowed)}"
        )
    return role


def _refuse_calls(at: int, message: LiveMessage, provider: str) -> None:
    if any((message.model_extra or {}).get(name) for name in CALLS):
        raise TemplateError(f"message {at} calls tools in OpenAI's form, which {provider} does not have")


def _openai(at: int, message: LiveMessage) -> dict[str, object]:
    role = _role(at, message, _OPENAI_ROLES, "OpenAI")
    content = message.content
    made: dict[str, object] = {
        "role": role,
        "content": content if isinstance(content, str) else [_openai_part(part) for part in content],
    }
    extra = message.model_extra or {}
    made |= {name: extra[name] for name in _OPENAI_FIELDS if extra.get(name) is not None}
    if role == "tool" and "tool_call_id" not in made:
        raise TemplateError(f"message {at} has the role 'tool' and no tool_call_id, which OpenAI requires")
    return made


def _openai_part(part: ContentPart) -> dict[str, object]:
    """Convert an image of Anthropic's form; other parts are returned as they are."""
    fields = cast("dict[str, Any]", part)
    source = fields.get("source")
    if part["type"] == "image" and is_dict(source):
        if source.get("type") == "url":
            return {"type": "image_url", "image_url": {"url": source.get("url")}}
        if source.get("type") == "base64":
            url = f"data:{source.get('media_type')};base64,{source.get('data')}"
            return {"type": "image_url", "image_url": {"url": url}}
    if part["type"] == "image_url" and isinstance(fields.get("image_url"), str):
        return {**fields, "image_url": {"url": fields["image_url"]}}
    return dict(fields)


def to_anthropic(messages: Sequence[LiveMessage]) -> AnthropicMessages:
    """Convert rendered messages; see `ProviderMessages.to_anthropic`."""
    system: list[LiveMessage] = []
    made: list[dict[str, object]] = []
    for at, message in enumerate(messages):
        role = _role(at, message, ("system", "developer", "user", "assistant"), "Anthropic")
        if role in _SYSTEM:
            if made:
                raise TemplateError(f"message {at} is a system message: Anthropic takes them before all others only")
            system.append(message)
            continue
        _refuse_calls(at, message, "Anthropic")
        content = message.content
        if not made and role != "user":
            raise TemplateError(f"message {at} is the assistant's: Anthropic requires that the user begins")
        parts = content if isinstance(content, str) else [_anthropic_part(at, part) for part in content]
        made.append({"role": role, "content": parts})
    if not made:
        raise TemplateError("the prompt has no message of the user, which Anthropic requires")
    result: dict[str, object] = {"messages": made}
    if system:
        result["system"] = _anthropic_system(system)
    return cast("AnthropicMessages", result)


def _anthropic_system(system: Sequence[LiveMessage]) -> str | list[dict[str, Any]]:
    if all(isinstance(one.content, str) for one in system):
        return "\n\n".join(str(one.content) for one in system)
    blocks: list[dict[str, Any]] = []
    for one in system:
        parts: list[Any] = [{"type": "text", "text": one.content}] if isinstance(one.content, str) else one.content
        if other := next((part for part in parts if part["type"] != "text"), None):
            raise TemplateError(f"a system message has a part of type {other['type']!r}: Anthropic takes text only")
        blocks += map(dict, parts)
    return blocks


def _anthropic_part(at: int, part: ContentPart) -> dict[str, object]:
    """Convert an image of OpenAI's form; other parts are returned as they are."""
    fields = part
    if part["type"] != "image_url":
        return dict(fields)
    image = fields.get("image_url")
    url: object = image.get("url") if is_dict(image) else image
    if not isinstance(url, str):
        raise TemplateError(f"message {at} has an image without a url")
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    found = _DATA_URL.match(url)
    if found is None or not _is_base64(found["data"]):
        raise TemplateError(f"message {at} has an image with an invalid data: URL; it must be base64")
    return {"type": "image", "source": {"type": "base64", "media_type": found["type"], "data": found["data"]}}


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode("".join(data.split()), validate=True))
    except ValueError:
        return False


def to_langchain(messages: Sequence[LiveMessage]) -> list[tuple[str, str | list[Any]]]:
    """Convert messages with their variables; see `ProviderMessages.to_langchain`."""
    texts = [text for one in messages for text in texts_of(one.content)]
    names = _langchain_names(templating.variables(text) for text in texts)
    return [_langchain(at, message, names) for at, message in enumerate(messages)]


def _langchain_names(names: Iterable[list[str]]) -> dict[str, str]:
    """Return the name in LangChain for each variable: unique, without dots, not a number and not `self`.

    LangChain passes the values as keyword arguments of a method, so one named `self` is an error there.
    """
    found: dict[str, str] = {}
    plain = list(dict.fromkeys(name for several in names for name in several))
    used = {name for name in plain if "." not in name and not name.isdigit() and name != "self"}
    for name in plain:
        prefix = "_" if name[0].isdigit() or name == "self" else ""
        made = made_first = name if name in used else f"{prefix}{name.replace('.', '_')}"
        number = 2
        while name not in used and made in used:
            made, number = f"{made_first}_{number}", number + 1
        used.add(made)
        found[name] = made
    return found


def _langchain(at: int, message: LiveMessage, names: Mapping[str, str]) -> tuple[str, str | list[object]]:
    if isinstance(message, MessagePlaceholder):
        return "placeholder", [f"{{{message.name}}}", message.optional is True]
    _refuse_calls(at, message, "a LangChain template")
    role = _LANGCHAIN_ROLES[_role(at, message, _LANGCHAIN_ROLES, "a LangChain template")]
    texts = iter([_langchain_text(text, names) for text in texts_of(message.content)])
    return role, with_texts(message.content, texts)


def _langchain_text(text: str, names: Mapping[str, str]) -> str:
    made: list[str] = []
    for literal, name in templating.rendering.pieces(text):
        made.append(literal.replace("{", "{{").replace("}", "}}"))
        if name is not None:
            made.append(f"{{{names[name]}}}")
    return "".join(made)
