"""Receive webhooks: verify signatures, parse events, skip duplicates, serve an endpoint. Needs no API client.

from enprompta.webhooks import construct_event

event = construct_event(request.body, request.headers, secret)

Importing this module loads only signature verification; the rest is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy
from enprompta.webhooks.ecma_json import ecma_json
from enprompta.webhooks.signature import SIGNATURE_HEADER, matching_secret, sign, verify_signature

if TYPE_CHECKING:
    from enprompta.models.events import (
        PromptExecuted,
        TeamMemberAdded,
        TeamMemberRemoved,
        UnknownEvent,
        WebhookEvent,
        WorkflowCompleted,
        WorkflowFailed,
    )
    from enprompta.webhooks.dedupe import Claim, Deduplicator
    from enprompta.webhooks.events import construct_event
    from enprompta.webhooks.receiver import Reply, WebhookReceiver
    from enprompta.webhooks.stores import ClaimState, MemoryStore, RedisStore, SQLiteStore, Store
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "enprompta.models.events": (
                "PromptExecuted TeamMemberAdded TeamMemberRemoved UnknownEvent WebhookEvent "
                "WorkflowCompleted WorkflowFailed"
            ),
            ".dedupe": "Claim Deduplicator",
            ".events": "construct_event",
            ".receiver": "Reply WebhookReceiver",
            ".stores": "ClaimState MemoryStore RedisStore SQLiteStore Store",
        },
    )

__all__ = [
    "SIGNATURE_HEADER",
    "Claim",
    "ClaimState",
    "Deduplicator",
    "MemoryStore",
    "PromptExecuted",
    "RedisStore",
    "Reply",
    "SQLiteStore",
    "Store",
    "TeamMemberAdded",
    "TeamMemberRemoved",
    "UnknownEvent",
    "WebhookEvent",
    "WebhookReceiver",
    "WorkflowCompleted",
    "WorkflowFailed",
    "construct_event",
    "ecma_json",
    "matching_secret",
    "sign",
    "verify_signature",
]
