"""A fake service that records requests, and one runner for threads, asyncio and trio."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from enprompta import AsyncEnprompta, Enprompta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

_numbers = itertools.count(1)


class Service(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Executes any prompt, charges each idempotency key once, and answers as a test configures it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[httpx.Request] = []
        self.charged: dict[str, str] = {}
        """The executed rows, by idempotency key."""
        self.answer: Callable[[str], httpx.Response | Exception | None] = lambda _: None
        """Returns the answer to the row `n`; None executes the row."""
        self.open = threading.Event()
        """While cleared, every answer waits."""
        self.open.set()
        self.at_once = self.most = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Handle a request of the blocking client."""
        self._begin(request)
        self.open.wait()
        return self._end(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Handle a request of the async client."""
        self._begin(request)
        try:
            await anyio.lowlevel.checkpoint()
            if not self.open.is_set():
                await anyio.to_thread.run_sync(self.open.wait, abandon_on_cancel=True)
        except BaseException:
            self.at_once -= 1
            raise
        return self._end(request)

    def _begin(self, request: httpx.Request) -> None:
        with self.lock:
            self.requests.append(request)
            self.at_once += 1
            self.most = max(self.most, self.at_once)

    def _end(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.at_once -= 1
            variables = json.loads(request.content)["variables"]
            n = str(variables.get("n"))
            answer = self.answer(n)
            if isinstance(answer, Exception):
                raise answer
            if answer is None or answer.status_code < 300:
                self.charged[request.headers["idempotency-key"]] = n
            return answer or executed(n)


def executed(n: str, **fields: object) -> httpx.Response:
    """Make the response of an executed row."""
    data = {
        "id": f"exe_{n}",
        "status": "completed",
        "output": f"did {n}",
        "tokens": 2,
        "cost": 0.5,
        "variables": {"n": n},
    }
    return httpx.Response(201, json={"success": True, "data": {**data, **fields}})


def refused(status: int, **headers: str) -> httpx.Response:
    """Make an error response."""
    return httpx.Response(status, json={"error": {"code": "NO", "message": "no"}}, headers=headers)


class Runner:
    """Runs rows in the blocking client, or in the async one on an event loop."""

    def __init__(self, portal: BlockingPortal | None, service: Service) -> None:
        self.portal = portal
        self.service = service
        self._opened: list[Any] = []
        self.client = self.make()

    def make(self, **options: Any) -> Any:
        """Make a client of the service, unpaced by default."""
        http: Any = httpx.AsyncClient(transport=self.service) if self.portal else httpx.Client(transport=self.service)
        kind: Any = AsyncEnprompta if self.portal else Enprompta
        given = {"limiter": None, "max_retries": 0, "http_client": http, "base_url": "https://api.test/api/v1"}
        client = kind(api_key=f"ep_batch_{next(_numbers)}", **{**given, **options})
        self._opened += [client, http]
        return client

    def many(self, rows: Any, **options: Any) -> Any:
        """Make a run of the prompt `p`."""
        return options.pop("client", self.client).prompts.execute_many("p", rows, **options)

    def walk(self, run: Any, most: int = 1_000_000, then: Callable[[Any], object] = lambda _: None) -> list[Any]:
        """Iterate a run up to `most` results, and call `then` with each."""
        taken: list[Any] = []
        if self.portal is None:
            with run:
                for result in itertools.islice(run, most):
                    taken.append(result)
                    then(result)
            return taken

        async def walked() -> None:
            async with run:
                async for result in run:
                    taken.append(result)
                    then(result)
                    if len(taken) == most:
                        break

        self.portal.call(walked)
        return taken

    def all(self, rows: Any, **options: Any) -> list[Any]:
        """Return the results of rows, in the order of the rows."""
        return sorted(self.walk(self.many(rows, **options)), key=lambda result: result.index)

    def close(self) -> None:
        """Close what was made."""
        self.service.open.set()
        for it in self._opened:
            if self.portal is None:
                it.close()
            else:
                self.portal.call(it.aclose)


def numbered(count: int) -> list[dict[str, str]]:
    """Make rows."""
    return [{"n": str(i)} for i in range(count)]


@pytest.fixture(scope="session", params=["threads", "asyncio", "trio"])
def portal(request: pytest.FixtureRequest) -> Iterator[BlockingPortal | None]:
    """Run an event loop beside the tests; None for threads."""
    if request.param == "threads":
        yield None
        return
    with start_blocking_portal(backend=request.param) as portal:
        yield portal


@pytest.fixture
def service() -> Iterator[Service]:
    """Provide a service that executes everything."""
    service = Service()
    yield service
    service.open.set()  # so that threads of cancelled tasks end


@pytest.fixture
def runner(portal: BlockingPortal | None, service: Service) -> Iterator[Runner]:
    """Run rows in one of the three ways."""
    runner = Runner(portal, service)
    yield runner
    runner.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Check after every test that no worker thread is left."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name == "enprompta-batch"]
    assert left == []
