"""`client.prompts`: the prompts of an account, and executing them."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

from enprompta._core.body import body
from enprompta._core.boundary import public_with
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset
from enprompta.models.executions import Execution
from enprompta.models.prompts import Prompt
from enprompta.pagination import Page, listing
from enprompta.resources.live_prompts import LivePromptCalls, PlainLivePromptCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping, Sequence

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta.batch import AsyncBatchRun, BatchOptions, BatchRun
    from enprompta.models.prompts import PromptVariable, PromptVariableParam, Visibility

RowT = TypeVar("RowT")


def _batch_options() -> Iterable[str]:
    from enprompta.batch.options import BatchOptions  # noqa: PLC0415 (loaded by programs that use it)

    return BatchOptions.__annotations__


class PromptCalls(Resource):
    """The calls on prompts (reference: "Prompts")."""

    __slots__ = ()

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
            title: What people find it by.
            content: The text; `{{name}}` stands for a variable.
            description: What it is for.
            category: Free text to filter lists by.
            tags: Free words.
            variables: Declarations of the variables in `content`: models, or dicts of the same fields.
            visibility: `PRIVATE`, `TEAM` or `PUBLIC`.
            team_id: The team to give it to; not given, or None, makes it personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            BadRequestError: A field is invalid; `details` names it.
            APIError: What any call may raise.
        """
        fields = body(
            title=title, content=content, description=description, category=category, tags=tags,
            variables=variables, visibility=visibility, teamId=team_id,
        )  # fmt: skip
        return Call("POST", "/prompts", Prompt, json=fields, options=options)

    @operation
    def get(self, prompt_id: str, /, **options: Unpack[RequestOptions]) -> Call[Prompt]:
        """Fetch one prompt by its id.

        Raises:
            NotFoundError: There is no such prompt, or this key may not see it.
            APIError: What any call may raise.
        """
        return Call("GET", path("/prompts/{}", prompt_id), Prompt, options=options)

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
        """Change the fields that are given; None clears one, a new `content` makes a new version.

        Args:
            prompt_id: Which prompt.
            title: What people find it by.
            content: The text; `{{name}}` stands for a variable.
            description: What it is for.
            category: Free text to filter lists by.
            tags: Free words.
            variables: Declarations of the variables in `content`.
            visibility: `PRIVATE`, `TEAM` or `PUBLIC`.
            team_id: The team to give it to; None makes it personal.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: There is no such prompt, or this key may not see it.
            BadRequestError: A field is invalid; `details` names it.
            APIError: What any call may raise.
        """
        fields = body(
            title=title, content=content, description=description, category=category, tags=tags,
            variables=variables, visibility=visibility, teamId=team_id,
        )  # fmt: skip
        return Call("PUT", path("/prompts/{}", prompt_id), Prompt, json=fields, options=options)

    @operation
    def delete(self, prompt_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a prompt.

        Raises:
            NotFoundError: There is no such prompt, or this key may not see it.
            APIError: What any call may raise.
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
        """List prompts; iterating the result walks every page.

        Args:
            limit: Prompts a page, 1 to 100; the API's default is 20.
            cursor: Where to go on, from a page's `pagination.next_cursor`.
            visibility: Only these.
            category: Only those of this category.
            search: Only those that hold this text.
            team_id: Only those of this team.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: What any call may raise.
        """
        params = body(
            limit=limit, cursor=cursor, visibility=visibility, category=category, search=search, teamId=team_id,
        )  # fmt: skip
        return Call("GET", "/prompts", Page[Prompt], params=params, options=options)

    @operation
    def execute(
        self,
        prompt_id: str,
        /,
        *,
        variables: Mapping[str, Any] | Unset = UNSET,
        provider: str | Unset = UNSET,
        model: str | Unset = UNSET,
        temperature: float | Unset = UNSET,
        max_tokens: int | Unset = UNSET,
        top_p: float | Unset = UNSET,
        stop_sequences: Sequence[str] | Unset = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Execution]:
        """Fill in a prompt's variables and run it on a model; costs one token of the plan.

        The call carries an idempotency key, so that a retry after a lost answer is not charged again.

        Args:
            prompt_id: Which prompt.
            variables: Values for its placeholders, by name.
            provider: Who runs the model, such as `openai`; not given is the account's default.
            model: Which model; not given is the provider's default.
            temperature: 0 to 2, higher is more varied.
            max_tokens: The longest output, in tokens.
            top_p: 0 to 1, the share of probability that is drawn from.
            stop_sequences: Texts that end the output.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Returns:
            The execution; `status` is `failed`, with `error`, when the model's provider failed.

        Raises:
            BadRequestError: A required variable is missing, one is unknown, or an option is out of range.
            InsufficientTokensError: The plan's tokens are used up.
            NotFoundError: There is no such prompt, or this key may not see it.
            APIError: What any call may raise.
        """
        model_options = body(temperature=temperature, maxTokens=max_tokens, topP=top_p, stopSequences=stop_sequences)
        fields = body(provider=provider, model=model, variables=variables, options=model_options or UNSET)
        return Call("POST", path("/prompts/{}/execute", prompt_id), Execution, json=fields, options=options)


class Prompts(PromptCalls, LivePromptCalls, SyncResource):
    """`client.prompts`."""

    __slots__ = ()

    @public_with(_batch_options)
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        **options: Unpack[BatchOptions],
    ) -> BatchRun[RowT]:
        """Execute a prompt once for each row, many at once, each charged once whatever happens; see docs/bulk.md.

        The run starts when it is iterated. Leaving the loop ends it; with a checkpoint, the same call goes on there.

        Args:
            prompt_id: Which prompt.
            rows: Anything that gives rows; taken as they are needed, so there may be any number.
            variables: How a row becomes the values of the prompt's variables: a function, a mapping from variable to
                column, or the columns to take. None when a row is the mapping itself.
            **options: How to go about it; see `BatchOptions` for each. The most used ones are `concurrency`, `ordered`,
                `errors`, `budget`, `checkpoint`, `progress` and the model options of `execute`.

        Returns:
            The run, which gives a `BatchResult` for each row. A row that fails has its `error` there.

        Raises:
            ConfigurationError: An option cannot work.
            RowError: `variables` names columns, `rows` is a list, and one of them lacks a column; nothing was sent.
        """
        from enprompta.batch import BatchRun  # noqa: PLC0415 (loaded by those who use it)

        return BatchRun(self._client, prompt_id, rows, variables, **options)


