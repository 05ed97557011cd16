"""Webhook events: what the service posts when something has happened.

A `match` on the class narrows the type:

    match event:
        case PromptExecuted():
            print(event.data.tokens_used)
        case TeamMemberAdded() | TeamMemberRemoved():
            print(event.data.user_id)
        case UnknownEvent():
            print("newer than this version:", event.event)

Unlike the API's resources, events are written in snake_case, and `model_dump()` writes them so again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar, cast

from pydantic import (
    AliasGenerator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    Tag,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema
from typing_extensions import Self  # noqa: TC002 (pydantic resolves the annotations of a validator)

from enprompta.models.base import DateTime, Model

__all__ = [
    "PromptExecuted",
    "PromptExecutedData",
    "TeamMemberAdded",
    "TeamMemberData",
    "TeamMemberRemoved",
    "UnknownEvent",
    "WebhookEvent",
    "WebhookEventBase",
    "WorkflowCompleted",
    "WorkflowData",
    "WorkflowFailed",
    "WorkflowFailedData",
]


T = TypeVar("T")


class AsSent:
    """Reads a value that does not fit its type as the service sent it: `568.5` where a whole number is expected."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Try the real type first."""
        return core_schema.union_schema([handler(source), core_schema.any_schema()], mode="left_to_right")


Sent = Annotated[T, AsSent()]


def _encodable(value: object) -> object:
    """Escape lone surrogates, which no store, log or model can hold."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


Name = Annotated[str, BeforeValidator(_encodable)]


class _Lenient(Model):
    """Reads both spellings as every model does, and writes snake_case.

    A signed event is accepted whatever its data holds, because refusing it would make the service send it again: values
    that do not fit are kept as sent, and required fields that are missing are None.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel), loc_by_alias=False
    )
    _ENVELOPE: ClassVar[frozenset[str]] = frozenset({"id", "event", "created_at"})

    @model_validator(mode="wrap")
    @classmethod
    def _read_what_is_there(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 (any JSON)
        if not isinstance(value, Mapping):
            return handler(value)
        fields = {_encodable(name): one for name, one in cast("Mapping[object, object]", value).items()}
        missing = {
            name
            for name, field in cls.model_fields.items()
            if field.is_required() and name not in fields and to_camel(name) not in fields
        } - cls._ENVELOPE
        model = handler({**fields, **dict.fromkeys(missing)})
        model.model_fields_set.difference_update(missing)
        return model


class WebhookEventBase(_Lenient):
    """What every event has; the subclasses add `event` and `data`.

    An event is any signed JSON object with `id`, `event` and `created_at`. Every other field that does not fit its type
    holds the value as the service sent it, and one that is missing is None.
    """

    id: Name
    """The event's id, the same each time the service sends it: deduplicate by it."""
    created_at: DateTime
    """When it happened; stays the same when the event is sent again."""
    api_version: Sent[str | None] = None
    """The API version that the payload is written in; None when the service does not say."""


class PromptExecutedData(_Lenient):
    """Data of `prompt.executed`."""

    execution_id: Sent[str]
    prompt_id: Sent[str]
    status: Sent[str | None] = None
    """`completed` or `failed`."""
    tokens_used: Sent[int | None] = None
    """The model's own tokens, not the plan's."""
    cost: Sent[float | None] = None
    """In USD."""


class PromptExecuted(WebhookEventBase):
    """A prompt execution has ended."""

    event: Literal["prompt.executed"]
    data: Sent[PromptExecutedData]


class WorkflowData(_Lenient):
    """Data of `workflow.completed`."""

    execution_id: Sent[str]
    workflow_id: Sent[str]
    status: Sent[str | None] = None
    """`completed` or `failed`."""
    tokens_used: Sent[int | None] = None
    """The models' own tokens of all steps, not the plan's."""
    cost: Sent[float | None] = None
    """In USD, of all steps."""


class WorkflowFailedData(WorkflowData):
    """Data of `workflow.failed`."""

    error: Sent[str | dict[str, Any] | list[Any] | None] = None
    """Why it failed, as the service words it; None when it does not say."""


class WorkflowCompleted(WebhookEventBase):
    """A workflow execution has ended well."""

    event: Literal["workflow.completed"]
    data: Sent[WorkflowData]


class WorkflowFailed(WebhookEventBase):
    """A workflow execution has failed."""

    event: Literal["workflow.failed"]
    data: Sent[WorkflowFailedData]


class TeamMemberData(_Lenient):
    """Data of `team.member_added` and `team.member_removed`."""

    team_id: Sent[str]
    user_id: Sent[str]
    email: Sent[str | None] = None
    role: Sent[str | None] = None
    """`OWNER`, `ADMIN`, `MEMBER` or `VIEWER`."""


class TeamMemberAdded(WebhookEventBase):
    """Somebody has joined a team."""

    event: Literal["team.member_added"]
    data: Sent[TeamMemberData]


class TeamMemberRemoved(WebhookEventBase):
    """Somebody has left a team, or was removed from it."""

    event: Literal["team.member_removed"]
    data: Sent[TeamMemberData]


class UnknownEvent(WebhookEventBase):
    """An event that this version of the package has no class for; nothing of it is lost."""

    event: Name
    data: Any = None
    """The event's data as parsed JSON, usually a `dict`."""


_UNKNOWN = "unknown"
_KNOWN = frozenset(
    {"prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"}
)


def _tag(value: object) -> str:
    """Tell which class an event belongs to, from its JSON or from the event itself."""
    name: object = (
        cast("Mapping[str, object]", value).get("event")
        if isinstance(value, Mapping)
        else getattr(value, "event", None)
    )
    return name if isinstance(name, str) and name in _KNOWN else _UNKNOWN


WebhookEvent: TypeAlias = Annotated[
    Annotated[PromptExecuted, Tag("prompt.executed")]
    | Annotated[WorkflowCompleted, Tag("workflow.completed")]
    | Annotated[WorkflowFailed, Tag("workflow.failed")]
    | Annotated[TeamMemberAdded, Tag("team.member_added")]
    | Annotated[TeamMemberRemoved, Tag("team.member_removed")]
    | Annotated[UnknownEvent, Tag(_UNKNOWN)],
    Discriminator(_tag),
]
"""Any event: a union by `event`, of which `UnknownEvent` is the rest."""


@cache
def event_adapter() -> TypeAdapter[WebhookEvent]:
    """Compile the validator of events, once, when the first one is read."""
    return TypeAdapter(WebhookEvent)
