"""Prompts, their variables, and the prompt that is live under a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, PrivateAttr, field_validator
from typing_extensions import NotRequired, Required, Self, TypedDict

from enprompta.errors import TemplateError
from enprompta.models.base import DateTime, Many, Mapped, Model, Open

if TYPE_CHECKING:
    from enprompta.errors import EnpromptaError

Visibility = Literal["PRIVATE", "TEAM", "PUBLIC"]
VariableType = Literal["text", "number", "boolean", "select"]


class PromptVariable(Model):
    """A placeholder of a prompt, declared; may be written by the caller too."""

    name: str
    """As it stands between the braces."""
    type: Open[VariableType] | None = None
    """What a value must be; None and types not listed here are not checked."""
    required: bool | None = None
    """Whether a value must be given; None is the API's default."""
    default: Any = None
    """Used when no value is given."""
    description: str | None = None
    options: Many[Any] = Field(default_factory=list)
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
    slug: str | None = None
    """The name to give to `get_live`, such as `launch-announcement`; None where the API does not report one."""
    content: str
    """The text, with its placeholders."""
    description: str | None = None
    category: str | None = None
    tags: Many[str] = Field(default_factory=list)
    variables: Many[PromptVariable] = Field(default_factory=list[PromptVariable])
    visibility: Open[Visibility] | None = None
    version: int | None = None
    """Counts up with every new `content`."""
    usage_count: int | None = None
    """Executions so far."""
    team_id: str | None = None
    """The team it belongs to; None for a personal prompt."""
    created_at: DateTime | None = None
    updated_at: DateTime | None = None

    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str:
        """Fill the placeholders in, held against the declared variables; nothing is sent.

        Args:
            values: Values by name, for names that are no Python names, such as `first-name`.
            **variables: Values by name; they go before those in `values`.

        Raises:
            TemplateError: Variables are missing or unknown, or a value does not fit; it names all of them.
        """
        from enprompta import templating  # noqa: PLC0415 (most programs let the service render)

        return templating.render(self.content, {**(values or {}), **variables}, self.variables)


class LiveVersion(Model):
    """The version that a label points at."""

    id: str | None = None
    number: int | str | None = Field(default=None, union_mode="left_to_right")
    """Counts up with every new content; a text where the service names versions so, as in `v3`."""
    environment: str | None = None


class LiveMessage(Model):
    """One message of a prompt that is a conversation."""

    role: str
    """Such as `system`, `user` or `assistant`."""
    content: str


class LiveMessageParam(TypedDict):
    """A `LiveMessage` written as a plain dict."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """How a live prompt came to its caller. Two prompts that say the same are equal, however they came."""

    age: float = field(default=0.0, compare=False)
    is_stale: bool = field(default=False, compare=False)
    is_fallback: bool = field(default=False, compare=False)
    error: EnpromptaError | None = field(default=None, compare=False)


_DECLARATION_KEYS = frozenset({"type", "required", "default", "options", "description"})


class LivePrompt(Model):
    """The prompt that is live under a label, as an application fetches it at run time."""

    id: str
    slug: str | None = None
    name: str | None = None
    label: str | None = None
    version: LiveVersion | None = None
    content: str | None = None
    """The text, with its placeholders."""
    messages: list[LiveMessage] | None = Field(default=None, fail_fast=True)
    """The messages of a conversation; None for a single text."""
    variables: Mapped[Any] = Field(default_factory=dict)
    """Defaults of the variables by name, or their declarations."""
    _serving: CacheInfo = PrivateAttr(default_factory=CacheInfo)

    @field_validator("variables", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:  # noqa: ANN401 (whatever the service wrote)
        """Read a list of declarations too, as prompts have it."""
        if not isinstance(value, list):
            return value
        declared = cast("list[dict[str, Any]]", [one for one in cast("list[Any]", value) if isinstance(one, dict)])
        return {str(one.get("name")): one for one in declared}

    @property
    def is_stale(self) -> bool:
        """Whether it is older than the `ttl` that was asked for: a newer one is being fetched, or cannot be."""
        return self._serving.is_stale

    @property
    def is_fallback(self) -> bool:
        """Whether it is the caller's `fallback`, for the service gave none."""
        return self._serving.is_fallback

    @property
    def age(self) -> float:
        """Seconds, when it was given to the caller, since the service said that this is what is live."""
        return self._serving.age

    @property
    def error(self) -> EnpromptaError | None:
        """Why there was nothing newer: how the last request for it failed; None when none has."""
        return self._serving.error

    def with_cache_info(self, serving: CacheInfo) -> Self:
        """Give a copy that tells how it came to its caller; the cache of prompts does this."""
        # What `model_copy` does, in 2 µs in place of 4: this is most of what a prompt from memory costs.
        live = self.__class__.__new__(self.__class__)
        extra, put = self.__pydantic_extra__, object.__setattr__
        put(live, "__dict__", {**self.__dict__, "variables": {**self.variables}})
        put(live, "__pydantic_extra__", {**extra} if extra else extra)
        put(live, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        put(live, "__pydantic_private__", {"_serving": serving})
        return live

    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str | list[LiveMessage]:
        """Fill the placeholders in: a text gives a text, a conversation its messages with their roles.

        A name that a prompt does not know is an error; in a fallback it is passed over, for the version that stands
        in for another must not fail for want of a placeholder.

        Args:
            values: Values by name, for names that are no Python names, such as `first-name`.
            **variables: Values by name; they go before those in `values`.

        Raises:
            TemplateError: Variables are missing or unknown, or a value does not fit; it names all of them.
        """
        if self.messages is None:
            return self.render_text(values, **variables)
        return self.render_messages(values, **variables)

    def render_text(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str:
        """Fill the placeholders of a single text in; arguments and errors are those of `render`.

        Raises:
            TemplateError: As `render`, and when the prompt is a conversation or has no text.
        """
        if self.messages is not None or self.content is None:
            kind = "has no text" if self.messages is None else "is a conversation: use render_messages()"
            raise TemplateError(f"The prompt {self.slug or self.id!r} {kind}")
        return self._filled([self.content], {**(values or {}), **variables})[0]

    def render_messages(self, values: Mapping[str, object] | None = None, /, **variables: object) -> list[LiveMessage]:
        """Fill the placeholders of every message in; a single text becomes one message of the user.

        Raises:
            TemplateError: As `render`.
        """
        if self.messages is None:
            return [LiveMessage(role="user", content=self.render_text(values, **variables))]
        texts = self._filled([message.content for message in self.messages], {**(values or {}), **variables})
        return [
            message.model_copy(update={"content": text}) for message, text in zip(self.messages, texts, strict=True)
        ]

    def _filled(self, texts: list[str], values: Mapping[str, object]) -> list[str]:
        from enprompta import templating  # noqa: PLC0415 (as in `Prompt.render`)

        declared = [_declaration(name, one) for name, one in self.variables.items()]
        try:
            return templating.render_all(texts, values, declared)
        except TemplateError as error:
            if not self.is_fallback or error.missing or not error.unknown:
                raise
            known = {name: value for name, value in values.items() if name not in error.unknown}
            return templating.render_all(texts, known, declared)


def _declaration(name: str, told: object) -> Mapping[str, object]:
    """Read what the service tells of a variable: a declaration, or the default of one that need not be given."""
    default = {"name": name, "default": told}
    declared = cast("Mapping[str, object]", told if isinstance(told, Mapping) else {})
    return default if _DECLARATION_KEYS.isdisjoint(declared) else {**declared, "name": name}
