"""A cache driven by hand: a clock that tests set, a scripted service, and refreshes that run on request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import Call
from enprompta._core.runner import Raw
from enprompta._core.steps import WaitForFuture
from enprompta._http.settings import Settings
from enprompta.cache.background_runners import Threads
from enprompta.cache.entries import Request
from enprompta.cache.keys import PromptKey
from enprompta.cache.live_cache import LiveCache
from enprompta.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    EnpromptaError,
    NotFoundError,
)
from enprompta.models import LivePrompt
from tests.cache.wire import prompt
from tests.faults.flavours import FLAVOURS
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from enprompta._core.call import RequestOptions
    from enprompta.cache.snapshots import Disk


def live(content: str = "v1", **fields: Any) -> LivePrompt:
    """Build a prompt as the service returns it."""
    return LivePrompt(**{"id": "p1", "slug": "hi", "label": "production", "content": content, **fields})


def down() -> APIError:
    """Build the error of an unavailable service."""
    return APIConnectionError("GET /api/sdk/prompts/hi: cannot connect")


def status(code: int, cls: type[APIStatusError] = APIStatusError, **fields: Any) -> APIError:
    """Build the error of a service that refuses."""
    return cls(f"GET /api/sdk/prompts/hi returned {code}", status_code=code, **fields)


def missing() -> APIError:
    """Build the error of a service that does not know the prompt."""
    return status(404, NotFoundError)


class Sequence:
    """Scripted answers, one per request; the last one repeats."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def __call__(self, _: object) -> Any:
        """Return the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class ByHand(Threads):
    """Refreshes that wait until a test runs them, or until a caller waits for their result."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Generator[Any, Any, None], Callable[[], None]]] = []

    def spawn(self, client: Any, flow: Generator[Any, Any, None], ended: Callable[[], None]) -> None:
        """Record a refresh."""
        self.waiting.append((flow, ended))


class Service:
    """The service, the client and the event loop of one cache; `answer` defines what the service does."""

    def __init__(self, disk: Disk | None = None, most: int = 1_000) -> None:
        self.now = 1_000.0
        self.chance = 1.0
        self.answer: Callable[[Call[Any]], Any] = lambda _: live()
        self.calls: list[Call[Any]] = []
        self.asked_at: list[float] = []
        self.background = ByHand()
        self.is_hanging = False
        self.settings = Settings()
        self.cache = LiveCache(self.background, disk, most=most, clock=lambda: self.now, chance=lambda: self.chance)

    def settings_for(self, options: RequestOptions) -> Settings:
        """Return the settings of a call, as a client does."""
        return self.settings.override(options)

    def request(self, slug: str = "hi", *, label: str = "production", ttl: float | None = 60.0, **how: Any) -> Request:
        """Describe a caller's request."""
        fallback = how.pop("fallback", None)
        key = PromptKey(slug, label, how.pop("project", None))
        return Request(self, key, _call, ttl, fallback, how)

    def get(self, slug: str = "hi", **how: Any) -> LivePrompt:
        """Run a call to completion."""
        return self.drive(self.cache.get(self.request(slug, **how)))

    def begin(self, slug: str = "hi", **how: Any) -> tuple[Generator[Any, Any, LivePrompt], Any]:
        """Run a call up to its first step."""
        flow = self.cache.get(self.request(slug, **how))
        return flow, next(flow)

    def run_background(self) -> None:
        """Run the waiting refreshes."""
        waiting, self.background.waiting = self.background.waiting, []
        for flow, ended in waiting:
            self.drive(flow)
            ended()

    def drive(self, flow: Generator[Any, Any, Any]) -> Any:
        """Execute the steps of a flow until it ends."""
        try:
            wish = next(flow)
        except StopIteration as stop:
            return stop.value
        return self.drive_on(flow, wish)

    def drive_on(self, flow: Generator[Any, Any, Any], wish: Any) -> Any:
        """Execute the steps of a flow, starting with this one."""
        try:
            while True:
                try:
                    outcome = self.perform(wish)
                except EnpromptaError as error:
                    wish = flow.throw(error)
                else:
                    wish = flow.send(outcome)
        except StopIteration as stop:
            return stop.value

    def perform(self, wish: Any) -> Any:
        """Execute one step."""
        if isinstance(wish, WaitForFuture):
            if not self.is_hanging:
                self.run_background()
            if not wish.gate.done():
                assert wish.ends is not None
                self.now = wish.ends
                raise APITimeoutError("late")
            return None
        assert isinstance(wish, Raw)
        self.calls.append(wish.call)
        self.asked_at.append(self.now)
        answer = self.answer(wish.call)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, LivePrompt):
            return SimpleNamespace(data=answer, headers={"etag": f'"{answer.content}"'})
        return answer

    @property
    def sent(self) -> int:
        """The number of requests."""
        return len(self.calls)


def _call(key: PromptKey, options: RequestOptions) -> Call[LivePrompt]:
    return Call("GET", f"/api/sdk/prompts/{key.slug}", LivePrompt, {"label": key.label}, options=options)


@pytest.fixture
def service() -> Service:
    """Provide a service that is available."""
    return Service()


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Provide each kind of client in turn."""
    return request.param


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve one live prompt."""
    with FaultServer() as server:
        server.play(then=prompt())
        yield server
