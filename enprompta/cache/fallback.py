"""What a caller does with when the service gives nothing: a text, messages, or a callable that gives them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from enprompta.errors import ConfigurationError
from enprompta.models.prompts import LiveMessage, LiveMessageParam, LivePrompt

if TYPE_CHECKING:
    from enprompta.cache.keys import PromptKey

FallbackValue: TypeAlias = str | LivePrompt | Sequence[LiveMessage | LiveMessageParam]
"""A text, a conversation, or a whole prompt, such as one that was kept elsewhere."""
Fallback: TypeAlias = (
    FallbackValue
    | Callable[[], FallbackValue | Awaitable[FallbackValue]]
    | Callable[[str], FallbackValue | Awaitable[FallbackValue]]
)
"""A `FallbackValue`, or what gives one, asked only when it is needed: a callable without arguments, or of the slug."""


def call(fallback: Callable[..., Any], slug: str) -> Any:  # noqa: ANN401 (a value, or something to await)
    """Call a fallback, with the slug when it requires an argument."""
    try:
        parameters = inspect.signature(fallback).parameters.values()
    except (TypeError, ValueError):  # some builtins do not tell
        return fallback()
    wants_slug = any(
        one.default is one.empty and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD} for one in parameters
    )
    return fallback(slug) if wants_slug else fallback()


def as_prompt(value: object, key: PromptKey) -> LivePrompt:
    """Make a live prompt of a fallback's value.

    Raises:
        ConfigurationError: It is none of the kinds there are.
    """
    kind = type(value).__name__
    if isinstance(value, LivePrompt):
        return value
    told: dict[str, Any] = {"id": "", "slug": key.slug, "label": key.label}
    if isinstance(value, str):
        return LivePrompt(**told, content=value)
    if isinstance(value, Sequence):
        messages = [_message(one) for one in cast("Sequence[object]", value)]
        if None not in messages:
            return LivePrompt(**told, messages=cast("list[LiveMessage]", messages))
    raise ConfigurationError(
        f"the fallback of prompt {key.slug!r} must be a text, a list of messages with role and content, or a callable "
        f"that gives one of these, not {kind}"
    )


def _message(one: object) -> LiveMessage | None:
    if isinstance(one, LiveMessage):
        return one
    if isinstance(one, Mapping):
        told = cast("Mapping[str, object]", one)
        if isinstance(told.get("role"), str) and isinstance(told.get("content"), str):
            return LiveMessage.model_validate(dict(told))
    return None
