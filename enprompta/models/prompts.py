"""Prompts, their variables, and the prompt that is live under a label."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from typing_extensions import NotRequired, Required, TypedDict

from enprompta.models.base import Many, Mapped, Model

Visibility = Literal["PRIVATE", "TEAM", "PUBLIC"]
VariableType = Literal["text", "number", "boolean", "select"]


class PromptVariable(Model):
    """A placeholder of a prompt, declared; may be written by the caller too."""

    name: str
    """As it stands between the braces."""
    type: VariableType | str | None = None
    """What a value must be; None and types not listed here are not checked."""
    required: bool | None = None
    """Whether a value must be given; None is the API's default."""
    default: Any = None
    """Used when no value is given."""
    description: str | None = None
    options: Many[Any] = []
    """The values a `select` may have."""


class PromptVariableParam(TypedDict, total=False):
    """A `PromptVariable` written as a plain dict."""

    name: Required[str]
    type: NotRequired[VariableType | str]
    required: NotRequired[bool]
    default: NotRequired[Any]
    description: NotRequired[str | None]
    options: NotRequired[list[Any]]


class Prompt(Model):
    """A versioned text with `{{variable}}` placeholders (reference: "Prompts")."""

    id: str
    title: str
    content: str
    """The text, with its placeholders."""
    description: str | None = None
    category: str | None = None
    tags: Many[str] = []
    variables: Many[PromptVariable] = []
    visibility: Visibility | str | None = None
    version: int | None = None
    """Counts up with every new `content`."""
    usage_count: int | None = None
    """Executions so far."""
    team_id: str | None = None
    """The team it belongs to; None for a personal prompt."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class LiveVersion(Model):
    """The version that a label points at."""

    id: str | None = None
    number: int | None = None
    environment: str | None = None


class LiveMessage(Model):
    """One message of a prompt that is a conversation."""

    role: str
    """Such as `system`, `user` or `assistant`."""
    content: str


class LivePrompt(Model):
    """The prompt that is live under a label, as an application fetches it at run time."""

    id: str
    slug: str | None = None
    name: str | None = None
    label: str | None = None
    version: LiveVersion | None = None
    content: str | None = None
    """The text, with its placeholders."""
    messages: list[LiveMessage] | None = None
    """The messages of a conversation; None for a single text."""
    variables: Mapped[Any] = {}
    """Declared variables by name."""
