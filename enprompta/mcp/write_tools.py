"""Tools that execute, create and update prompts, within budgets; a server has them only where they are allowed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import mcp_types as types
from pydantic import Field

from enprompta import UNSET
from enprompta.errors import APIError, APIStatusError, EnpromptaError
from enprompta.mcp import results
from enprompta.mcp.budgets import CountBudget, SpendBudget, ToolCall
from enprompta.mcp.read_tools import PromptReference
from enprompta.mcp.toolbox import ToolFailedError, ToolInput, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta import AsyncEnprompta
    from enprompta.mcp.catalog import PromptCatalog
    from enprompta.mcp.options import ServerOptions
    from enprompta.models import Execution, Prompt

FIRST_SERVER_ERROR = 500
CREATES = types.ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)

IdempotencyKey = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=200,
        description="Any unique text. Send the same text again to repeat a call whose result was lost: "
        "it is carried out and charged only once.",
    ),
]


class VariableInput(ToolInput):
    """A variable to declare."""

    name: str = Field(min_length=1)
    type: Literal["text", "number", "boolean", "select"] = "text"
    required: bool = True
    default: str | float | bool | None = None
    description: str | None = None
    options: list[str] = Field(default=[], description="Values of a `select`.")


class ExecutePrompt(ToolInput):
    """Arguments of `execute_prompt`."""

    prompt: PromptReference
    variables: dict[str, Any] = Field(default={}, description="Values of the prompt's variables, by name.")
    provider: str | None = Field(default=None, description="null is the account's default.")
    model: str | None = Field(default=None, description="null is the provider's default.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, description="Longest output, in tokens.")
    idempotency_key: IdempotencyKey = None


class PromptInput(ToolInput):
    """Base of the arguments that are the fields of a prompt."""

    def sent(self) -> dict[str, Any]:
        """Return the fields to send; null ones are not."""
        return self.model_dump(exclude_none=True, exclude={"prompt", "idempotency_key"})


class CreatePrompt(PromptInput):
    """Arguments of `create_prompt`."""

    title: str = Field(min_length=1)
    content: str = Field(min_length=1, description="The text; `{{name}}` is a variable.")
    description: str | None = None
    category: str | None = None
    tags: list[str] | None = None
    variables: list[VariableInput] | None = None
    idempotency_key: IdempotencyKey = None


class UpdatePrompt(PromptInput):
    """Arguments of `update_prompt`; a field that is null stays as it is."""

    prompt: PromptReference
    title: str | None = Field(default=None, min_length=1)
    content: str | None = Field(default=None, min_length=1, description="The whole new text; makes a new version.")
    description: str | None = None
    category: str | None = None
    tags: list[str] | None = None
    variables: list[VariableInput] | None = Field(default=None, description="All declarations, not only new ones.")
    idempotency_key: IdempotencyKey = None


class WriteTools:
    """The tools that cost something or change something, on one client."""

    def __init__(self, client: AsyncEnprompta, catalog: PromptCatalog, options: ServerOptions) -> None:
        self._client = client
        self._catalog = catalog
        self._options = options
        self._executions = CountBudget(options.max_executions, what="executions", option="--max-executions")
        self._spend = SpendBudget(options.max_usd)
        self._writes = CountBudget(options.max_writes, what="writes", option="--max-writes")

    async def execute_prompt(self, given: ExecutePrompt, call: ToolCall) -> results.ExecuteResult:
        """Execute a prompt within the budgets.

        Raises:
            BudgetExhaustedError: A budget is used up; nothing was sent.
            ToolFailedError: The model's provider failed.
            APIError: The service refused the execution or cannot be reached.
        """
        prompt_id = await self._catalog.id_of(given.prompt)
        async with AsyncExitStack() as locks:
            await locks.enter_async_context(call.lock)
            if self._spend.remaining is not None:
                await locks.enter_async_context(self._spend.lock)
            self._spend.check(call)
            self._executions.reserve(call)
            execution = await self._execute(prompt_id, given, call)
        detail = results.ExecutionDetail.of(execution)
        if execution.status == "failed":
            raise ToolFailedError(f"The execution {execution.id} of prompt {prompt_id} failed: {execution.error}")
        left, usd = self._executions.remaining, self._spend.remaining
        return results.ExecuteResult(**dict(detail), executions_left=left, usd_left=usd)

    async def create_prompt(self, given: CreatePrompt, call: ToolCall) -> results.PromptDetail:
        """Create a prompt within the budget.

        Raises:
            BudgetExhaustedError: The budget is used up; nothing was sent.
            APIError: The service refused the prompt or cannot be reached.
        """
        fields: dict[str, Any] = {
            "category": self._options.category or UNSET,
            "team_id": self._options.team_id or UNSET,
        }
        fields |= {name: value for name, value in given.sent().items() if value}
        create = partial(self._client.prompts.create, **fields, idempotency_key=call.idempotency_key)
        return await self._write(create, call)

    async def update_prompt(self, given: UpdatePrompt, call: ToolCall) -> results.PromptDetail:
        """Update a prompt within the budget.

        Raises:
            BudgetExhaustedError: The budget is used up; nothing was sent.
            APIError: The service refused the change or cannot be reached.
        """
        prompt_id = await self._catalog.id_of(given.prompt)
        update = partial(self._client.prompts.update, prompt_id, **given.sent(), idempotency_key=call.idempotency_key)
        return await self._write(update, call)

    async def _execute(self, prompt_id: str, given: ExecutePrompt, call: ToolCall) -> Execution:
        cost: float | None = None
        try:
            execution = await self._client.prompts.execute(
                prompt_id,
                variables=given.variables,
                provider=given.provider or UNSET,
                model=given.model or UNSET,
                temperature=UNSET if given.temperature is None else given.temperature,
                max_tokens=given.max_tokens or UNSET,
                idempotency_key=call.idempotency_key,
            )
            cost = execution.cost
        except EnpromptaError as error:
            if _is_refusal(error):
                self._executions.refund(call)
                cost = call.cost
            raise
        finally:  # after a timeout or a cancellation the execution may have been charged
            self._spend.charge(call, cost)
            call.is_done |= call.is_counted
        return execution

    async def _write(self, send: Callable[[], Awaitable[Prompt]], call: ToolCall) -> results.PromptDetail:
        async with call.lock:
            self._writes.reserve(call)
            try:
                prompt = await send()
            except EnpromptaError as error:
                if _is_refusal(error):
                    self._writes.refund(call)
                raise
            finally:
                call.is_done |= call.is_counted
        self._catalog.mark_stale()
        return results.PromptDetail.of(prompt, self._catalog.name_of(prompt.id))

    def specs(self) -> list[ToolSpec]:
        """Describe the tools that are allowed."""
        specs: list[ToolSpec] = []
        if "execute" in self._options.allow:
            specs.append(
                ToolSpec(
                    name="execute_prompt", title="Execute a prompt", run=self.execute_prompt,
                    description="Run a prompt on a model and return its output. Costs one credit of the account's "
                    "plan, and counts towards the budget of this server. One request.",
                    takes=ExecutePrompt, returns=results.ExecuteResult, annotations=CREATES,
                )
            )  # fmt: skip
        if "write" in self._options.allow:
            specs += [
                ToolSpec(
                    name="create_prompt", title="Create a prompt", run=self.create_prompt,
                    description="Create a prompt. Counts towards the budget of this server. One request.",
                    takes=CreatePrompt, returns=results.PromptDetail, annotations=CREATES,
                ),
                ToolSpec(
                    name="update_prompt", title="Update a prompt", run=self.update_prompt,
                    description="Change a prompt for everyone who uses its newest version; new content makes a new "
                    "version. Counts towards the budget of this server. One request.",
                    takes=UpdatePrompt, returns=results.PromptDetail,
                    annotations=types.ToolAnnotations(
                        read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
                    ),
                ),
            ]  # fmt: skip
        return specs


def _is_refusal(error: EnpromptaError) -> bool:
    """Return True if the call was surely not carried out: it was not sent, or the service refused it."""
    if isinstance(error, APIStatusError):
        return error.status_code < FIRST_SERVER_ERROR
    return not isinstance(error, APIError)
