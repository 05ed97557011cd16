"""Fallbacks: what `get_live` returns when the service and the cache have no prompt."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from enprompta._common.narrowing import is_iterable
from enprompta.errors import ConfigurationError
from enprompta.models.live_prompts import LivePrompt
from enprompta.models.messages import LiveMessage, LiveMessageParam, as_message

if TYPE_CHECKING:
    from enprompta.cache.keys import PromptKey

FallbackValue: TypeAlias = str | LivePrompt | Sequence[LiveMessage | LiveMessageParam]
"""A text, a list of messages, or a whole prompt, such as one stored elsewhere."""
Fallback: TypeAlias = (
    FallbackValue
    | Callable[[], FallbackValue | Awaitable[FallbackValue]]
    | Callable[[str], FallbackValue | Awaitable[FallbackValue]]
)
"""A `FallbackValue`, or a callable that returns one; called only when needed, with the slug if it takes an argument."""


def call(fallback: Callable[..., Any], slug: str) -> Any:  # noqa: ANN401 (a value, or something to await)
    """Call a fallback, with the slug if it requires an argument."""
    try:
        parameters = inspect.signature(fallback).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return fallback()
    wants_slug = any(
        one.default is one.empty and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD} for one in parameters
    )
    return fallback(slug) if wants_slug else fallback()


def as_prompt(value: object, key: PromptKey) -> LivePrompt:
    """Build a live prompt from a fallback's value.

    Raises:
        ConfigurationError: The value is not a `FallbackValue`.
    """
    kind = type(value).__name__
    if isinstance(value, LivePrompt):
        return value
    fields: dict[str, Any] = {"id": "", "slug": key.slug, "label": key.label}
    if isinstance(value, str):
        return LivePrompt(**fields, content=value)
    if is_iterable(value) and isinstance(value, Sequence):
        messages = [as_message(one) for one in value]
        if None not in messages:
            return LivePrompt(**fields, messages=cast("list[LiveMessage]", messages))
    raise ConfigurationError(
        f"the fallback of prompt {key.slug!r} must be a string, a list of messages with role and content, or a "
        f"callable that returns one of these, not {kind}"
    )
