"""Descriptors that turn the description of a call into a blocking or an async method.

A resource class defines its endpoints as functions that return a `Call`. Each is combined with one of four flavors,
which decide how the method runs the call:

    class Prompts(PromptCalls, SyncResource): ...          prompts.get(id) -> Prompt
    class AsyncPrompts(PromptCalls, AsyncResource): ...    await prompts.get(id) -> Prompt
    class RawPrompts(PromptCalls, RawResource): ...        prompts.get(id) -> APIResponse[Prompt]
    class AsyncRawPrompts(PromptCalls, AsyncRawResource)   await prompts.get(id) -> APIResponse[Prompt]

The method is created on first access and stored on the class as a plain function, so later calls have no overhead and
`help()`, `inspect.signature` and `inspect.iscoroutinefunction` work.
"""

from __future__ import annotations

import functools
import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, TypeAlias, TypeVar, cast, overload

from typing_extensions import ParamSpec

from enprompta._core.arguments import Parameters
from enprompta._core.call import Call, help_on_options
from enprompta._core.tracebacks import shorten
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from enprompta._core.response import APIResponse
    from enprompta._core.runner import Flow

P = ParamSpec("P")
T = TypeVar("T")

AnyClient: TypeAlias = Any
"""Either client, or its view with raw responses."""
AnyResource: TypeAlias = Any
"""A resource of any flavor, whose client this package may use."""
Method: TypeAlias = Any
"""A method or a descriptor; the overloads of `__get__` have its type."""

_INTERNAL = frozenset(
    {"drive", "is_async", "is_raw", "run_flow", "settings_for", "steps"}
)  # for resources and bulk runs


def public_names(thing: object) -> list[str]:
    """List what `dir()` shows of a client or a resource: the names for callers, without those for other packages."""
    return [name for name in object.__dir__(thing) if not name.startswith("_") and name not in _INTERNAL]


class _ResourceType(type):
    """Gives every class of resources slots, so that a resource has no attribute but its client."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _ResourceType:
        namespace.setdefault("__slots__", ())
        return super().__new__(cls, name, bases, namespace)


class Resource(metaclass=_ResourceType):
    """Base class of the four flavors."""

    __slots__ = ("_client",)
    is_async: ClassVar[bool]
    is_raw: ClassVar[bool]

    def __init__(self, client: AnyClient) -> None:
        self._client = client

    def __dir__(self) -> list[str]:
        return public_names(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


class SyncResource(Resource):
    """Methods block and return the model."""

    is_async = False
    is_raw = False


class AsyncResource(Resource):
    """Methods are coroutines that return the model."""

    is_async = True
    is_raw = False


class RawResource(Resource):
    """Methods block and return an `APIResponse` with the model, status, headers and attempts."""

    is_async = False
    is_raw = True


class AsyncRawResource(Resource):
    """Methods are coroutines that return an `APIResponse`."""

    is_async = True
    is_raw = True


def client_of(resource: AnyResource) -> AnyClient:
    """Return the client of a resource, also for `with_raw_response`, which wraps the client."""
    client = resource._client  # noqa: SLF001 (the flavors share it)
    return client._client if resource.is_raw else client  # noqa: SLF001


class Described(Generic[P, T]):
    """Base class of the descriptors: creates the method on first access and stores it on the class."""

    def __init__(self, describe: Callable[Concatenate[Any, P], T]) -> None:
        self.describe: Callable[..., Any] = describe
        self.__doc__ = describe.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def _bind(self, obj: Resource | None, owner: type) -> Method:
        if not hasattr(owner, "is_async"):  # a class of calls without a flavor, inspected by help() and similar tools
            return self
        method = self._make(owner)
        returns = self._result(_annotation(self.describe), owner)
        signature = inspect.signature(self.describe)
        method.__signature__ = signature.replace(return_annotation=returns)
        method.__annotations__ = {**self.describe.__annotations__, "return": returns}
        parts = [
            inspect.cleandoc(self.describe.__doc__ or ""),
            help_on_options(self.describe.__annotations__.get("options", "")),
        ]
        method.__doc__ = "\n\n".join(filter(None, parts)) or None
        method.__qualname__ = f"{owner.__name__}.{self._name}"
        method.__module__ = owner.__module__  # the module of the class, not of the base that describes the method
        del method.__wrapped__  # inspect would follow it to the description, which returns a Call
        setattr(owner, self._name, method)
        return method if obj is None else MethodType(method, obj)

    def _make(self, owner: type[Resource]) -> Method:
        return method_for(self.describe, self.parameters(owner), owner, "run_raw" if owner.is_raw else "run")

    def parameters(self, owner: type[Resource]) -> Parameters:
        """Read the parameters of the method from the description's signature."""
        namespace = owner.__name__.removeprefix("Async").removeprefix("Raw").replace("Calls", "s").lower()
        return Parameters(self.describe, f"{namespace}.{self._name}")

    def _result(self, annotation: str, owner: type[Resource], /) -> str:
        return f"APIResponse[{annotation}]" if owner.is_raw else annotation


