"""Generated methods have correct signatures and documentation in all four flavors."""

from __future__ import annotations

import inspect
import pydoc
import re
import traceback
from types import NoneType
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import APIResponse, AsyncEnprompta, Call, Enprompta, RequestOptions
from enprompta._core.call import help_on_options, path
from enprompta._core.operation import (
    AsyncRawResource,
    AsyncResource,
    RawResource,
    Resource,
    SyncResource,
    flow,
    operation,
)
from enprompta._core.steps import Sleep
from enprompta.models import Prompt
from enprompta.pagination import AsyncPager, Page, listing
from enprompta.resources.executions import AsyncExecutions, AsyncRawExecutions, Executions, RawExecutions
from enprompta.resources.prompts import AsyncPrompts, AsyncRawPrompts, PromptCalls, Prompts, RawPrompts
from enprompta.resources.templates import AsyncRawTemplates, AsyncTemplates, RawTemplates, Templates

if TYPE_CHECKING:
    from typing_extensions import Self

    from enprompta._core.runner import Flow

FLAVOURS: dict[type[Resource], list[type[Any]]] = {
    SyncResource: [Prompts, Executions, Templates],
    AsyncResource: [AsyncPrompts, AsyncExecutions, AsyncTemplates],
    RawResource: [RawPrompts, RawExecutions, RawTemplates],
    AsyncRawResource: [AsyncRawPrompts, AsyncRawExecutions, AsyncRawTemplates],
}
EVERY = [(base, owner) for base, owners in FLAVOURS.items() for owner in owners]


def methods(owner: type) -> list[str]:
    """Return the names of the calls of a resource."""
    return [name for name in dir(owner) if not name.startswith("_") and callable(getattr(owner, name))]


class Gadget:
    """A model."""


class GadgetCalls(Resource):
    """A resource for these tests."""

    __slots__ = ()

    @operation
    def get(self, gadget_id: str, /, *, deep: bool = False) -> Call[Gadget]:
        """Fetch one gadget."""
        return Call("GET", path("/gadgets/{}", gadget_id), Gadget, params={"deep": deep})

    @listing
    def list(self, *, limit: int = 20) -> Call[Page[Gadget]]:
        """List gadgets."""
        return Call("GET", "/gadgets", Page[Gadget], params={"limit": limit})

    @flow
    def settle(self, gadget_id: str, /) -> Flow[Gadget]:
        """Wait for a gadget."""
        gadget: Gadget = yield Call("GET", path("/gadgets/{}", gadget_id), Gadget)
        yield Sleep(0.1)
        return gadget


class Gadgets(GadgetCalls, SyncResource):
    """The blocking flavor."""

    __slots__ = ()


class AsyncGadgets(GadgetCalls, AsyncResource):
    """The async flavor."""

    __slots__ = ()


class RawGadgets(GadgetCalls, RawResource):
    """The blocking flavor with raw responses."""

    __slots__ = ()


class AsyncRawGadgets(GadgetCalls, AsyncRawResource):
    """The async flavor with raw responses."""

    __slots__ = ()


class Recorder:
    """A client that returns the calls it is asked to run."""

    def run(self, call: object) -> object:
        """Return the call."""
        return ("run", call)

    def run_raw(self, call: object) -> object:
        """Return the call."""
        return ("run_raw", call)

    def run_flow(self, it: Any) -> object:
        """Return the flow's first step."""
        return ("run_flow", next(it))


class AsyncRecorder:
    """The same with coroutines."""

    async def run(self, call: object) -> object:
        """Return the call."""
        return ("run", call)

    async def run_raw(self, call: object) -> object:
        """Return the call."""
        return ("run_raw", call)

    async def run_flow(self, it: Any) -> object:
        """Return the flow's first step."""
        return ("run_flow", next(it))


