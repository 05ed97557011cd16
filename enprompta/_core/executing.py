"""The `execute` method of each kind of client: one description, and the types of what it returns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from typing_extensions import Protocol, TypedDict, Unpack

from enprompta._core.operation import Described, client_of, method_for
from enprompta._core.runner import Raw
from enprompta._core.unset import UNSET, Unset
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import TypeAdapter

    from enprompta._core.call import Call
    from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource
    from enprompta._core.prompt_versions import ExpectedVersion
    from enprompta._core.response import APIResponse
    from enprompta._core.runner import Flow
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


class executing(Described[..., Any]):  # noqa: N801 (read as a decorator)
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

    def _make(self, owner: type[Resource]) -> Any:  # noqa: ANN401
        return method_for(self.describe, self.parameters(owner), owner, "run_raw" if owner.is_raw else "run")


def needs_flow(output: object, expect_version: object, repair: object) -> bool:
    """True if an execution takes more than one plain call."""
    return output is not None or expect_version is not UNSET or repair != 0


def execution_flow(
    resource: Any,  # noqa: ANN401 (any flavor)
    call: Call[Execution],
    prompt_id: str,
    *,
    output: Any,  # noqa: ANN401 (any type)
    expect_version: Any,  # noqa: ANN401 (checked here)
    repair: object,
) -> Call[Execution]:
    """Check the arguments, and return the flow that guards an execution and reads its output.

    Raises:
        ConfigurationError: An argument is invalid; nothing was sent.
    """
    # Imported when needed, because most executions need neither.
    from enprompta._core.prompt_versions import expected_version  # noqa: PLC0415
    from enprompta._core.typed_calls import check_repair  # noqa: PLC0415

    times = check_repair(repair)
    expected = None if expect_version is UNSET else expected_version(expect_version)
    reader = reader_for_output(output, times)
    # The method runs a flow as it runs a call; see `method_for`.
    made = _flow(
        client_of(resource), call, prompt_id, is_raw=resource.is_raw, expected=expected, reader=reader, repair=times
    )
    return cast("Call[Execution]", made)


def reader_for_output(output: Any, repair: int) -> Any:  # noqa: ANN401 (any type, and its reader)
    """Return the reader of a type; None without one.

    Raises:
        ConfigurationError: The type cannot be read, or there is nothing to repair.
    """
    if output is None:
        if repair:
            raise ConfigurationError("repair needs output: the type that the output is read into")
        return None
    from enprompta.outputs import reader_for  # noqa: PLC0415

    return reader_for(output)


def _flow(
    client: Any,  # noqa: ANN401 (either client)
    call: Call[Execution],
    prompt_id: str,
    *,
    is_raw: bool,
    expected: int | str | None,
    reader: Any,  # noqa: ANN401
    repair: int,
) -> Flow[Any]:
    from enprompta._core.prompt_versions import check_version  # noqa: PLC0415
    from enprompta._core.typed_calls import deadline_of, execute_typed, within  # noqa: PLC0415

    options: Any = {name: value for name, value in call.options.items() if name != "idempotency_key"}
    ends = deadline_of(client.settings_for(options).deadline)
    if expected is not None:
        yield from check_version(client.prompt_versions, prompt_id, expected, call.options, ends)
        call = within(call, call, ends)
    if reader is None:
        return (yield Raw(call) if is_raw else call)
    done = yield from execute_typed(call, reader, repair, ends)
    if done.execution.output_error is not None:
        raise done.execution.output_error
    return replace(done.response, data=done.execution, attempts=done.attempts) if is_raw else done.execution
