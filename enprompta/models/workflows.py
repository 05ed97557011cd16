"""Workflows, which chain prompts into steps, and their runs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import NotRequired, Required, TypedDict

from enprompta.models.base import DateTime, Many, Mapped, Model, Open, empty_dict, empty_list

WorkflowStatus = Literal["pending", "running", "completed", "failed", "cancelled"]


class WorkflowStep(Model):
    """One step of a workflow; you can also create one and pass it to the API.

    Values in `variables` can contain `{{input.NAME}}` and `{{steps.STEPID.output}}`; the latter also orders the steps.
    """

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "prompt_id", "model")
    id: str
    """The step's name within its workflow."""
    prompt_id: str
    provider: str | None = None
    model: str | None = None
    variables: Mapped[Any] = Field(default_factory=empty_dict)
    """Values for the prompt's variables, by name."""
    options: Mapped[Any] = Field(default_factory=empty_dict)
    """`temperature`, `maxTokens`, `topP` and `stopSequences`, as for one execution."""
    depends_on: Many[str] = Field(default_factory=empty_list)
    """Ids of steps that must finish first, in addition to those that the variables refer to."""


class WorkflowStepParam(TypedDict, total=False):
    """A `WorkflowStep` as a plain dict."""

    id: Required[str]
    prompt_id: Required[str]
    provider: NotRequired[str]
    model: NotRequired[str]
    variables: NotRequired[dict[str, Any]]
    options: NotRequired[dict[str, Any]]
    depends_on: NotRequired[list[str]]


class Workflow(Model):
    """A chain of prompts (reference: "Workflows")."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "name", "steps")
    id: str
    name: str
    description: str | None = None
    steps: Many[WorkflowStep] = Field(default_factory=empty_list)
    team_id: str | None = None
    """The team that owns the workflow; None for a personal workflow."""
    created_at: DateTime | None = None
    updated_at: DateTime | None = None


class WorkflowStepResult(Model):
    """The state or result of one step of a run."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("step_id", "status", "tokens", "cost")
    step_id: str
    execution_id: str | None = None
    """The id of the step's execution; None until the step starts."""
    status: Open[WorkflowStatus] | None = None
    output: str | None = None
    error: Any = None
    """Why the step failed; None if it did not fail."""
    tokens: int | None = None
    cost: float | None = None
    """In US dollars."""


class WorkflowExecution(Model):
    """One run of a workflow."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("id", "status", "steps", "tokens", "cost")
    id: str
    workflow_id: str | None = None
    status: Open[WorkflowStatus] | None = None
    input: Mapped[Any] = Field(default_factory=empty_dict)
    output: Any = None
    """The output of the last step; None until the run has completed."""
    steps: Many[WorkflowStepResult] = Field(default_factory=empty_list)
    tokens: int | None = None
    """Tokens of all steps together."""
    cost: float | None = None
    """Cost of all steps together, in US dollars."""
    error: Any = None
    """Why the run failed; None if it did not fail."""
    created_at: DateTime | None = None
    started_at: DateTime | None = None
    completed_at: DateTime | None = None

    @property
    def is_finished(self) -> bool:
        """True if the run has completed, failed or was cancelled."""
        return self.status in {"completed", "failed", "cancelled"}

    @property
    def failed_step(self) -> WorkflowStepResult | None:
        """The first failed step; None if no step failed."""
        return next((step for step in self.steps if step.status == "failed"), None)
