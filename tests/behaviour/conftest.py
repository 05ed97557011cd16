"""One way to drive the blocking client and the async one on asyncio and on trio, so that each claim is written once.

Each claim is held to over httpx, over the caller's client of httpx2, and over aiohttp.
"""

from __future__ import annotations

import inspect
import itertools
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from enprompta import AsyncEnprompta, Enprompta
from enprompta._http.senders.aiohttp_sender import AiohttpSender
from tests.behaviour.script_server import ScriptServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

    from enprompta.emulator import Emulator

BASE_URL = "https://api.test/api/v1"
_numbers = itertools.count(1)


class Driver:
    """Does to a client what a program would do: call, await, iterate, close.

    Args:
        portal: The event loop that async clients run on; None drives blocking clients.
        backend: What sends the requests: `httpx`, `httpx2` or `aiohttp`.
    """

    def __init__(self, portal: BlockingPortal | None, backend: str = "httpx") -> None:
        self.portal = portal
        self.backend = backend
        self.is_async = portal is not None
        self.client_class: Any = AsyncEnprompta if portal else Enprompta
        self._opened: list[Any] = []

    @property
    def defaults(self) -> dict[str, Any]:
        """What a client of the backend is made with, beside its key."""
        if self.backend == "aiohttp":
            return {"http_client": "aiohttp"}
        return {} if self.backend == "httpx" else {"http_client": self._opened_here(self.http_class()())}

    def http_class(self) -> Any:
        """Give the class of HTTP clients that the backend has for this kind of client."""
        library = import_module("httpx" if self.backend == "aiohttp" else self.backend)
        return library.AsyncClient if self.is_async else library.Client

    def _opened_here(self, it: Any) -> Any:
        self._opened.append(it)
        return it

    def make(self, **options: Any) -> Any:
        """Make a client that is closed when the test ends; each has a key, and so a request budget, of its own."""
        given = options if "http_client" in options else {**self.defaults, **options}
        return self._opened_here(self.client_class(**{"api_key": f"ep_test_{next(_numbers)}", **given}))

    def http(self, handler: Callable[[httpx.Request], httpx.Response]) -> Any:
        """Make an HTTP client that a function answers; it is closed when the test ends."""
        library = import_module("httpx2" if self.backend == "httpx2" else "httpx")

        def answer(request: Any) -> Any:
            answered = handler(request)
            if isinstance(answered, library.Response):
                return answered
            content = library.ByteStream(b"".join(answered.stream))  # as it is, though no one may decode it
            return library.Response(answered.status_code, headers=answered.headers.raw, stream=content)

        return self._opened_here(self.http_class()(transport=library.MockTransport(answer)))

    def call(self, do: Callable[[Any], Any], client: Any) -> Any:
        """Give what a call gives, after awaiting it where it has to be awaited."""
        if self.portal is None:
            return do(client)

        async def awaited() -> Any:
            result = do(client)
            return await result if inspect.isawaitable(result) else result

        return self.portal.call(awaited)

    def walk(self, do: Callable[[Any], Any], client: Any, most: int = 1_000_000, then: Any = None) -> list[Any]:
        """Iterate what a call gives, at most so far, telling `then` of each item; give the items."""
        taken: list[Any] = []
        if self.portal is None:
            for item in itertools.islice(do(client), most):
                taken.append(item)
                if then:
                    then(item)
            return taken

        async def walked() -> None:
            async for item in do(client):
                taken.append(item)
                if then:
                    then(item)
                if len(taken) == most:
                    break

        self.portal.call(walked)
        return taken

    def close(self, it: Any) -> None:
        """Close a client of either kind, ours or httpx's."""
        if self.portal is None:
            it.close()
        else:
            self.portal.call(it.aclose)

    def use(self, client: Any, do: Callable[[Any], Any]) -> Any:
        """Call inside a `with` or `async with` block."""
        if self.portal is None:
            with client as entered:
                return do(entered)

        async def used() -> Any:
            async with client as entered:
                return await do(entered)

        return self.portal.call(used)

    def close_all(self) -> None:
        """Close what was made, the last first: a client before what it sends through."""
        for it in reversed(self._opened):
            self.close(it)


