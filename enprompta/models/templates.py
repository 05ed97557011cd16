"""Templates of the community."""

from __future__ import annotations

from datetime import datetime

from enprompta.models.base import Many, Model
from enprompta.models.prompts import PromptVariable


class Template(Model):
    """A prompt that others may fork (reference: "Templates")."""

    id: str
    title: str
    content: str
    """The text, with its placeholders."""
    description: str | None = None
    category: str | None = None
    tags: Many[str] = []
    variables: Many[PromptVariable] = []
    usage_count: int | None = None
    """How often it was forked or used."""
    created_at: datetime | None = None


class TemplateFork(Model):
    """What forking a template gives: a prompt of your own."""

    prompt_id: str
    """The new prompt's id; `client.prompts.get(fork.prompt_id)` fetches it."""
