"""The parts of a client that other packages rely on, as protocols.

Resources send calls through a runner. Bulk runs use a step runner: it describes a call as steps, and performs the steps
later, in a worker of the run.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Protocol, Self, Unpack

    from enprompta._core.call import Call, RequestOptions
    from enprompta._core.response import APIResponse
    from enprompta._core.steps import Sleep, Steps, WaitForFuture
    from enprompta.errors import Attempt

T = TypeVar("T")
Flow = Generator["Call[Any] | Raw | Sleep | WaitForFuture", Any, T]


class Raw:
    """A request, made by a flow, for a call's `APIResponse` in place of its result."""

    __slots__ = ("call",)

    def __init__(self, call: Call[Any]) -> None:
        self.call = call


class Answered(Generic[T]):
    """The result of a call, and the attempts it took.

    Args:
        result: The result.
        attempts: Every attempt, the successful one last.
        contents: The body of each response, the last one of the result.
    """

    __slots__ = ("attempts", "contents", "result")

    def __init__(self, result: T, attempts: tuple[Attempt, ...], contents: tuple[bytes, ...]) -> None:
        self.result: T = result
        self.attempts: tuple[Attempt, ...] = attempts
        self.contents: tuple[bytes, ...] = contents


if TYPE_CHECKING:

    class SyncRunner(Protocol):
        """A client as a blocking resource uses it."""

        def run(self, call: Call[T], /) -> T: ...
        def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
        def run_flow(self, flow: Flow[T], /) -> T: ...

    class AsyncRunner(Protocol):
        """A client as an async resource uses it."""

        async def run(self, call: Call[T], /) -> T: ...
        async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
        async def run_flow(self, flow: Flow[T], /) -> T: ...

    class HasDeadline(Protocol):
        """The settings of a call."""

        @property
        def deadline(self) -> float | None: ...

    class StepRunner(Protocol):
        """A client of either kind, as far as describing a call goes."""

        def repeating(self, call: Call[T], /) -> Callable[[bytes, str], Steps[Answered[T]]]: ...
        def flow_steps(self, flow: Flow[T], /) -> Steps[T]: ...
        @property
        def prompt_versions(self) -> dict[tuple[int, str], Any]: ...
        def with_options(self, **options: Unpack[RequestOptions]) -> Self: ...
        def settings_for(self, options: RequestOptions) -> HasDeadline: ...

    class SyncStepRunner(StepRunner, Protocol):
        """A client as a blocking bulk run uses it."""

        def drive(self, steps: Steps[T], /) -> T: ...

    class AsyncStepRunner(StepRunner, Protocol):
        """A client as an async bulk run uses it."""

        async def drive(self, steps: Steps[T], /) -> T: ...
