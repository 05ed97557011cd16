"""Messages of conversation prompts: roles, multimodal contents, and placeholders for other messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, with_config
from typing_extensions import NotRequired, Required, TypedDict

from enprompta._common.narrowing import JSON, is_iterable, is_list, is_mapping
from enprompta.errors import TemplateError
from enprompta.models.base import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_PLACEHOLDERS = frozenset({"placeholder", "messages_placeholder"})
CALLS = ("tool_calls", "function_call")
"""The fields of a message in which OpenAI has calls of tools; such a message may have no content."""


@with_config(ConfigDict(extra="allow"))
class ImageURL(TypedDict, total=False):
    """The image of an `image_url` part."""

    url: Required[str]
    """A URL, or a `data:` URL with the image in base64."""
    detail: NotRequired[str]
    """`auto`, `low` or `high`."""


@with_config(ConfigDict(extra="allow"))
class ContentPart(TypedDict, total=False):
    """One part of a multimodal message; fields of other types of parts are kept."""

    type: Required[str]
    """Such as `text` or `image_url`."""
    text: NotRequired[str]
    image_url: NotRequired[ImageURL | str]


class LiveMessage(Model):
    """One message of a conversation prompt."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("role",)
    role: str
    """Such as `system`, `user` or `assistant`."""
    content: str | list[ContentPart]
    """The text, or the parts of a multimodal message."""


class MessagePlaceholder(LiveMessage):
    """A place in a conversation prompt for messages that the caller passes, such as the history of a chat.

    `live.render(history=[{"role": "user", "content": "Hi"}])` inserts the messages as they are.
    """

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("name", "optional")
    role: str = "placeholder"
    content: str | list[ContentPart] = ""
    name: str
    """The name of the argument with the messages."""
    optional: bool | None = None
    """True if the messages may be left out."""


class LiveMessageParam(TypedDict):
    """A `LiveMessage` as a plain dict."""

    role: str
    content: str | list[ContentPart]


def read_entry(entry: object) -> object:
    """Return a placeholder if this is one, in either of its forms; fill in the content of a message that calls tools.

    Anything else is returned unchanged.
    """
    if is_mapping(entry):
        fields = entry
        is_place = fields.get("type") in _PLACEHOLDERS or fields.get("role") in _PLACEHOLDERS
        if is_place and isinstance(fields.get("name"), str):
            return MessagePlaceholder.model_validate(dict(fields))
        if fields.get("content") is None and any(fields.get(name) for name in CALLS):
            return {**fields, "content": ""}
    return entry


def as_message(one: object) -> LiveMessage | None:
    """Convert a message or a dict with role and content; None for anything else."""
    if isinstance(one, LiveMessage):
        return one
    entry = read_entry(one)
    if isinstance(entry, MessagePlaceholder):
        return entry
    if is_mapping(entry) and isinstance(entry.get("role"), str) and _is_content(entry.get("content")):
        return LiveMessage.model_validate(dict(entry))
    return None


def _is_content(content: object) -> bool:
    if is_list(content):
        return all(is_mapping(part) and isinstance(part.get("type"), str) for part in content)
    return isinstance(content, str)


def texts_of(content: str | list[ContentPart]) -> Iterator[str]:
    """List the texts of a content in which variables are filled in: every text of its parts, except their types."""
    if isinstance(content, str):
        yield content
        return
    waiting: list[object] = list(reversed(content))
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif is_mapping(one):
            waiting += [one[name] for name in reversed([*one]) if name != "type"]
        elif is_list(one):
            waiting += reversed(one)


def with_texts(content: JSON, texts: Iterator[str]) -> JSON:
    """Return a copy of a content with other texts, in the order of `texts_of`."""
    if isinstance(content, str):
        return next(texts)
    if is_mapping(content):
        return {name: value if name == "type" else with_texts(value, texts) for name, value in content.items()}
    if is_list(content):
        return [with_texts(one, texts) for one in content]
    return content


def fill(
    messages: Sequence[LiveMessage],
    values: Mapping[str, object],
    render: Callable[[list[str], Mapping[str, object]], list[str]],
) -> list[LiveMessage]:
    """Fill in the variables of messages, and insert the messages of placeholders.

    Raises:
        TemplateError: The messages of a placeholder are missing or invalid, or `render` raised it.
    """
    names = [one.name for one in messages if isinstance(one, MessagePlaceholder)]
    texts = [text for one in messages for text in texts_of(one.content) if not isinstance(one, MessagePlaceholder)]
    others = {name: value for name, value in values.items() if name not in names} if names else values
    rendered = iter(render(texts, others))
    filled: list[LiveMessage] = []
    for one in messages:
        if isinstance(one, MessagePlaceholder):
            filled += _inserted(one, values.get(one.name))
        else:
            filled.append(one.model_copy(update={"content": with_texts(one.content, rendered)}))
    return filled


def _inserted(place: MessagePlaceholder, given: object) -> list[LiveMessage]:
    if given is None:
        if place.optional:
            return []
        raise TemplateError(f"Missing messages: {place.name!r}, a list of messages", missing=(place.name,))
    wanted = f"{place.name!r} must be a list of messages with role and content"
    if isinstance(given, str) or is_mapping(given) or not is_iterable(given):
        raise TemplateError(f"{wanted}, not {type(given).__name__}")
    messages: list[LiveMessage] = []
    for at, one in enumerate(given):
        message = as_message(one)
        if message is None or isinstance(message, MessagePlaceholder):
            raise TemplateError(f"{wanted}; item {at} is not one")
        messages.append(message)
    return messages
