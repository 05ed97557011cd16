"""Templates of the community."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from enprompta.models.base import DateTime, Many, Model
from enprompta.models.prompts import PromptVariable

if TYPE_CHECKING:
    from collections.abc import Mapping


class Template(Model):
    """A prompt that others may fork (reference: "Templates")."""

    id: str
    title: str
    content: str
    """The text, with its placeholders."""
    description: str | None = None
    category: str | None = None
    tags: Many[str] = Field(default_factory=list)
    variables: Many[PromptVariable] = Field(default_factory=list[PromptVariable])
    usage_count: int | None = None
    """How often it was forked or used."""
    created_at: DateTime | None = None

    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str:
        """Fill the placeholders in, held against the declared variables; nothing is sent.

        Args:
            values: Values by name, for names that are no Python names, such as `first-name`.
            **variables: Values by name; they go before those in `values`.

        Raises:
            TemplateError: Variables are missing or unknown, or a value does not fit; it names all of them.
        """
        from enprompta import templating  # noqa: PLC0415 (as in `Prompt.render`)

        return templating.render(self.content, {**(values or {}), **variables}, self.variables)


class TemplateFork(Model):
    """What forking a template gives: a prompt of your own."""

    prompt_id: str
    """The new prompt's id; `client.prompts.get(fork.prompt_id)` fetches it."""