class Api(Driver):
    """A client whose requests are answered by a script."""

    def __init__(self, portal: BlockingPortal | None, backend: str = "httpx") -> None:
        super().__init__(portal, backend)
        self.waits: list[float] = []
        """What the client slept, without any time passing."""
        self.requests: list[httpx.Request] = []
        self._script: Iterator[Any] = iter(())
        self.server = ScriptServer(self._answer) if backend == "aiohttp" else None
        self.http_client = "aiohttp" if self.server else self.http(self._answer)
        self.client = self.scripted()

    def scripted(self, **options: Any) -> Any:
        """Make a client on the script; unpaced, for the script tells of budgets that no clock here agrees with."""
        return self.make(**{"base_url": BASE_URL, "limiter": None, "http_client": self.http_client, **options})

    def answers(self, *script: Any) -> None:
        """Say what the next requests get: responses, exceptions, or functions of the request; all are to be used."""
        self.requests.clear()
        self.waits.clear()
        self._script = iter(script)

    def always(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        """Let a function answer every request from now on."""
        self.answers()
        self._script = itertools.repeat(answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        try:
            answer = next(self._script)
        except StopIteration:
            raise AssertionError(f"the script has no answer to {request.method} {request.url}") from None
        if isinstance(answer, Exception):
            raise (
                getattr(import_module(self.backend), type(answer).__name__)(*answer.args)
                if (self.backend == "httpx2" and type(answer).__module__ == "httpx")
                else answer
            )
        if callable(answer):
            return answer(request)
        # A copy: a response keeps what was done to it, and parameters of a test are the same object for each driver.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def run(self, do: Callable[[Any], Any], client: Any = None) -> Any:
        """Call on the scripted client."""
        return self.call(do, client or self.client)

    def items(self, do: Callable[[Any], Any], **how: Any) -> list[Any]:
        """Iterate on the scripted client."""
        return self.walk(do, self.client, **how)

    def close_all(self) -> None:
        """Close what was made."""
        super().close_all()
        if self.server:
            self.server.close()

    @property
    def sent(self) -> int:
        """How many requests were made."""
        return len(self.requests)


FLAVOURS = ("sync", "asyncio", "trio", "sync-httpx2", "asyncio-httpx2", "trio-httpx2", "asyncio-aiohttp")


@pytest.fixture(
    scope="session",
    params=[flavour if "-" not in flavour else pytest.param(flavour, marks=pytest.mark.slow) for flavour in FLAVOURS],
)
def flavour(request: pytest.FixtureRequest) -> str:
    """Tell which kind of client a test is of, and what sends its requests where that is not httpx."""
    return request.param


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what there is no sense in: respx answers for httpx, not for other libraries."""
    strange = [
        item
        for item in items
        if item.get_closest_marker("uses_respx") and "-" in getattr(item, "callspec", None).params.get("flavour", "")
    ]
    if strange:
        config.hook.pytest_deselected(items=strange)
        items[:] = [item for item in items if item not in strange]


@pytest.fixture(scope="session")
def portal(flavour: str) -> Iterator[BlockingPortal | None]:
    """Run an event loop beside the tests; none for the blocking client."""
    loop, _, _ = flavour.partition("-")
    if loop == "sync":
        yield None
        return
    with start_blocking_portal(backend=loop) as portal:
        yield portal


@pytest.fixture(scope="session")
def backend(flavour: str) -> str:
    """Tell what sends the requests."""
    return flavour.partition("-")[2] or "httpx"


@pytest.fixture
def driver(portal: BlockingPortal | None, backend: str) -> Iterator[Driver]:
    """Drive clients of one kind."""
    driver = Driver(portal, backend)
    yield driver
    driver.close_all()


@pytest.fixture
def api(portal: BlockingPortal | None, backend: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Give a client whose requests are answered by a script, and whose waits are only recorded."""
    api = Api(portal, backend)

    async def sleep(seconds: float) -> None:
        api.waits.append(seconds)

    if api.server:
        monkeypatch.setattr(AiohttpSender, "send", api.server.send(AiohttpSender.send))
    monkeypatch.setattr("enprompta._http.drivers.sleep", sleep)
    if portal is None:  # patched in the time module itself, so not while an event loop's thread may need it
        monkeypatch.setattr("enprompta._http.drivers.time.sleep", api.waits.append)
    yield api
    api.close_all()


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Serve the API on this machine, without limits; tests keep apart by what they create."""
    from enprompta.emulator import Emulator

    with Emulator(rate_limits=False) as emulator:
        yield emulator