def _annotation(describe: Callable[..., object]) -> str:
    """Extract `Prompt` from `Call[Prompt]` or `Flow[Prompt]`; annotations are postponed, so they are text."""
    text = str(describe.__annotations__["return"])
    is_wrapped = text.startswith(("Call[", "Flow["))
    return text[5:-1] if is_wrapped else text


class operation(Described[P, "Call[T]"], Generic[P, T]):
    """Create a method that runs one call: `describe` builds the `Call[T]`, the method returns `T`."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[T]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, obj: SyncResource, owner: type, /) -> Callable[P, T]: ...
    @overload
    def __get__(self, obj: AsyncResource, owner: type, /) -> Callable[P, Coroutine[None, None, T]]: ...
    @overload
    def __get__(self, obj: RawResource, owner: type, /) -> Callable[P, APIResponse[T]]: ...
    @overload
    def __get__(self, obj: AsyncRawResource, owner: type, /) -> Callable[P, Coroutine[None, None, APIResponse[T]]]: ...
    @overload
    def __get__(self, obj: None, owner: type, /) -> Callable[..., Any]: ...
    def __get__(self, obj: Resource | None, owner: type, /) -> Any:
        return self._bind(obj, owner)


def method_for(describe: Callable[..., object], parameters: Parameters, owner: type[Resource], run_name: str) -> Method:
    """Create a method that checks its arguments, builds the call and has the client run it.

    A description may return a flow instead of a call, for arguments that need several requests, or a tuple that holds
    only the result.
    """
    # The steps before the request are written twice: shared, they would add a frame to tracebacks, and a call's time.
    if owner.is_async:

        @functools.wraps(describe)
        async def async_method(self: AnyResource, /, *args: object, **kwargs: object) -> object:
            try:
                checked = parameters.checked(args, kwargs)
                if isinstance(checked, TypeError):
                    raise checked
                made = describe(self, *checked, **kwargs)
                if isinstance(made, tuple):
                    return cast("tuple[object]", made)[0]
                return await getattr(self._client, run_name if isinstance(made, Call) else "run_flow")(made)
            except EnpromptaError as error:
                shorten(error)
                raise error

        return async_method

    @functools.wraps(describe)
    def method(self: AnyResource, /, *args: object, **kwargs: object) -> object:
        try:
            checked = parameters.checked(args, kwargs)
            if isinstance(checked, TypeError):
                raise checked
            made = describe(self, *checked, **kwargs)
            if isinstance(made, tuple):
                return cast("tuple[object]", made)[0]
            return getattr(self._client, run_name if isinstance(made, Call) else "run_flow")(made)
        except EnpromptaError as error:
            shorten(error)
            raise error

    return method


def describe_call(calls: type[Resource], name: str, /, *args: object, **kwargs: object) -> Call[Any]:
    """Build the call of a method without a client, with the same argument checks."""
    described: Described[Any, Any] = vars(calls)[name]
    parameters = described.parameters(calls)
    checked = parameters.checked(args, kwargs)
    if isinstance(checked, TypeError):
        raise checked
    return cast("Call[Any]", described.describe(None, *checked, **kwargs))


class flow(Described[P, "Flow[T]"], Generic[P, T]):
    """Create a method that makes several calls, from a generator that both clients can drive.

    The generator yields a `Call` and receives its result (or its exception), or yields a step such as `Sleep` and
    receives None when it is done. Its return value is the method's result. `Raw` requests an `APIResponse`.

        @flow
        def wait(self, execution_id: str, /) -> Flow[Execution]:
            while True:
                execution: Execution = yield Call("GET", path("/executions/{}", execution_id), Execution)
                if execution.status != "running":
                    return execution
                yield Sleep(1.0)
    """

    def __init__(self, describe: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        super().__init__(describe)

    # A flow makes several requests and so has no single raw response: raw flavors return the result itself.
    @overload
    def __get__(self, obj: SyncResource | RawResource, owner: type, /) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, obj: AsyncResource | AsyncRawResource, owner: type, /
    ) -> Callable[P, Coroutine[None, None, T]]: ...
    @overload
    def __get__(self, obj: None, owner: type, /) -> Callable[..., Any]: ...
    def __get__(self, obj: Resource | None, owner: type, /) -> Any:
        return self._bind(obj, owner)

    def _result(self, annotation: str, _owner: type[Resource], /) -> str:
        return annotation

    def _make(self, owner: type[Resource]) -> Method:
        return method_for(self.describe, self.parameters(owner), owner, "run_flow")
