"""Typed models for every object of the API; each is loaded on first access."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enprompta.models.base import Model
    from enprompta.models.executions import Execution, ExecutionStats, ExecutionStatus, GroupBy
    from enprompta.models.health import ComponentHealth, Health, HealthStatus
    from enprompta.models.live_prompts import LivePrompt, LiveVersion
    from enprompta.models.messages import ContentPart, ImageURL, LiveMessage, LiveMessageParam, MessagePlaceholder
    from enprompta.models.pagination import Pagination
    from enprompta.models.prompts import (
        Prompt,
        PromptVariable,
        PromptVariableParam,
        VariableType,
        Visibility,
    )
    from enprompta.models.provider_messages import AnthropicMessages
    from enprompta.models.teams import Team, TeamMember, TeamRole
    from enprompta.models.templates import Template, TemplateFork
    from enprompta.models.typed_executions import TypedExecution
    from enprompta.models.usage import Billing, Invoice, RequestWindow, TokenUsage, Usage, UsageRecord
    from enprompta.models.webhooks import (
        CreatedWebhook,
        DeliveryStatus,
        EventType,
        Webhook,
        WebhookDelivery,
        WebhookSecret,
    )
    from enprompta.models.workflows import (
        Workflow,
        WorkflowExecution,
        WorkflowStatus,
        WorkflowStep,
        WorkflowStepParam,
        WorkflowStepResult,
    )

__all__ = [
    "AnthropicMessages",
    "Billing",
    "ComponentHealth",
    "ContentPart",
    "CreatedWebhook",
    "DeliveryStatus",
    "EventType",
    "Execution",
    "ExecutionStats",
    "ExecutionStatus",
    "GroupBy",
    "Health",
    "HealthStatus",
    "ImageURL",
    "Invoice",
    "LiveMessage",
    "LiveMessageParam",
    "LivePrompt",
    "LiveVersion",
    "MessagePlaceholder",
    "Model",
    "Pagination",
    "Prompt",
    "PromptVariable",
    "PromptVariableParam",
    "RequestWindow",
    "Team",
    "TeamMember",
    "TeamRole",
    "Template",
    "TemplateFork",
    "TokenUsage",
    "TypedExecution",
    "Usage",
    "UsageRecord",
    "VariableType",
    "Visibility",
    "Webhook",
    "WebhookDelivery",
    "WebhookSecret",
    "Workflow",
    "WorkflowExecution",
    "WorkflowStatus",
    "WorkflowStep",
    "WorkflowStepParam",
    "WorkflowStepResult",
]

_HOMES = {
    "Billing": "usage",
    "ComponentHealth": "health",
    "CreatedWebhook": "webhooks",
    "DeliveryStatus": "webhooks",
    "EventType": "webhooks",
    "Execution": "executions",
    "ExecutionStats": "executions",
    "ExecutionStatus": "executions",
    "GroupBy": "executions",
    "Health": "health",
    "HealthStatus": "health",
    "Invoice": "usage",
    "LiveMessage": "messages",
    "LiveMessageParam": "messages",
    "LivePrompt": "live_prompts",
    "AnthropicMessages": "provider_messages",
    "ContentPart": "messages",
    "ImageURL": "messages",
    "MessagePlaceholder": "messages",
    "LiveVersion": "live_prompts",
    "Model": "base",
    "Pagination": "pagination",
    "Prompt": "prompts",
    "PromptVariable": "prompts",
    "PromptVariableParam": "prompts",
    "RequestWindow": "usage",
    "Team": "teams",
    "TeamMember": "teams",
    "TeamRole": "teams",
    "Template": "templates",
    "TemplateFork": "templates",
    "TokenUsage": "usage",
    "TypedExecution": "typed_executions",
    "Usage": "usage",
    "UsageRecord": "usage",
    "VariableType": "prompts",
    "Visibility": "prompts",
    "Webhook": "webhooks",
    "WebhookDelivery": "webhooks",
    "WebhookSecret": "webhooks",
    "Workflow": "workflows",
    "WorkflowExecution": "workflows",
    "WorkflowStatus": "workflows",
    "WorkflowStep": "workflows",
    "WorkflowStepParam": "workflows",
    "WorkflowStepResult": "workflows",
}


def __getattr__(name: str) -> object:
    """Load the module that defines a model when the model is first accessed."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
