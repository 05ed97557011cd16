"""Static types of webhooks. Never run: checked by pyright, mypy and pyrefly, all strict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import assert_never, assert_type

from enprompta.webhooks import (
    PromptExecuted,
    TeamMemberAdded,
    TeamMemberRemoved,
    UnknownEvent,
    WebhookEvent,
    WebhookReceiver,
    WorkflowCompleted,
    WorkflowFailed,
    construct_event,
    matching_secret,
    sign,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def narrowing(body: bytes, headers: Mapping[str, str]) -> int | str | None:
    """A match on the class narrows the type, and a complete one is exhaustive."""
    event = construct_event(body, headers, ["old", "new"], tolerance=300)
    assert_type(event.id, str)
    match event:
        case PromptExecuted(data=data):
            return assert_type(data.tokens_used, "int | None")
        case WorkflowFailed():
            return str(event.data.error)
        case WorkflowCompleted():
            return assert_type(event.data.workflow_id, str)
        case TeamMemberAdded() | TeamMemberRemoved():
            return assert_type(event.data.role, "str | None")
        case UnknownEvent():
            return assert_type(event.event, str)
        case _:
            assert_never(event)


def handlers(receiver: WebhookReceiver) -> None:
    """`on` types the argument of each handler, and returns the handler unchanged."""

    @receiver.on("prompt.executed")
    def count(event: PromptExecuted) -> int:
        return event.data.tokens_used or 0

    @receiver.on("team.member_added")
    async def welcome(event: TeamMemberAdded) -> None:
        assert_type(event.data.email, "str | None")

    @receiver.on("*")
    def rest(event: WebhookEvent) -> None: ...

    @receiver.on("prompt.archived")
    def archived(event: UnknownEvent) -> None: ...

    @receiver.on("workflow.failed")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def wrong(event: PromptExecuted) -> None: ...

    assert_type(count(PromptExecuted.model_validate({})), int)
    receiver.on("workflow.completed")(lambda event: event.data.cost)


def signatures(body: bytes) -> None:
    """Verification accepts every documented form of payload, signature and secret."""
    assert_type(verify_signature(body, None, "s"), bool)
    assert_type(matching_secret({"id": "e"}, {"X-Enprompta-Signature": "x"}, ("a", b"b")), "int | None")
    assert_type(sign("text", b"s"), str)