class AsyncPrompts(PromptCalls, LivePromptCalls, AsyncResource):
    """`async_client.prompts`."""

    __slots__ = ()

    @public_with(_batch_options)
    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT] | AsyncIterable[RowT],
        *,
        variables: Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None = None,
        **options: Unpack[BatchOptions],
    ) -> AsyncBatchRun[RowT]:
        """Execute a prompt once for each row, many at once, each charged once whatever happens; see docs/bulk.md.

        The run starts when it is iterated. Leaving the loop ends it; with a checkpoint, the same call goes on there.

        Args:
            prompt_id: Which prompt.
            rows: Anything that gives rows; taken as they are needed, so there may be any number. An async
                iterable will do too.
            variables: How a row becomes the values of the prompt's variables: a function, a mapping from variable to
                column, or the columns to take. None when a row is the mapping itself.
            **options: How to go about it; see `BatchOptions` for each. The most used ones are `concurrency`, `ordered`,
                `errors`, `budget`, `checkpoint`, `progress` and the model options of `execute`.

        Returns:
            The run, which gives a `BatchResult` for each row. A row that fails has its `error` there.

        Raises:
            ConfigurationError: An option cannot work.
            RowError: `variables` names columns, `rows` is a list, and one of them lacks a column; nothing was sent.
        """
        from enprompta.batch import AsyncBatchRun  # noqa: PLC0415 (loaded by those who use it)

        return AsyncBatchRun(self._client, prompt_id, rows, variables, **options)


class RawPrompts(PromptCalls, PlainLivePromptCalls, RawResource):
    """`client.with_raw_response.prompts`."""

    __slots__ = ()


class AsyncRawPrompts(PromptCalls, PlainLivePromptCalls, AsyncRawResource):
    """`async_client.with_raw_response.prompts`."""

    __slots__ = ()
