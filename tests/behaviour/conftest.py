"""One way to drive the blocking client and the async one on asyncio and on trio, so that each claim is written once."""

from __future__ import annotations

import inspect
import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from enprompta import AsyncEnprompta, Enprompta

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
    """

    def __init__(self, portal: BlockingPortal | None) -> None:
        self.portal = portal
        self.is_async = portal is not None
        self.client_class: Any = AsyncEnprompta if portal else Enprompta
        self.http_class: Any = httpx.AsyncClient if portal else httpx.Client
        self._opened: list[Any] = []

    def make(self, **options: Any) -> Any:
        """Make a client that is closed when the test ends; each has a key, and so a request budget, of its own."""
        client = self.client_class(**{"api_key": f"ep_test_{next(_numbers)}", **options})
        self._opened.append(client)
        return client

    def http(self, handler: Callable[[httpx.Request], httpx.Response]) -> Any:
        """Make an HTTP client that a function answers; it is closed when the test ends."""
        http = self.http_class(transport=httpx.MockTransport(handler))
        self._opened.append(http)
        return http

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
        """Close what was made."""
        for it in self._opened:
            self.close(it)


class Api(Driver):
    """A client whose requests are answered by a script."""

    def __init__(self, portal: BlockingPortal | None) -> None:
        super().__init__(portal)
        self.waits: list[float] = []
        """What the client slept, without any time passing."""
        self.requests: list[httpx.Request] = []
        self._script: Iterator[Any] = iter(())
        self.http_client = self.http(self._answer)
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
            raise answer
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

    @property
    def sent(self) -> int:
        """How many requests were made."""
        return len(self.requests)


@pytest.fixture(scope="session", params=["sync", "asyncio", "trio"])
def portal(request: pytest.FixtureRequest) -> Iterator[BlockingPortal | None]:
    """Run an event loop beside the tests; none for the blocking client."""
    if request.param == "sync":
        yield None
        return
    with start_blocking_portal(backend=request.param) as portal:
        yield portal


@pytest.fixture
def driver(portal: BlockingPortal | None) -> Iterator[Driver]:
    """Drive clients of one kind."""
    driver = Driver(portal)
    yield driver
    driver.close_all()


@pytest.fixture
def api(portal: BlockingPortal | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Give a client whose requests are answered by a script, and whose waits are only recorded."""
    api = Api(portal)

    async def sleep(seconds: float) -> None:
        api.waits.append(seconds)

    monkeypatch.setattr("enprompta._http.transport.sleep", sleep)
    if portal is None:  # patched in the time module itself, so not while an event loop's thread may need it
        monkeypatch.setattr("enprompta._http.transport.time.sleep", api.waits.append)
    yield api
    api.close_all()


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Serve the API on this machine, without limits; tests keep apart by what they create."""
    from enprompta.emulator import Emulator

    with Emulator(rate_limits=False) as emulator:
        yield emulator
