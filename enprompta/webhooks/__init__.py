"""Receive webhooks: verify signatures, parse events, skip duplicates, serve an endpoint. Needs no API client.

from enprompta.webhooks import construct_event

event = construct_event(request.body, request.headers, secret)

Importing this module loads only signature verification; the rest is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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

_HOMES = {
    "Claim": "enprompta.webhooks.dedupe",
    "ClaimState": "enprompta.webhooks.stores",
    "Deduplicator": "enprompta.webhooks.dedupe",
    "MemoryStore": "enprompta.webhooks.stores",
    "PromptExecuted": "enprompta.models.events",
    "RedisStore": "enprompta.webhooks.stores",
    "Reply": "enprompta.webhooks.receiver",
    "SQLiteStore": "enprompta.webhooks.stores",
    "Store": "enprompta.webhooks.stores",
    "TeamMemberAdded": "enprompta.models.events",
    "TeamMemberRemoved": "enprompta.models.events",
    "UnknownEvent": "enprompta.models.events",
    "WebhookEvent": "enprompta.models.events",
    "WebhookReceiver": "enprompta.webhooks.receiver",
    "WorkflowCompleted": "enprompta.models.events",
    "WorkflowFailed": "enprompta.models.events",
    "construct_event": "enprompta.webhooks.events",
}


def __getattr__(name: str) -> object:
    """Load the module of a public name on first access."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
