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
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

from pydantic import AliasGenerator, ConfigDict, Discriminator, Tag, TypeAdapter
from pydantic.alias_generators import to_camel

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


class _SnakeCase(Model):
    """Reads both spellings as every model does, and writes snake_case."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel), loc_by_alias=False
    )


class WebhookEventBase(_SnakeCase):
    """What every event has; the subclasses add `event` and `data`."""

    id: str
    """The event's id, the same each time the service sends it: deduplicate by it."""
    created_at: DateTime
    """When it happened; stays the same when the event is sent again."""
    api_version: str | None = None
    """The API version that the payload is written in; None when the service does not say."""


class PromptExecutedData(_SnakeCase):
    """Data of `prompt.executed`."""

    execution_id: str
    prompt_id: str
    status: str | None = None
    """`completed` or `failed`."""
    tokens_used: int | None = None
    """The model's own tokens, not the plan's."""
    cost: float | None = None
    """In USD."""


class PromptExecuted(WebhookEventBase):
    """A prompt execution has ended."""

    event: Literal["prompt.executed"]
    data: PromptExecutedData


class WorkflowData(_SnakeCase):
    """Data of `workflow.completed`."""

    execution_id: str
    workflow_id: str
    status: str | None = None
    """`completed` or `failed`."""
    tokens_used: int | None = None
    """The models' own tokens of all steps, not the plan's."""
    cost: float | None = None
    """In USD, of all steps."""


class WorkflowFailedData(WorkflowData):
    """Data of `workflow.failed`."""

    error: str | dict[str, Any] | list[Any] | None = None
    """Why it failed, as the service words it; None when it does not say."""


class WorkflowCompleted(WebhookEventBase):
    """A workflow execution has ended well."""

    event: Literal["workflow.completed"]
    data: WorkflowData


class WorkflowFailed(WebhookEventBase):
    """A workflow execution has failed."""

    event: Literal["workflow.failed"]
    data: WorkflowFailedData


class TeamMemberData(_SnakeCase):
    """Data of `team.member_added` and `team.member_removed`."""

    team_id: str
    user_id: str
    email: str | None = None
    role: str | None = None
    """`OWNER`, `ADMIN`, `MEMBER` or `VIEWER`."""


class TeamMemberAdded(WebhookEventBase):
    """Somebody has joined a team."""

    event: Literal["team.member_added"]
    data: TeamMemberData


class TeamMemberRemoved(WebhookEventBase):
    """Somebody has left a team, or was removed from it."""

    event: Literal["team.member_removed"]
    data: TeamMemberData


class UnknownEvent(WebhookEventBase):
    """An event that this version of the package has no class for; nothing of it is lost."""

    event: str
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
