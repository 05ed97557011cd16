"""Webhook events, which the service posts when something has happened.

A `match` on the class narrows the type:

    match event:
        case PromptExecuted():
            print(event.data.tokens_used)
        case TeamMemberAdded() | TeamMemberRemoved():
            print(event.data.user_id)
        case UnknownEvent():
            print("event type not known to this version:", event.event)

Unlike the API's resources, events use snake_case, also in `model_dump()`.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import (
    AliasGenerator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    Tag,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import core_schema
from typing_extensions import Self

from enprompta._common.narrowing import JSON, is_mapping
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
    """Keeps a value that does not fit its type as the service sent it, such as `568.5` for an integer."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Try the declared type first."""
        return core_schema.union_schema([handler(source), core_schema.any_schema()], mode="left_to_right")


Sent = Annotated[T, AsSent()]


def _encodable(value: object) -> object:
    """Escape lone surrogates, which cannot be encoded for stores and logs."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


Name = Annotated[str, BeforeValidator(_encodable)]


class _Lenient(Model):
    """Accepts camelCase and snake_case like every model, and writes snake_case.

    A signed event is accepted whatever its data contains, because the service sends rejected events again. Values that
    do not fit are kept as sent, and missing required fields are None.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel), loc_by_alias=False
    )
    _ENVELOPE: ClassVar[frozenset[str]] = frozenset({"id", "event", "created_at"})

    @model_validator(mode="wrap")
    @classmethod
    def _read_what_is_there(cls, value: JSON, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not is_mapping(value):
            return handler(value)
        fields = {_encodable(name): one for name, one in value.items()}
        missing = {
            name
            for name, field in cls.model_fields.items()
            if field.is_required() and name not in fields and to_camel(name) not in fields
        } - cls._ENVELOPE
        model = handler({**fields, **dict.fromkeys(missing)})
        model.model_fields_set.difference_update(missing)
        return model


class WebhookEventBase(_Lenient):
    """Base of all events; subclasses add `event` and `data`.

    An event is any signed JSON object with `id`, `event` and `created_at`. Any other field keeps the value that the
    service sent even if it does not fit its type, and is None if it is missing.
    """

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "created_at")
    id: Name
    """The event's id; it stays the same when the service sends the event again, so use it to deduplicate."""
    created_at: DateTime
    """When the event happened; it stays the same when the event is sent again."""
    api_version: Sent[str | None] = None
    """The API version of the payload; None if the service does not send it."""


class PromptExecutedData(_Lenient):
    """Data of `prompt.executed`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("execution_id", "status")
    execution_id: Sent[str]
    prompt_id: Sent[str]
    status: Sent[str | None] = None
    """`completed` or `failed`."""
    tokens_used: Sent[int | None] = None
    """Input and output tokens of the model; not credits."""
    cost: Sent[float | None] = None
    """In US dollars."""


class PromptExecuted(WebhookEventBase):
    """A prompt execution has completed or failed."""

    event: Literal["prompt.executed"]
    data: Sent[PromptExecutedData]


class WorkflowData(_Lenient):
    """Data of `workflow.completed`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("execution_id", "workflow_id", "status")
    execution_id: Sent[str]
    workflow_id: Sent[str]
    status: Sent[str | None] = None
    """`completed` or `failed`."""
    tokens_used: Sent[int | None] = None
    """Tokens of all steps together; not credits."""
    cost: Sent[float | None] = None
    """Cost of all steps together, in US dollars."""


class WorkflowFailedData(WorkflowData):
    """Data of `workflow.failed`."""

    error: Sent[str | dict[str, Any] | list[Any] | None] = None
    """Why the run failed, as reported by the service; None if the service does not say."""


class WorkflowCompleted(WebhookEventBase):
    """A workflow run has completed."""

    event: Literal["workflow.completed"]
    data: Sent[WorkflowData]


class WorkflowFailed(WebhookEventBase):
    """A workflow run has failed."""

    event: Literal["workflow.failed"]
    data: Sent[WorkflowFailedData]


class TeamMemberData(_Lenient):
    """Data of `team.member_added` and `team.member_removed`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("team_id", "user_id", "role")
    team_id: Sent[str]
    user_id: Sent[str]
    email: Sent[str | None] = None
    role: Sent[str | None] = None
    """`OWNER`, `ADMIN`, `MEMBER` or `VIEWER`."""


class TeamMemberAdded(WebhookEventBase):
    """A user has joined a team."""

    event: Literal["team.member_added"]
    data: Sent[TeamMemberData]


class TeamMemberRemoved(WebhookEventBase):
    """A user has left a team or was removed from it."""

    event: Literal["team.member_removed"]
    data: Sent[TeamMemberData]


class UnknownEvent(WebhookEventBase):
    """An event of a type that this version of the package does not know; all its data is kept."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "event", "created_at")
    event: Name
    data: Any = None
    """The event's data as parsed JSON; usually a `dict`."""


_UNKNOWN = "unknown"
_KNOWN = frozenset(
    {"prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"}
)


def _tag(value: object) -> str:
    """Return the union tag of an event, given as JSON or as a model."""
    name = value.get("event") if is_mapping(value) else getattr(value, "event", None)
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
"""Any event: a union discriminated by `event`; unknown types are `UnknownEvent`."""


@cache
def event_adapter() -> TypeAdapter[WebhookEvent]:
    """Compile the validator of events when it is first needed."""
    return TypeAdapter(WebhookEvent)
