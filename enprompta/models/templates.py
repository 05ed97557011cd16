"""Community templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from enprompta import templating
from enprompta.models.base import DateTime, Many, Model, empty_list
from enprompta.models.messages import LiveMessage
from enprompta.models.prompts import PromptVariable
from enprompta.models.provider_messages import ProviderMessages

if TYPE_CHECKING:
    from collections.abc import Mapping


class Template(Model, ProviderMessages):
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

    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str:
        """Fill in the variables locally, without sending a request; values are validated against the declarations.

        Args:
            values: Values by name, for names that are not valid Python names, such as `first-name`.
            **variables: Values by name; these override those in `values`.

        Raises:
            TemplateError: Variables are missing or unknown, or a value is invalid; the error names all of them.
        """
        return templating.render(self.content, templating.rendering.merged(values, variables), self.variables)

    def _provider_messages(self, values: Mapping[str, object]) -> list[LiveMessage]:
        return [LiveMessage(role="user", content=self.render(values))]

    def _message_templates(self) -> list[LiveMessage]:
        return [LiveMessage(role="user", content=self.content)]


class TemplateFork(Model):
    """The result of forking a template: a prompt that you own."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("prompt_id",)
    prompt_id: str
    """The new prompt's id; `client.prompts.get(fork.prompt_id)` fetches it."""
