"""Community templates."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from enprompta.models.base import DateTime, Many, Model, empty_list
from enprompta.models.prompts import PromptVariable, TextPrompt


class Template(Model, TextPrompt):
    """A community prompt that you can fork (reference: "Templates")."""

    id: str
    title: str
    content: str
    """The text, with its `{{variables}}`."""
    description: str | None = None
    category: str | None = None
    tags: Many[str] = Field(default_factory=empty_list)
    variables: Many[PromptVariable] = Field(default_factory=empty_list)
    usage_count: int | None = None
    """Number of times the template was forked or used."""
    created_at: DateTime | None = None


class TemplateFork(Model):
    """The result of forking a template: a prompt that you own."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("prompt_id",)
    prompt_id: str
    """The new prompt's id; `client.prompts.get(fork.prompt_id)` fetches it."""
