"""Models and the document's schemas name the same fields, and the same values of enumerations."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.alias_generators import to_camel

from enprompta import models
from enprompta.models import events
from tests.conformance.document import SCHEMAS, properties

SAME = (
    *("Billing", "ComponentHealth", "Execution", "ExecutionStats", "Health", "Invoice", "LivePrompt", "Pagination"),
    *("Prompt", "PromptVariable", "Team", "TeamMember", "Template", "Usage", "UsageRecord"),
    *("CreatedSpan", "RecordedTrace", "Trace", "TraceAnalytics", "TraceEvaluation", "TraceSpan"),
    *("Webhook", "WebhookDelivery", "WebhookSecret", "Workflow", "WorkflowExecution", "WorkflowStep"),
)
RENAMED = {
    "CreatedWebhook": "WebhookCreated",
    "LiveMessage": "PromptMessage",
    "LiveVersion": "LivePromptVersion",
    "RequestWindow": "RequestBudget",
    "TemplateFork": "ForkedPrompt",
    "TokenUsage": "TokenBudget",
    "WorkflowStepResult": "WorkflowStepExecution",
}
PAIRS = {**dict(zip(SAME, SAME, strict=True)), **RENAMED}
PARAMS = {
    "PromptVariableParam": "PromptVariableInput",
    "WorkflowStepParam": "WorkflowStepInput",
}
EVENTS = {
    "PromptExecuted": "PromptExecutedEvent",
    "PromptExecutedData": "PromptExecutedData",
    "TeamMemberAdded": "TeamMemberAddedEvent",
    "TeamMemberData": "TeamMemberData",
    "TeamMemberRemoved": "TeamMemberRemovedEvent",
    "WorkflowCompleted": "WorkflowCompletedEvent",
    "WorkflowData": "WorkflowCompletedData",
    "WorkflowFailed": "WorkflowFailedEvent",
    "WorkflowFailedData": "WorkflowFailedData",
}
WORDS = ("DeliveryStatus", "EventType", "ExecutionStatus", "HealthStatus", "TeamRole", "Visibility", "WorkflowStatus")
WORDS += ("SpanStatus", "SpanType", "TraceStatus")
UNREAD = {"LivePrompt": {"_meta"}}  # not for callers: kept in `model_extra`
OWN = {"WebhookEvent", "WebhookEventBase", "UnknownEvent"}  # unions and bases of the package's own

DERIVED = {"AnthropicMessages", "ContentPart", "ImageURL", "LiveMessageParam", "MessagePlaceholder", "TypedExecution"}


SNAKE_CASE = {"Pagination"}  # by their own names, which every model reads too


def wire_names(model: str) -> set[str]:
    """The names of a model's fields as they come over the wire."""
    fields: dict[str, Any] = getattr(models, model).model_fields
    return set(fields) if model in SNAKE_CASE else {field.alias or name for name, field in fields.items()}


@pytest.mark.parametrize(("model", "schema"), PAIRS.items())
def test_fields_of_models(model: str, schema: str) -> None:
    """A model has each field of its schema, and no other."""
    assert wire_names(model) | UNREAD.get(model, set()) == set(properties(SCHEMAS[schema])), (
        f"{model} in enprompta/models/ and {schema} in docs/openapi.yaml have different fields"
    )


@pytest.mark.parametrize(("params", "schema"), PARAMS.items())
def test_fields_of_params(params: str, schema: str) -> None:
    """Each `TypedDict` has exactly the fields of its schema, with the same ones required."""
    fields = {to_camel(name): str(it) for name, it in getattr(models, params).__annotations__.items()}
    assert set(fields) == set(properties(SCHEMAS[schema]))
    required = {name for name, it in fields.items() if "NotRequired[" not in it}
    assert required == set(SCHEMAS[schema]["required"])


@pytest.mark.parametrize(("event", "schema"), EVENTS.items())
def test_fields_of_events(event: str, schema: str) -> None:
    """Events, which are snake_case on the wire, have each field of their schema, and no other."""
    assert set(getattr(events, event).model_fields) == set(properties(SCHEMAS[schema]))


@pytest.mark.parametrize("name", WORDS)
def test_words_of_enumerations(name: str) -> None:
    """An enumeration has each value of its schema, and no other."""
    assert list(get_args(getattr(models, name))) == SCHEMAS[name]["enum"]


def test_values_without_a_separate_schema() -> None:
    """The types of variables are those of the document, and so is what can be grouped by."""
    assert list(get_args(models.VariableType)) == SCHEMAS["VariableType"]["anyOf"][0]["enum"]
    assert set(get_args(models.GroupBy)) == {"day", "prompt", "model"}


def test_no_model_is_left_out() -> None:
    """Every public model, enumeration and event is compared with a schema here."""
    compared = {*PAIRS, *PARAMS, *WORDS, "GroupBy", "VariableType", "Model"}
    assert set(models.__all__) - DERIVED == compared, (
        "each name in __all__ of enprompta/models/__init__.py needs an entry in SAME or another table of this test"
    )
    assert set(events.__all__) - OWN == set(EVENTS)


def test_enumerations_are_literals() -> None:
    """Fields that are compared as enumerations are enumerations."""
    assert all(get_origin(getattr(models, name)) is Literal for name in WORDS)
