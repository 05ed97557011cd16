"""Drive the blocking client and the async client on asyncio and trio in one way, so that each test is written once.

Each test runs over httpx, over the caller's httpx2 client, and over aiohttp.
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
    """Uses a client as a program would: call, await, iterate, close.

    Args:
        portal: The event loop of async clients; None for blocking clients.
        backend: The HTTP library that sends the requests: `httpx`, `httpx2` or `aiohttp`.
    """

    def __init__(self, portal: BlockingPortal | None, backend: str = "httpx") -> None:
        self.portal = portal
        self.backend = backend
        self.is_async = portal is not None
        self.client_class: Any = AsyncEnprompta if portal else Enprompta
        self._opened: list[Any] = []

    @property
    def defaults(self) -> dict[str, Any]:
        """The arguments, besides the key, of a client on this backend."""
        if self.backend == "aiohttp":
            return {"http_client": "aiohttp"}
        return {} if self.backend == "httpx" else {"http_client": self._opened_here(self.http_class()())}

    def http_class(self) -> Any:
        """Return the backend's HTTP client class for this kind of client."""
        library = import_module("httpx" if self.backend == "aiohttp" else self.backend)
        return library.AsyncClient if self.is_async else library.Client

    def _opened_here(self, it: Any) -> Any:
        self._opened.append(it)
        return it

    def make(self, **options: Any) -> Any:
        """Create a client that is closed when the test ends; each has a separate key and request budget."""
        given = options if "http_client" in options else {**self.defaults, **options}
        return self._opened_here(self.client_class(**{"api_key": f"ep_test_{next(_numbers)}", **given}))

    def http(self, handler: Callable[[httpx.Request], httpx.Response]) -> Any:
        """Create an HTTP client that a function answers; it is closed when the test ends."""
        library = import_module("httpx2" if self.backend == "httpx2" else "httpx")

        def answer(request: Any) -> Any:
            answered = handler(request)
            if isinstance(answered, library.Response):
                return answered
            content = library.ByteStream(b"".join(answered.stream))  # unchanged, because it may not be decodable
            return library.Response(answered.status_code, headers=answered.headers.raw, stream=content)

        return self._opened_here(self.http_class()(transport=library.MockTransport(answer)))

    def call(self, do: Callable[[Any], Any], client: Any) -> Any:
        """Return the result of a call, awaited if necessary."""
        if self.portal is None:
            return do(client)

        async def awaited() -> Any:
            result = do(client)
            return await result if inspect.isawaitable(result) else result

        return self.portal.call(awaited)

    def walk(self, do: Callable[[Any], Any], client: Any, most: int = 1_000_000, then: Any = None) -> list[Any]:
        """Iterate the result of a call up to a limit, and pass each item to `then`; return the items."""
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
        """Close a client, an HTTP client or one of this package."""
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
        """Close everything in reverse order: a client before its HTTP client."""
        for it in reversed(self._opened):
            self.close(it)


class Api(Driver):
    """A client whose requests are answered by a script."""

    def __init__(self, portal: BlockingPortal | None, backend: str = "httpx") -> None:
        super().__init__(portal, backend)
        self.waits: list[float] = []
        """The sleeps that the client requested; no time passes."""
        self.requests: list[httpx.Request] = []
        self._script: Iterator[Any] = iter(())
        self.server = ScriptServer(self._answer) if backend == "aiohttp" else None
        self.http_client = "aiohttp" if self.server else self.http(self._answer)
        self.client = self.scripted()

    def scripted(self, **options: Any) -> Any:
        """Create a client on the script; without a limiter, because the script's rate limit headers match no clock."""
        return self.make(**{"base_url": BASE_URL, "limiter": None, "http_client": self.http_client, **options})

    def answers(self, *script: Any) -> None:
        """Set the next answers: responses, exceptions, or functions of the request; all must be used."""
        self.requests.clear()
        self.waits.clear()
        self._script = iter(script)

    def always(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        """Let a function answer all further requests."""
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
        # A copy: a response is changed by use, and the drivers share the parameters of a test.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def run(self, do: Callable[[Any], Any], client: Any = None) -> Any:
        """Make a call on the scripted client."""
        return self.call(do, client or self.client)

    def items(self, do: Callable[[Any], Any], **how: Any) -> list[Any]:
        """Iterate on the scripted client."""
        return self.walk(do, self.client, **how)

    def close_all(self) -> None:
        """Close all clients."""
        super().close_all()
        if self.server:
            self.server.close()

    @property
    def sent(self) -> int:
        """The number of requests."""
        return len(self.requests)


FLAVOURS = ("sync", "asyncio", "trio", "sync-httpx2", "asyncio-httpx2", "trio-httpx2", "asyncio-aiohttp")


@pytest.fixture(
    scope="session",
    params=[flavour if "-" not in flavour else pytest.param(flavour, marks=pytest.mark.slow) for flavour in FLAVOURS],
)
def flavour(request: pytest.FixtureRequest) -> str:
    """Return the kind of client of a test, and its backend unless that is httpx."""
    return request.param


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out combinations that make no sense: respx only patches httpx."""
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
    """Run an event loop for the async clients; None for the blocking client."""
    loop, _, _ = flavour.partition("-")
    if loop == "sync":
        yield None
        return
    with start_blocking_portal(backend=loop) as portal:
        yield portal


@pytest.fixture(scope="session")
def backend(flavour: str) -> str:
    """Return the backend."""
    return flavour.partition("-")[2] or "httpx"


@pytest.fixture
def driver(portal: BlockingPortal | None, backend: str) -> Iterator[Driver]:
    """Provide a driver for one kind of client."""
    driver = Driver(portal, backend)
    yield driver
    driver.close_all()


@pytest.fixture
def api(portal: BlockingPortal | None, backend: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Provide a client whose requests are answered by a script, and whose sleeps are only recorded."""
    api = Api(portal, backend)

    async def sleep(seconds: float) -> None:
        api.waits.append(seconds)

    if api.server:
        monkeypatch.setattr(AiohttpSender, "send", api.server.send(AiohttpSender.send))
    monkeypatch.setattr("enprompta._http.drivers.sleep", sleep)
    if portal is None:  # patched in the time module, so not while the thread of an event loop may need it
        monkeypatch.setattr("enprompta._http.drivers.time.sleep", api.waits.append)
    yield api
    api.close_all()


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Serve the API on this machine, without rate limits; tests stay separate by the objects that they create."""
    from enprompta.emulator import Emulator

    with Emulator(rate_limits=False) as emulator:
        yield emulator
