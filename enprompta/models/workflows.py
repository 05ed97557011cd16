"""Workflows: prompts chained into steps, and what came of running them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from typing_extensions import NotRequired, Required, TypedDict

from enprompta.models.base import DateTime, Many, Mapped, Model, Open

WorkflowStatus = Literal["pending", "running", "completed", "failed", "cancelled"]


class WorkflowStep(Model):
    """One prompt of a workflow; may be written by the caller too.

    A variable's text may hold `{{input.NAME}}` and `{{steps.STEPID.output}}`; the latter also orders the steps.
    """

    id: str
    """Names the step within its workflow."""
    prompt_id: str
    provider: str | None = None
    model: str | None = None
    variables: Mapped[Any] = Field(default_factory=dict)
    """Values for the prompt's placeholders, by name."""
    options: Mapped[Any] = Field(default_factory=dict)
    """`temperature`, `maxTokens`, `topP`, `stopSequences`, as for one execution."""
    depends_on: Many[str] = Field(default_factory=list)
    """Ids of steps that must end first, beside those the variables refer to."""


class WorkflowStepParam(TypedDict, total=False):
    """A `WorkflowStep` written as a plain dict."""

    id: Required[str]
    prompt_id: Required[str]
    provider: NotRequired[str]
    model: NotRequired[str]
    variables: NotRequired[dict[str, Any]]
    options: NotRequired[dict[str, Any]]
    depends_on: NotRequired[list[str]]


class Workflow(Model):
    """A chain of prompts (reference: "Workflows")."""

    id: str
    name: str
    description: str | None = None
    steps: Many[WorkflowStep] = Field(default_factory=list[WorkflowStep])
    team_id: str | None = None
    """The team it belongs to; None for a personal workflow."""
    created_at: DateTime | None = None
    updated_at: DateTime | None = None


class WorkflowStepResult(Model):
    """How one step of a run ended, or where it stands."""

    step_id: str
    execution_id: str | None = None
    """The step's execution; None until it has started."""
    status: Open[WorkflowStatus] | None = None
    output: str | None = None
    error: Any = None
    """Why the step failed; None when it did not."""
    tokens: int | None = None
    cost: float | None = None
    """USD."""


class WorkflowExecution(Model):
    """One run of a workflow."""

    id: str
    workflow_id: str | None = None
    status: Open[WorkflowStatus] | None = None
    input: Mapped[Any] = Field(default_factory=dict)
    output: Any = None
    """What the last step gave; None until the run has completed."""
    steps: Many[WorkflowStepResult] = Field(default_factory=list[WorkflowStepResult])
    tokens: int | None = None
    """Tokens of all steps."""
    cost: float | None = None
    """USD, of all steps."""
    error: Any = None
    """Why the run failed; None when it did not."""
    created_at: DateTime | None = None
    started_at: DateTime | None = None
    completed_at: DateTime | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.status in {"completed", "failed", "cancelled"}

    @property
    def failed_step(self) -> WorkflowStepResult | None:
        """The first step that failed; None when none did."""
        return next((step for step in self.steps if step.status == "failed"), None)
