"""Results of tools: their models, which are also the output schemas, and the bound on their size."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python

from enprompta._common.narrowing import is_dict, is_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

    from enprompta.models import Execution, Prompt, Usage

T = TypeVar("T")

MAX_DEPTH = 20  # levels of lists and objects in a result
PREVIEW = 200  # characters of a text in a list


class Result(BaseModel):
    """Base of every result."""

    truncated: bool = Field(default=False, description="True when texts or lists were cut to the server's limit.")


class PromptSummary(BaseModel):
    """A prompt in a list."""

    id: str
    name: str | None = Field(description="Name of the MCP prompt; null when the server does not offer it as one.")
    title: str
    description: str | None
    category: str | None
    tags: list[str]
    version: int | None
    variables: list[str]

    @classmethod
    def of(cls, prompt: Prompt, name: str | None) -> Self:
        """Summarize a prompt."""
        return cls.model_validate(vars(prompt) | {"name": name, "variables": [one.name for one in prompt.variables]})


class VariableDetail(BaseModel, from_attributes=True):
    """A declared variable."""

    name: str
    type: str | None = None
    required: bool | None = None
    default: Any = None
    description: str | None = None
    options: list[Any] = []


class PromptPage(Result):
    """Prompts that match a search."""

    prompts: list[PromptSummary]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page; null on the last page.")


class PromptDetail(Result):
    """One prompt, newest version."""

    id: str
    name: str | None = Field(description="Name of the MCP prompt; null when the server does not offer it as one.")
    title: str
    description: str | None
    category: str | None
    tags: list[str]
    visibility: str | None
    team_id: str | None
    version: int | None
    usage_count: int | None
    updated_at: datetime | None
    variables: list[VariableDetail]
    content: str = Field(description="The text from `offset` on.")
    content_length: int = Field(description="Characters of the whole text.")

    @classmethod
    def of(cls, prompt: Prompt, name: str | None, offset: int = 0) -> Self:
        """Describe a prompt."""
        text = {"content": prompt.content[offset:], "content_length": len(prompt.content)}
        return cls.model_validate(vars(prompt) | {"name": name} | text)


class LabelledVersion(BaseModel):
    """The version that a label points at."""

    label: str
    version: int | str | None = Field(description="null when no version has this label.")
    is_newest: bool


class PromptVersions(Result):
    """Versions of a prompt."""

    id: str
    title: str
    newest: int | None
    labels: list[LabelledVersion]


class ExecutionSummary(BaseModel):
    """An execution in a list."""

    id: str
    prompt_id: str | None
    status: str | None
    model: str | None
    cost_usd: float | None
    created_at: datetime | None
    output_preview: str | None

    @classmethod
    def of(cls, execution: Execution) -> Self:
        """Summarize an execution."""
        preview = execution.output and execution.output[:PREVIEW]
        return cls.model_validate(vars(execution) | {"cost_usd": execution.cost, "output_preview": preview})


class ExecutionPage(Result):
    """Executions, newest first."""

    executions: list[ExecutionSummary]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page; null on the last page.")


class ExecutionDetail(Result):
    """One execution."""

    id: str
    prompt_id: str | None
    status: str | None
    output: str | None = Field(description="The model's output from `offset` on; null when the execution failed.")
    output_length: int = Field(description="Characters of the whole output.")
    error: Any = None
    provider: str | None
    model: str | None
    tokens: int | None = Field(description="Input and output tokens of the model.")
    cost_usd: float | None
    latency_ms: float | None
    created_at: datetime | None
    variables: dict[str, Any]

    @classmethod
    def of(cls, execution: Execution, offset: int = 0) -> Self:
        """Describe an execution."""
        output = execution.output
        shown = {"output": None if output is None else output[offset:], "output_length": len(output or "")}
        units = {"cost_usd": execution.cost, "latency_ms": execution.latency}
        return cls.model_validate(vars(execution) | shown | units)


class ExecuteResult(ExecutionDetail):
    """The execution of a prompt, and what is left of the server's budgets."""

    executions_left: int
    usd_left: float | None = Field(description="null when the server has no limit in USD.")


class UsageResult(Result):
    """Usage of the account in the current period."""

    plan: str | None
    period_start: datetime | None
    period_end: datetime | None
    credits_used: int | None = Field(description="Credits used; an execution costs one.")
    credits_limit: int | None = Field(description="null means no limit.")
    credits_left: int | None = Field(description="null means no limit.")
    executions: int | None
    cost_usd: float | None

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """Describe usage."""
        credit = usage.tokens
        used, limit, left = (credit.used, credit.limit, credit.remaining) if credit else (None, None, None)
        allowance = {"credits_used": used, "credits_limit": limit, "credits_left": left}
        return cls.model_validate(vars(usage) | allowance | {"cost_usd": usage.cost})


class _Cutter:
    """Copies values as JSON until a number of characters is used up; the fields of models all stay."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.has_cut = False

    def copy(self, value: object, depth: int = MAX_DEPTH) -> object:
        if isinstance(value, BaseModel):
            return {name: self.copy(getattr(value, name), depth - 1) for name in type(value).model_fields}
        if isinstance(value, str):
            return self._text(value)
        if is_list(value):
            return [self.copy(one, depth - 1) for one in self._until_full(value, depth)]
        if is_dict(value):
            items = self._until_full(value.items(), depth)
            return {self._text(str(name)): self.copy(one, depth - 1) for name, one in items}
        written: object = to_jsonable_python(value, fallback=str)
        self.left -= len(str(written))
        return written

    def _text(self, text: str) -> str:
        kept = text[: max(0, self.left)]
        self.left -= len(text)
        if kept == text:
            return text
        self.has_cut = True
        return f"{kept}… [{len(text) - len(kept)} more characters]"

    def _until_full(self, values: Iterable[T], depth: int) -> Iterator[T]:
        for value in values:
            if self.left <= 0 or depth <= 0:
                self.has_cut = True
                return
            yield value


def bounded(result: Result, limit: int) -> dict[str, Any]:
    """Write a result as JSON with at most about `limit` characters of text; it still matches its schema."""
    cutter = _Cutter(limit)
    written = cast("dict[str, Any]", cutter.copy(result))
    return {**written, "truncated": cutter.has_cut}
