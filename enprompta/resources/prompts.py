"""`client.prompts`: manage and execute the prompts of an account."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from enprompta import batch, models, resources, templating
from enprompta._core.boundary import public_with
from enprompta._core.call import Call, path
from enprompta._core.executing import executing
from enprompta._core.operation import (
    AsyncRawResource,
    AsyncResource,
    RawResource,
    Resource,
    SyncResource,
    describe_call,
    operation,
)
from enprompta._core.unset import UNSET, Unset, body
from enprompta.pagination import Page, listing
from enprompta.resources.live_prompts import LivePromptCalls, PlainLivePromptCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping, Sequence

    from pydantic import TypeAdapter
    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta._core.prompt_versions import ExpectedVersion
    from enprompta.batch import AsyncBatchRun, BatchOptions, BatchRun
    from enprompta.models.executions import Execution
    from enprompta.models.prompts import Prompt, PromptVariable, PromptVariableParam, Visibility
    from enprompta.models.typed_executions import TypedExecution

RowT = TypeVar("RowT")
T = TypeVar("T")


def _batch_options() -> Iterable[str]:
    return batch.BatchOptions.__annotations__


def warn_of_problems(content: object, variables: object) -> None:
    """Warn about a new text that has braces, which most texts have not."""
    if isinstance(content, str) and ("{" in content or variables is not UNSET):
        templating.template_problems.warn(content, variables)


class PromptCalls(Resource):
    """Calls on prompts (API reference: "Prompts")."""

    @operation
    def create(
        self,
        *,
        title: str,
        content: str,
        description: str | Unset | None = UNSET,
        category: str | Unset | None = UNSET,
        tags: Sequence[str] | Unset = UNSET,
        variables: Sequence[PromptVariable | PromptVariableParam] | Unset = UNSET,
        visibility: Visibility | Unset = UNSET,
        team_id: str | Unset | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Prompt]:
        """Create a prompt.

        Args:
            title: The title shown to people.
            content: The text; `{{name}}` is a placeholder for a variable.
            description: A description of its purpose.
            category: Any text; lists can be filtered by it.
            tags: Any words.
            variables: Declarations of the variables in `content`: models, or dicts of the same fields.
            visibility: `PRIVATE`, `TEAM` or `PUBLIC`.
            team_id: The team that owns it; if None or not given, it is personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            BadRequestError: A field is invalid; `details` names it.
            APIError: The call failed in another way.

        Warns:
            TemplateWarning: The text has template syntax that stays in it, or does not match its declarations.
        """
        warn_of_problems(content, variables)
        fields = body(
            title=title, content=content, description=description, category=category, tags=tags,
            variables=variables, visibility=visibility, teamId=team_id,
        )  # fmt: skip
        return Call("POST", "/prompts", models.Prompt, json=fields, options=options)

    @operation
    def get(self, prompt_id: str, /, **options: Unpack[RequestOptions]) -> Call[Prompt]:
        """Fetch one prompt by its id.

        Raises:
            NotFoundError: The prompt does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/prompts/{}", prompt_id), models.Prompt, options=options)

    @operation
    def update(
        self,
        prompt_id: str,
        /,
        *,
        title: str | Unset = UNSET,
        content: str | Unset = UNSET,
        description: str | Unset | None = UNSET,
        category: str | Unset | None = UNSET,
        tags: Sequence[str] | Unset | None = UNSET,
        variables: Sequence[PromptVariable | PromptVariableParam] | Unset | None = UNSET,
        visibility: Visibility | Unset = UNSET,
        team_id: str | Unset | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Prompt]:
        """Change the given fields; None clears a field, and new `content` creates a new version.

        Args:
            prompt_id: The prompt's id.
            title: The title shown to people.
            content: The text; `{{name}}` is a placeholder for a variable.
            description: A description of its purpose.
            category: Any text; lists can be filtered by it.
            tags: Any words.
            variables: Declarations of the variables in `content`.
            visibility: `PRIVATE`, `TEAM` or `PUBLIC`.
            team_id: The team that owns it; None makes it personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: The prompt does not exist, or this key cannot access it.
            BadRequestError: A field is invalid; `details` names it.
            APIError: The call failed in another way.

        Warns:
            TemplateWarning: The new text has template syntax that stays in it, or does not match new declarations.
        """
        warn_of_problems(content, variables)
        fields = body(
            title=title, content=content, description=description, category=category, tags=tags,
            variables=variables, visibility=visibility, teamId=team_id,
        )  # fmt: skip
        return Call("PUT", path("/prompts/{}", prompt_id), models.Prompt, json=fields, options=options)

    @operation
    def delete(self, prompt_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a prompt.

        Raises:
            NotFoundError: The prompt does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("DELETE", path("/prompts/{}", prompt_id), NoneType, options=options)

    @listing
    def list(
        self,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        visibility: Visibility | Unset = UNSET,
        category: str | Unset = UNSET,
        search: str | Unset = UNSET,
        team_id: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[Prompt]]:
        """List prompts; iterating over the result fetches all pages.

        Args:
            limit: Prompts per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            visibility: Only prompts with this visibility.
            category: Only prompts in this category.
            search: Only prompts that contain this text.
            team_id: Only prompts of this team.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        params = body(
            limit=limit, cursor=cursor, visibility=visibility, category=category, search=search, teamId=team_id,
        )  # fmt: skip
        return Call("GET", "/prompts", Page[models.Prompt], params=params, options=options)

    @executing
    def execute(
        self,
        prompt_id: str,
        /,
        *,
        variables: Mapping[str, Any] | Unset = UNSET,
        output: object = None,  # `executing` has the types
        repair: int = 0,
        expect_version: ExpectedVersion | Unset = UNSET,
        provider: str | Unset = UNSET,
        model: str | Unset = UNSET,
        temperature: float | Unset = UNSET,
        max_tokens: int | Unset = UNSET,
        top_p: float | Unset = UNSET,
        stop_sequences: Sequence[str] | Unset = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Execution]:
        """Fill in a prompt's variables and run it on a model; it costs one credit of the plan.

        The call has an idempotency key, so a retry after a lost response is not charged again.

        Args:
            prompt_id: The prompt's id.
            variables: Values of the placeholders, by name.
            output: The type to read the output into: a pydantic model, TypedDict, dataclass, `list[Model]`, or anything
                else that `pydantic.TypeAdapter` accepts. None returns the output as text alone.
            repair: How often to execute the prompt again if its output does not match `output`, 0 to 3. Each repair
                costs one credit. The problem is the value of the prompt's variable `output_error`, or, without such a
                variable, is appended to its last text variable.
            expect_version: The version that must be executed, such as `live.version` or 3. The prompt is fetched first,
                at most every 5 seconds, and another version is refused. It is a guard, not a lock.
            provider: The model's provider, such as `openai`; the account's default if not given.
            model: The model; the provider's default if not given.
            temperature: 0 to 2, higher is more varied.
            max_tokens: The longest output, in tokens.
            top_p: 0 to 1, the nucleus-sampling threshold.
            stop_sequences: Texts that end the output.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Returns:
            The execution. If the model's provider failed, `status` is `failed` and `error` has the reason. With
            `output`, a `TypedExecution`, whose `parsed` is the value.

        Raises:
            VersionMismatchError: The prompt has another version than `expect_version`; nothing was executed.
            OutputError: The prompt was executed and charged, but its output does not match `output`.
            BadRequestError: A required variable is missing, one is unknown, or an option is out of range.
            InsufficientTokensError: The plan has no credits left.
            NotFoundError: The prompt does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        model_options = body(temperature=temperature, maxTokens=max_tokens, topP=top_p, stopSequences=stop_sequences)
        fields = body(provider=provider, model=model, variables=variables, options=model_options or UNSET)
        call = Call("POST", path("/prompts/{}/execute", prompt_id), models.Execution, json=fields, options=options)
        if output is None and expect_version is UNSET and repair == 0:
            return call
        return resources.execution_flows.execution_flow(
            self, call, prompt_id, output=output, expect_version=expect_version, repair=repair
        )

    def _execute_template(self, prompt_id: str, options: Mapping[str, Any]) -> Call[Execution]:
        """Describe the call that the rows of a bulk run share; their variables are added later.

        Raises:
            ConfigurationError: An option is invalid.
            TypeError: An option is unknown.
        """
        batch.options.check(options)
        return describe_call(PromptCalls, "execute", prompt_id, **batch.options.model_options(options))


class Prompts(PromptCalls, LivePromptCalls, SyncResource):
    """`client.prompts`."""

    @overload
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        output: None = None,
        **options: Unpack[BatchOptions],
    ) -> BatchRun[RowT]: ...
    @overload
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        output: type[T] | TypeAdapter[T],
        **options: Unpack[BatchOptions],
    ) -> BatchRun[RowT, TypedExecution[T]]: ...
    @public_with(_batch_options)
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        output: object = None,
        **options: Unpack[BatchOptions],
    ) -> BatchRun[RowT, Any]:
        """Execute a prompt once for each row, concurrently, and charge each row at most once.

        The run starts when you iterate it, and stops when you leave the loop. With a checkpoint, the same call resumes
        it. docs/bulk.md is the guide.

        Args:
            prompt_id: The prompt's id.
            rows: Any iterable of rows. Rows are read as they are needed, so there can be any number of them.
            variables: How to get the values of the prompt's variables from a row: a function of the row, a mapping from
                variable to column, or a list of columns. None if each row is the mapping of its variables.
            output: The type to read each output into, as for `execute`; a row whose output does not match has an
                `OutputError`. None leaves outputs as text.
            **options: Options of the run; `BatchOptions` documents each. The most used ones are `concurrency`,
                `ordered`, `errors`, `budget`, `checkpoint`, `progress` and the model options of `execute`.

        Returns:
            The run. It yields a `BatchResult` for each row; a failed row has its `error`.

        Raises:
            ConfigurationError: An option is invalid.
            RowError: `variables` names columns, `rows` is a list, and a row lacks a column; nothing was sent.
        """
        return batch.BatchRun(
            self._client, self._execute_template(prompt_id, options), rows, variables, output=output, **options
        )


