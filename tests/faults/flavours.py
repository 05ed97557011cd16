"""Run one scenario in three ways: with the blocking client, and with the async client on asyncio and on trio.

A scenario is an `async def` that uses a client through a `Caller`. Run with the blocking client it never suspends.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import trio

from enprompta import AsyncEnprompta, Enprompta, EnpromptaError
from tests.faults.server import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    import pytest
    from typing_extensions import Self

FLAVOURS = ("sync", "asyncio", "trio")
METHODS = ("GET", "POST", "PUT", "DELETE")
_numbers = itertools.count(1)


def run(flavour: str, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario to completion, and fail if an event loop reported a problem."""
    if flavour == "sync":
        coroutine = scenario()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("a scenario with the blocking client must not suspend")
    if flavour == "trio":
        trio.run(scenario)
        return
    complaints: list[dict[str, Any]] = []

    async def listened_to() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await scenario()

    asyncio.run(listened_to())
    assert not complaints


def together(flavour: str, scenarios: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run scenarios concurrently: in threads, or in tasks of one event loop."""
    if flavour == "sync":
        with ThreadPoolExecutor(200) as threads:
            for done in [threads.submit(run, flavour, scenario) for scenario in scenarios]:
                done.result()
        return

    async def all_of_them() -> None:
        if flavour == "asyncio":
            await asyncio.gather(*(scenario() for scenario in scenarios))
            return
        async with trio.open_nursery() as nursery:
            for scenario in scenarios:
                nursery.start_soon(scenario)

    run(flavour, all_of_them)


async def settle(result: Any) -> Any:
    """Await the value if it is awaitable."""
    return await result if inspect.isawaitable(result) else result


async def until(flavour: str, condition: Callable[[], object]) -> None:
    """Wait for a condition that another thread or task fulfills."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "it never came about"
        if flavour == "sync":
            threading.Event().wait(0.002)
        else:
            import anyio

            await anyio.sleep(0.002)


class Caller:
    """A client of either kind with one interface; it has no limiter unless one is given."""

    def __init__(self, flavour: str, **options: Any) -> None:
        self.is_async = flavour != "sync"
        made: Any = AsyncEnprompta if self.is_async else Enprompta
        credentials = {} if "client_id" in options else {"api_key": f"ep_test_fault_{next(_numbers)}"}
        self.client = made(**{**credentials, "limiter": None, **options})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await settle(self.client.aclose() if self.is_async else self.client.close())

    async def call(self, method: str, client: Any = None, **options: Any) -> Any:
        """Call with a method, and return the `APIResponse`."""
        prompts = (client or self.client).with_raw_response.prompts
        if method == "GET":
            return await settle(prompts.get("p1", **options))
        if method == "POST":
            return await settle(prompts.create(title="Greeting", content="Hello {{name}}", **options))
        if method == "PUT":
            return await settle(prompts.update("p1", title="Greeting", **options))
        return await settle(prompts.delete("p1", **options))

    async def outcome(self, method: str, client: Any = None, **options: Any) -> Any:
        """Make a call, and return the response or the error; foreign exceptions are raised."""
        try:
            return await self.call(method, client, **options)
        except EnpromptaError as error:
            return error


class Waits(list[float]):
    """The sleeps of clients between attempts; no time passes.

    `then` maps a number of waits to what happens in that one.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.then: dict[int, Callable[[], object]] = {}

        async def sleep(seconds: float) -> None:
            self._sleep(seconds)

        import enprompta._http.drivers as home

        patch.setattr(home, "sleep", sleep)
        patch.setattr(home, "time", SimpleNamespace(monotonic=home.time.monotonic, sleep=self._sleep))

    def _sleep(self, seconds: float) -> None:
        self.append(seconds)
        self.then.get(len(self), lambda: None)()


def descriptors() -> list[str]:
    """List the open file descriptors of this process; empty on systems without `/proc`."""
    found: list[str] = []
    home = Path("/proc/self/fd")
    for entry in home.iterdir() if home.exists() else ():
        with suppress(OSError):  # the one that lists them
            found.append(str(entry.readlink()))
    return sorted(found)