def finish(coroutine: Any) -> Any:
    """Run a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


GET = Call("GET", "/gadgets/g%2F1", Gadget, params={"deep": True})
LIST = Call("GET", "/gadgets", Page[Gadget], params={"limit": 5})
SETTLE = Call("GET", "/gadgets/g", Gadget)


def test_blocking_flavours_run_the_call() -> None:
    """A method builds its call and passes it to the client."""
    gadgets = Gadgets(Recorder())  # type: ignore[arg-type]
    assert gadgets.get("g/1", deep=True) == ("run", GET)
    assert gadgets.list(limit=5) == ("run", LIST)
    assert gadgets.settle("g") == ("run_flow", SETTLE)
    raw = RawGadgets(Recorder())  # type: ignore[arg-type]
    assert raw.get("g/1", deep=True) == ("run_raw", GET)
    assert raw.list(limit=5) == ("run_raw", LIST)
    assert raw.settle("g") == ("run_flow", SETTLE)


def test_async_flavours_run_the_call() -> None:
    """The same description is a coroutine, and a listing a lazy pager."""
    gadgets = AsyncGadgets(AsyncRecorder())  # type: ignore[arg-type]
    assert finish(gadgets.get("g/1", deep=True)) == ("run", GET)
    pager = gadgets.list(limit=5)
    assert isinstance(pager, AsyncPager)
    assert repr(pager) == "<AsyncPager of /gadgets: `await` it for a page, or use `async for` for every item>"
    assert finish(gadgets.settle("g")) == ("run_flow", SETTLE)
    raw = AsyncRawGadgets(AsyncRecorder())  # type: ignore[arg-type]
    assert finish(raw.get("g/1", deep=True)) == ("run_raw", GET)
    assert finish(raw.list(limit=5)) == ("run_raw", LIST)
    assert finish(raw.settle("g")) == ("run_flow", SETTLE)


@pytest.mark.parametrize(
    ("owner", "get", "list_", "settle"),
    [
        (Gadgets, "Gadget", "Page[Gadget]", "Gadget"),
        (AsyncGadgets, "Gadget", "AsyncPager[Gadget]", "Gadget"),
        (RawGadgets, "APIResponse[Gadget]", "APIResponse[Page[Gadget]]", "Gadget"),
        (AsyncRawGadgets, "APIResponse[Gadget]", "APIResponse[AsyncPage[Gadget]]", "Gadget"),
    ],
)
def test_signatures_name_what_the_method_gives(owner: Any, get: str, list_: str, settle: str) -> None:
    """`inspect.signature` shows the parameters of the description and the result of the method, never a `Call`."""
    assert str(inspect.signature(owner.get)) == f"(self, gadget_id: 'str', /, *, deep: 'bool' = False) -> '{get}'"
    assert str(inspect.signature(owner.list)) == f"(self, *, limit: 'int' = 20) -> '{list_}'"
    assert str(inspect.signature(owner.settle)) == f"(self, gadget_id: 'str', /) -> '{settle}'"
    bound = inspect.signature(owner(None).get)
    assert list(bound.parameters) == ["gadget_id", "deep"]
    assert bound.return_annotation == get


@pytest.mark.parametrize(("base", "owner"), EVERY, ids=lambda it: it.__name__)
def test_every_method_is_truthful(base: Any, owner: Any) -> None:
    """Name, docstring, annotations and kind are those of the public method, on class and object."""
    obj = owner(None)
    for name in methods(owner):
        for method in (getattr(obj, name), getattr(owner, name)):
            assert method.__name__ == name
            assert method.__qualname__ == f"{owner.__name__}.{name}"
            assert method.__module__ == owner.__module__
            assert method.__doc__.strip()
            assert getattr(method, "__wrapped__", method).__qualname__ == method.__qualname__  # never the description
            returns = inspect.signature(method).return_annotation
            assert returns == method.__annotations__["return"]
            assert not returns.startswith("Call[")
            assert returns.startswith("APIResponse[") == base.is_raw
            pager = returns.startswith(("AsyncPager[", "AsyncBatchRun["))
            assert inspect.iscoroutinefunction(method) == (base.is_async and not pager)
        assert inspect.ismethod(getattr(obj, name))
        assert inspect.isfunction(getattr(owner, name))


@pytest.mark.parametrize(("base", "owner"), EVERY, ids=lambda it: it.__name__)
def test_help_shows_the_method(base: Any, owner: Any) -> None:
    """`help()` of a method, object and class shows signature and docstring."""
    text = pydoc.plain(pydoc.render_doc(owner(None).get))
    first = inspect.signature(owner.get).return_annotation
    assert f"-> '{first}'" in text or f"-> {first}" in text
    assert owner.get.__doc__.splitlines()[0] in text
    assert "get(" in pydoc.plain(pydoc.render_doc(owner))
    assert "Call[" not in text


def test_methods_are_made_once() -> None:
    """Later lookups find a plain function on the class."""
    assert Gadgets.get is Gadgets.__dict__["get"]
    assert Gadgets(None).get.__func__ is Gadgets.get  # type: ignore[arg-type, attr-defined]


def test_a_class_without_a_flavour_shows_its_descriptions() -> None:
    """Tools that inspect modules can read it."""
    assert isinstance(GadgetCalls.get, operation)
    assert GadgetCalls.get.__doc__ == "Fetch one gadget."
    assert "get" in pydoc.plain(pydoc.render_doc(PromptCalls))


def test_a_flavour_may_be_subclassed() -> None:
    """A subclass, inspected before or after its base, has working methods under its name."""

    class Mine(Gadgets):
        def both(self, gadget_id: str) -> Self:
            self.get(gadget_id)
            return self

    assert Mine(Recorder()).get("g") == ("run", Call("GET", "/gadgets/g", Gadget, params={"deep": False}))  # type: ignore[arg-type]
    assert Mine(Recorder()).both("g")  # type: ignore[arg-type]


def test_an_annotation_that_is_no_call_stands_as_it_is() -> None:
    """Without `Call[...]` the annotation is unchanged."""

    class Odd(SyncResource):
        @operation
        def ping(self) -> Any:
            """Ping."""
            return Call("GET", "/ping", NoneType)

    assert inspect.signature(Odd.ping).return_annotation == "Any"


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda it: it.get(), "gadgets.get() is missing 'gadget_id'"),
        (lambda it: it.get("a", "b"), "gadgets.get() takes 1 positional argument (gadget_id), 2 were given: "),
        (lambda it: it.get(gadget_id="a"), "gadgets.get() takes gadget_id without its name: gadgets.get(gadget_id, …)"),
        (lambda it: it.get("g", depp=1), "gadgets.get() got 'depp'; did you mean 'deep'?"),
        (lambda it: it.get("g", timeout=1), "gadgets.get() got an unexpected keyword argument 'timeout'; it takes "),
        (lambda it: it.list(limt=1), "gadgets.list() got 'limt'; did you mean 'limit'?"),
        (lambda it: it.list(5), "gadgets.list() takes keywords only, 1 was given: pass the others by name, limit=…"),
        (lambda it: it.settle("g", xyz=1), "gadgets.settle() got an unexpected keyword argument 'xyz'; it takes "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [Gadgets, AsyncGadgets, RawGadgets, AsyncRawGadgets])
def test_wrong_arguments_are_type_errors_of_the_public_method(kind: Any, do: Any, says: str) -> None:
    """The error names the method by its public name and suggests the right keyword, in one frame of the package."""
    gadgets = kind(AsyncRecorder() if kind.is_async else Recorder())
    with pytest.raises(TypeError) as caught:
        finish(do(gadgets))
    assert str(caught.value).startswith(says)
    assert type(caught.value) is TypeError
    ours = [one for one in traceback.extract_tb(caught.tb) if "/enprompta/" in one.filename]
    assert len(ours) == 1


def test_a_response_is_a_value() -> None:
    """`APIResponse` compares by content."""
    one, two = (APIResponse(Prompt(id="p", title="", content=""), 200, {}, None, None, ()) for _ in range(2))
    assert one == two


def test_dir_shows_what_callers_use() -> None:
    """`dir()` of a client and of its resources shows no private name and none for other packages."""
    for kind in (Enprompta, AsyncEnprompta):
        client = kind(api_key="ep_x")
        assert {"prompts", "run", "run_raw", "with_options", "rate_limit"} < set(dir(client))
        assert {"get", "list", "create", "execute_many", "live_cache"} < set(dir(client.prompts))
        for thing in (client, client.prompts, client.with_raw_response, client.workflows):
            hidden = {"drive", "steps", "run_flow", "settings_for", "is_async", "is_raw"}
            assert not [name for name in dir(thing) if name.startswith("_") or name in hidden]
            assert all(hasattr(thing, name) for name in dir(thing))


@pytest.mark.parametrize("kind", [Prompts, AsyncPrompts, RawPrompts, AsyncRawPrompts])
def test_help_lists_the_options_of_each_call(kind: Any) -> None:
    """`help()` lists every per-call option with its meaning; the idempotency key only where a write takes it."""
    read, write = (pydoc.render_doc(method, renderer=pydoc.plaintext) for method in (kind.get, kind.update))
    for name in RequestOptions.__annotations__:
        for text in (read, write):
            assert re.search(rf"^ +{name}: [A-Z]", text, re.MULTILINE), name
    assert "idempotency_key: Makes the call safe to repeat" in write
    assert "idempotency_key" not in read
    assert write.count("Options of each call:") == 1


def test_help_without_options() -> None:
    """A method without per-call options keeps its docstring, and one without docstring has none."""
    assert help_on_options("") == help_on_options("Unpack[BatchOptions]") == ""
