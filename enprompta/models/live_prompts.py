"""Live prompts, as `get_live` returns them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field, PrivateAttr, SerializeAsAny, field_validator

from enprompta import templating
from enprompta._common import rendered
from enprompta._common.narrowing import JSON, is_dict, is_list, is_mapping
from enprompta.errors import TemplateError
from enprompta.models.base import Mapped, Model, empty_dict
from enprompta.models.messages import LiveMessage, MessagePlaceholder, fill, read_entry
from enprompta.models.provider_messages import ProviderMessages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from enprompta.errors import EnpromptaError


class LiveVersion(Model):
    """The version that a label points at."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "number")
    id: str | None = None
    number: int | str | None = Field(default=None, union_mode="left_to_right")
    """Grows with every content change; text if the service names versions, such as `v3`."""
    environment: str | None = None


@dataclass(slots=True)  # not frozen, which would take four times as long to create
class CacheInfo:
    """How a live prompt was obtained; never changed. It is ignored when prompts are compared."""

    age: float = field(default=0.0, compare=False)
    is_stale: bool = field(default=False, compare=False)
    is_fallback: bool = field(default=False, compare=False)
    error: EnpromptaError | None = field(default=None, compare=False)


_set_dict, _set_extra, _set_fields_set, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
)
_DECLARATION_KEYS = frozenset({"type", "required", "default", "options", "description"})


class LivePrompt(Model, ProviderMessages):
    """The version of a prompt that a label points at, as fetched at run time with `get_live`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "slug", "label", "version", "is_fallback")
    _ESSENTIAL_FIELDS: ClassVar[frozenset[str]] = frozenset({"content", "messages"})
    id: str
    slug: str | None = None
    name: str | None = None
    label: str | None = None
    version: LiveVersion | None = None
    content: str | None = None
    """The text, with its `{{variables}}`."""
    messages: list[SerializeAsAny[LiveMessage]] | None = Field(default=None, fail_fast=True)
    """The messages of a conversation, some of which may be a `MessagePlaceholder`; None if the prompt is one text."""
    variables: Mapped[Any] = Field(default_factory=empty_dict)
    """The variables' defaults, or their declarations, by name."""
    _serving: CacheInfo = PrivateAttr(default_factory=CacheInfo)

    @field_validator("variables", mode="before")
    @classmethod
    def _by_name(cls, value: JSON) -> JSON:
        """Accept a list of declarations too, as prompts have it."""
        return {str(one.get("name")): one for one in value if is_dict(one)} if is_list(value) else value

    @field_validator("messages", mode="before")
    @classmethod
    def _with_placeholders(cls, value: JSON) -> JSON:
        """Read placeholders, which have no content."""
        return list(map(read_entry, value)) if is_list(value) else value

    @property
    def is_stale(self) -> bool:
        """True if the prompt is older than the requested `ttl`; a refresh is under way or has failed."""
        return self._serving.is_stale

    @property
    def is_fallback(self) -> bool:
        """True if this is your `fallback`, because the service could not provide the prompt."""
        return self._serving.is_fallback

    @property
    def age(self) -> float:
        """Seconds between the service's last confirmation that this version is live and the call that returned it."""
        return self._serving.age

    @property
    def error(self) -> EnpromptaError | None:
        """The error of the last failed request for this prompt; None if it did not fail."""
        return self._serving.error

    def with_cache_info(self, serving: CacheInfo) -> Self:
        """Return a copy with the given cache information; used by the prompt cache."""
        # The same as `model_copy`, at half its cost, which dominates a cache hit.
        live = object.__new__(self.__class__)
        values = self.__dict__.copy()
        values["variables"] = values["variables"].copy()
        if values["messages"]:
            values["messages"] = values["messages"].copy()
        _set_dict(live, values)
        _set_extra(live, (self.__pydantic_extra__ or {}).copy())
        _set_fields_set(live, set(self.__pydantic_fields_set__))
        _set_private(live, {"_serving": serving})
        return live

    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str | list[LiveMessage]:
        """Fill in the variables; returns text for a text prompt and messages for a conversation.

        A value for an unknown variable is an error, except in a fallback: an older text with fewer variables still
        renders.

        Args:
            values: Values by name, for names that are not valid Python names, such as `first-name`.
            **variables: Values by name; these override those in `values`.

        Raises:
            TemplateError: Variables are missing or unknown, or a value is invalid; the error names all of them.
        """
        if self.messages is None:
            return self.render_text(values, **variables)
        return self.render_messages(values, **variables)

    def render_text(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str:
        """Fill in the variables of a text prompt; the arguments are those of `render`.

        Raises:
            TemplateError: As `render`, or the prompt is a conversation or has no text.
        """
        if self.messages is not None or self.content is None:
            kind = "has no text" if self.messages is None else "is a conversation: use render_messages()"
            raise TemplateError(f"The prompt {self.slug or self.id!r} {kind}")
        return self._filled([self.content], templating.rendering.merged(values, variables))[0]

    def render_messages(self, values: Mapping[str, object] | None = None, /, **variables: object) -> list[LiveMessage]:
        """Fill in the variables of every message; a text prompt becomes a single user message.

        The messages of a placeholder are inserted as they are: `render_messages(history=[…])`. In multimodal messages,
        variables are filled in wherever a part has text.

        Raises:
            TemplateError: As `render`.
        """
        if self.messages is None:
            return [LiveMessage(role="user", content=self.render_text(values, **variables))]
        return fill(self.messages, templating.rendering.merged(values, variables), self._filled)

    def _provider_messages(self, values: Mapping[str, object]) -> list[LiveMessage]:
        return self.render_messages(values)

    def _message_templates(self) -> list[LiveMessage]:
        if self.messages is not None:
            return [*self.messages]
        return [LiveMessage(role="user", content=self.content or "")]

    def _filled(self, texts: list[str], values: Mapping[str, object]) -> list[str]:
        filled = self._render_all(texts, values)
        if rendered.observers:
            rendered.notify_rendered(self, filled)
        return filled

    def _render_all(self, texts: list[str], values: Mapping[str, object]) -> list[str]:
        places = {one.name for one in self.messages or () if isinstance(one, MessagePlaceholder)}
        declared = [_declaration(name, one) for name, one in self.variables.items() if name not in places]
        try:
            return templating.render_all(texts, values, declared)
        except TemplateError as error:
            if not self.is_fallback or error.missing or not error.unknown:
                raise
            known = {name: value for name, value in values.items() if name not in error.unknown}
            return templating.render_all(texts, known, declared)


def _declaration(name: str, value: object) -> Mapping[str, object]:
    """Read one entry of `variables`: a declaration, or the default of an optional variable."""
    default = {"name": name, "default": value}
    declared: Mapping[str, object] = value if is_mapping(value) else {}
    return default if _DECLARATION_KEYS.isdisjoint(declared) else {**declared, "name": name}