class AsyncPrompts(PromptCalls, LivePromptCalls, AsyncResource):
    """`async_client.prompts`."""

    @overload
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT] | AsyncIterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        output: None = None,
        **options: Unpack[BatchOptions],
    ) -> AsyncBatchRun[RowT]: ...
    @overload
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT] | AsyncIterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        output: type[T] | TypeAdapter[T],
        **options: Unpack[BatchOptions],
    ) -> AsyncBatchRun[RowT, TypedExecution[T]]: ...
    @public_with(_batch_options)
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT] | AsyncIterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        output: object = None,
        **options: Unpack[BatchOptions],
    ) -> AsyncBatchRun[RowT, Any]:
        """Execute a prompt once for each row, concurrently, and charge each row at most once.

        Everything is as in `Prompts.execute_many`, with two differences: `rows` may also be an async iterable, and the
        run is iterated with `async for`.

        Raises:
            ConfigurationError: An option is invalid.
            RowError: A row of a list lacks a column that `variables` names; nothing was sent.
        """
        return batch.AsyncBatchRun(
            self._client, self._execute_template(prompt_id, options), rows, variables, output=output, **options
        )


class RawPrompts(PromptCalls, PlainLivePromptCalls, RawResource):
    """`client.with_raw_response.prompts`."""


class AsyncRawPrompts(PromptCalls, PlainLivePromptCalls, AsyncRawResource):
    """`async_client.with_raw_response.prompts`."""
