"""The result of functions that `enprompta codegen` writes: a prompt with the values of its variables.

call = welcome_mail(name="Ada", tone="formal")
call.render()                      # the text, without a request
call.execute(client)               # an execution; `await call.aexecute(client)` with the async client
call.execute(client, expect_version=call.version)      # refuse any other version

A prompt whose file has an `output` gives a `TypedPromptCall`: `call.execute(client).parsed` is a value of that type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from enprompta import templating
from enprompta._core.executing import ExecuteOptions
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Unpack

    from enprompta._client.async_client import AsyncEnprompta
    from enprompta._client.sync_client import Enprompta
    from enprompta.models.executions import Execution
    from enprompta.models.typed_executions import TypedExecution

__all__ = ["ExecuteOptions", "PromptCall", "TypedPromptCall"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCall:
    """A prompt and the values of its variables."""

    prompt_id: str | None
    """The prompt's id; None if it has not been pushed."""
    version: int | None
    """The version that `content` is from; the service executes its newest version."""
    content: str = field(repr=False)
    """The text, with its placeholders."""
    declared: Sequence[Mapping[str, object]] = field(default=(), repr=False)
    """The declarations of its variables."""
    variables: Mapping[str, object]
    """The values by name; None means not given."""

    def render(self) -> str:
        """Return the text with its placeholders filled in; nothing is sent.

        Raises:
            TemplateError: A value does not fit its declaration in a way that type checkers do not see.
        """
        return templating.render(self.content, self.variables, self.declared)

    def execute(self, client: Enprompta, **options: Unpack[ExecuteOptions]) -> Execution:
        """Execute the prompt; it costs one credit of the plan.

        Args:
            client: The client to send the request with.
            **options: `provider`, `model`, `temperature`, `max_tokens`, `top_p`, `stop_sequences`, and `timeout`,
                `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            ConfigurationError: The prompt has no id: push it first.
            APIError: What `client.prompts.execute` may raise.
        """
        prompt_id = self._id()
        return client.prompts.execute(prompt_id, variables=self._given(), **options)

    async def aexecute(self, client: AsyncEnprompta, **options: Unpack[ExecuteOptions]) -> Execution:
        """Execute the prompt with the async client; arguments and errors are those of `execute`."""
        prompt_id = self._id()
        return await client.prompts.execute(prompt_id, variables=self._given(), **options)

    def _id(self) -> str:
        if self.prompt_id is None:
            raise ConfigurationError("This prompt has no id: `enprompta push` its file, then run `enprompta codegen`")
        return self.prompt_id

    def _given(self) -> dict[str, object]:
        return {name: value for name, value in self.variables.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedPromptCall(PromptCall, Generic[T]):
    """A prompt whose output is read into a type, and the values of its variables."""

    output: type[T]
    """The type of the output."""

    def execute(self, client: Enprompta, **options: Unpack[ExecuteOptions]) -> TypedExecution[T]:
        """Execute the prompt and read its output; it costs one credit of the plan, and one for each repair.

        Args:
            client: The client to send the request with.
            **options: As for `PromptCall.execute`, and `repair`.

        Raises:
            OutputError: The output does not match the type; the execution was charged.
            ConfigurationError: The prompt has no id: push it first.
            APIError: What `client.prompts.execute` may raise.
        """
        prompt_id = self._id()
        return client.prompts.execute(prompt_id, variables=self._given(), output=self.output, **options)

    async def aexecute(self, client: AsyncEnprompta, **options: Unpack[ExecuteOptions]) -> TypedExecution[T]:
        """Execute the prompt with the async client; arguments and errors are those of `execute`."""
        prompt_id = self._id()
        return await client.prompts.execute(prompt_id, variables=self._given(), output=self.output, **options)
