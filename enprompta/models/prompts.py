"""Prompts and their variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import NotRequired, Required, TypedDict

from enprompta import templating
from enprompta._common import rendered
from enprompta.models import conversation
from enprompta.models.base import DateTime, Many, Model, Open, empty_list
from enprompta.models.provider_messages import ProviderMessages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.models.conversation import LiveMessage

Visibility = Literal["PRIVATE", "TEAM", "PUBLIC"]
VariableType = Literal["text", "number", "boolean", "select"]


class PromptVariable(Model):
    """The declaration of one of a prompt's variables; you can also create one and pass it to the API."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("name", "type", "required")
    name: str
    """The name between the braces."""
    type: Open[VariableType] | None = None
    """The type that values must have; None and unknown types accept any value."""
    required: bool | None = None
    """True if a value must be given; None means the API's default."""
    default: Any = None
    """The value to use if none is given."""
    description: str | None = None
    options: Many[Any] = Field(default_factory=empty_list)
    """The values that a `select` accepts."""


class PromptVariableParam(TypedDict, total=False):
    """A `PromptVariable` as a plain dict."""

    name: Required[str]
    type: NotRequired[VariableType | str]
    required: NotRequired[bool]
    default: NotRequired[Any]
    description: NotRequired[str | None]
    options: NotRequired[list[Any]]


class TextPrompt(ProviderMessages):
    """The methods of a prompt that is one text: those of `Prompt` and `Template`."""

    __slots__ = ()

    if TYPE_CHECKING:  # each class has its own
        content: str
        variables: list[PromptVariable]

    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str:
        """Fill in the variables locally, without sending a request; values are validated against the declarations.

        Args:
            values: Values by name, for names that are not valid Python names, such as `first-name`.
            **variables: Values by name; these override those in `values`.

        Raises:
            TemplateError: Variables are missing or unknown, or a value is invalid; the error names all of them.
        """
        text = templating.render(self.content, templating.rendering.merged(values, variables), self.variables)
        if rendered.observers and isinstance(self, Prompt):
            rendered.notify_rendered(self, [text])
        return text

    def _provider_messages(self, values: Mapping[str, object]) -> list[LiveMessage]:
        return [conversation.LiveMessage(role="user", content=self.render(values))]

    def _message_templates(self) -> list[LiveMessage]:
        return [conversation.LiveMessage(role="user", content=self.content)]


class Prompt(Model, TextPrompt):
    """A versioned text with `{{variables}}` (reference: "Prompts")."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "title", "version")
    id: str
    title: str
    slug: str | None = None
    """The name to pass to `get_live`, such as `launch-announcement`; None if the API does not report one."""
    content: str
    """The text, with its `{{variables}}`."""
    description: str | None = None
    category: str | None = None
    tags: Many[str] = Field(default_factory=empty_list)
    variables: Many[PromptVariable] = Field(default_factory=empty_list)
    visibility: Open[Visibility] | None = None
    version: int | None = None
    """Grows with every change of `content`."""
    usage_count: int | None = None
    """Number of executions so far."""
    team_id: str | None = None
    """The team that owns the prompt; None for a personal prompt."""
    created_at: DateTime | None = None
    updated_at: DateTime | None = None
