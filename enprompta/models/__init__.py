"""Typed models for every object of the API; each is loaded on first access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.models.base import Model
    from enprompta.models.conversation.conversions import AnthropicMessages
    from enprompta.models.executions import Execution, ExecutionStats, ExecutionStatus, GroupBy
    from enprompta.models.health import ComponentHealth, Health, HealthStatus
    from enprompta.models.live_prompts import LivePrompt, LiveVersion
    from enprompta.models.messages import ContentPart, ImageURL, LiveMessage, LiveMessageParam, MessagePlaceholder
    from enprompta.models.pagination import Pagination
    from enprompta.models.prompts import Prompt, PromptVariable, PromptVariableParam, VariableType, Visibility
    from enprompta.models.teams import Team, TeamMember, TeamRole
    from enprompta.models.templates import Template, TemplateFork
    from enprompta.models.traces import (
        CreatedSpan,
        RecordedTrace,
        SpanStatus,
        SpanType,
        Trace,
        TraceAnalytics,
        TraceEvaluation,
        TraceSpan,
        TraceStatus,
    )
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
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".base": "Model",
            ".executions": "Execution ExecutionStats ExecutionStatus GroupBy",
            ".health": "ComponentHealth Health HealthStatus",
            ".live_prompts": "LivePrompt LiveVersion",
            ".messages": "ContentPart ImageURL LiveMessage LiveMessageParam MessagePlaceholder",
            ".pagination": "Pagination",
            ".prompts": "Prompt PromptVariable PromptVariableParam VariableType Visibility",
            ".conversation.conversions": "AnthropicMessages",
            ".teams": "Team TeamMember TeamRole",
            ".templates": "Template TemplateFork",
            ".traces": (
                "CreatedSpan RecordedTrace SpanStatus SpanType Trace TraceAnalytics TraceEvaluation TraceSpan "
                "TraceStatus"
            ),
            ".typed_executions": "TypedExecution",
            ".usage": "Billing Invoice RequestWindow TokenUsage Usage UsageRecord",
            ".webhooks": "CreatedWebhook DeliveryStatus EventType Webhook WebhookDelivery WebhookSecret",
            ".workflows": "Workflow WorkflowExecution WorkflowStatus WorkflowStep WorkflowStepParam WorkflowStepResult",
        },
    )

__all__ = [
    "AnthropicMessages",
    "Billing",
    "ComponentHealth",
    "ContentPart",
    "CreatedSpan",
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
    "RecordedTrace",
    "RequestWindow",
    "SpanStatus",
    "SpanType",
    "Team",
    "TeamMember",
    "TeamRole",
    "Template",
    "TemplateFork",
    "TokenUsage",
    "Trace",
    "TraceAnalytics",
    "TraceEvaluation",
    "TraceSpan",
    "TraceStatus",
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
