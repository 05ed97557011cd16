"""The `execute` method of each kind of client: one description, and the types of what it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from typing_extensions import TypedDict, Unpack

from enprompta._core.operation import Described

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import TypeAdapter
    from typing_extensions import Protocol

    from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource
    from enprompta._core.prompt_versions import ExpectedVersion
    from enprompta._core.response import APIResponse
    from enprompta._core.unset import Unset
    from enprompta.models.executions import Execution
    from enprompta.models.typed_executions import TypedExecution

T = TypeVar("T")


class ExecuteOptions(TypedDict, total=False):
    """Keyword arguments of `client.prompts.execute`, except `variables` and `output`."""

    expect_version: ExpectedVersion | Unset
    """The version that must be executed, such as `live.version`; another one raises `VersionMismatchError`."""
    repair: int
    """How often to execute again, charged each time, if the output does not match the type of `output`; 0 to 3."""
    provider: str | Unset
    """The model's provider, such as `openai`; the account's default if not given."""
    model: str | Unset
    """The model; the provider's default if not given."""
    temperature: float | Unset
    """0 to 2, higher is more varied."""
    max_tokens: int | Unset
    """The longest output, in tokens."""
    top_p: float | Unset
    """0 to 1, the nucleus-sampling threshold."""
    stop_sequences: Sequence[str] | Unset
    """Texts that end the output."""
    timeout: float | None
    """Seconds for each of connecting, sending and receiving; None waits indefinitely."""
    deadline: float | None
    """Seconds for the whole call; None sets no bound."""
    max_retries: int
    """Retries after the first attempt."""
    max_response_bytes: int
    """Largest response body in bytes, decompressed."""
    headers: Mapping[str, str]
    """Added to the client's."""
    idempotency_key: str
    """Makes the call safe to repeat."""


class ExecuteArguments(ExecuteOptions, total=False):
    """Keyword arguments of `client.prompts.execute`, except `output`."""

    variables: Mapping[str, Any] | Unset
    """Values of the placeholders, by name."""


if TYPE_CHECKING:

    class Execute(Protocol):
        """`execute` of the blocking client."""

        @overload
        def __call__(
            self, prompt_id: str, /, *, output: type[T] | TypeAdapter[T], **arguments: Unpack[ExecuteArguments]
        ) -> TypedExecution[T]: ...
        @overload
        def __call__(
            self, prompt_id: str, /, *, output: None = None, **arguments: Unpack[ExecuteArguments]
        ) -> Execution: ...

    class AsyncExecute(Protocol):
        """`execute` of the async client."""

        @overload
        async def __call__(
            self, prompt_id: str, /, *, output: type[T] | TypeAdapter[T], **arguments: Unpack[ExecuteArguments]
        ) -> TypedExecution[T]: ...
        @overload
        async def __call__(
            self, prompt_id: str, /, *, output: None = None, **arguments: Unpack[ExecuteArguments]
        ) -> Execution: ...

    class RawExecute(Protocol):
        """`execute` of `with_raw_response`."""

        @overload
        def __call__(
            self, prompt_id: str, /, *, output: type[T] | TypeAdapter[T], **arguments: Unpack[ExecuteArguments]
        ) -> APIResponse[TypedExecution[T]]: ...
        @overload
        def __call__(
            self, prompt_id: str, /, *, output: None = None, **arguments: Unpack[ExecuteArguments]
        ) -> APIResponse[Execution]: ...

    class AsyncRawExecute(Protocol):
        """`execute` of the async client's `with_raw_response`."""

        @overload
        async def __call__(
            self, prompt_id: str, /, *, output: type[T] | TypeAdapter[T], **arguments: Unpack[ExecuteArguments]
        ) -> APIResponse[TypedExecution[T]]: ...
        @overload
        async def __call__(
            self, prompt_id: str, /, *, output: None = None, **arguments: Unpack[ExecuteArguments]
        ) -> APIResponse[Execution]: ...


class executing(Described[..., Any]):
    """Create the `execute` method, whose result depends on `output`; otherwise as `operation`."""

    @overload
    def __get__(self, obj: SyncResource, owner: type, /) -> Execute: ...
    @overload
    def __get__(self, obj: AsyncResource, owner: type, /) -> AsyncExecute: ...
    @overload
    def __get__(self, obj: RawResource, owner: type, /) -> RawExecute: ...
    @overload
    def __get__(self, obj: AsyncRawResource, owner: type, /) -> AsyncRawExecute: ...
    @overload
    def __get__(self, obj: None, owner: type, /) -> Callable[..., Any]: ...
    def __get__(self, obj: Resource | None, owner: type, /) -> Any:
        return self._bind(obj, owner)
