"""One async client serves any number of event loops, sequentially and concurrently, and leaves no socket behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import trio

from enprompta import APIConnectionError, AsyncEnprompta, ConfigurationError
from tests.faults.server import FaultServer, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

RUNS: Any = pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])


@pytest.fixture
def client(server: FaultServer) -> Iterator[AsyncEnprompta]:
    """An async client created outside any event loop, and closed in a separate one."""
    client = AsyncEnprompta(api_key="ep_test_loops", base_url=server.base_url, limiter=None, max_retries=0)
    yield client
    asyncio.run(client.aclose())


async def until(done: Callable[[], bool]) -> None:
    """Wait for threads of the server."""
    with anyio.fail_after(10):
        while not done():  # noqa: ASYNC110 (a thread could not set the event of a loop it knows nothing of)
            await anyio.sleep(0.01)


def once(client: AsyncEnprompta) -> Callable[[], Coroutine[Any, Any, None]]:
    """Make two concurrent calls, and one more on a reused connection."""

    async def calls() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.prompts.get, "p1")
            group.start_soon(client.prompts.get, "p2")
        assert (await client.prompts.get("p3")).id == "p1"

    return calls


def test_one_run_after_another(server: FaultServer, client: AsyncEnprompta) -> None:
    """Each run has its own connections, which are closed when it ends."""
    for run in (asyncio.run, asyncio.run, trio.run, asyncio.run, trio.run, trio.run):
        run(once(client)()) if run is asyncio.run else run(once(client))
        server.wait_for_connections(0)
        assert client._transport._locals == {}
        assert client._transport._current is None
    assert len(server.received) == 18
    assert not client.is_closed


def test_a_run_that_fails_leaves_no_connection(server: FaultServer, client: AsyncEnprompta) -> None:
    """An exception that ends an event loop ends its connections too."""

    async def fails() -> None:
        await client.prompts.get("p1")
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(fails())
    server.wait_for_connections(0)
    with pytest.raises(LookupError):
        trio.run(fails)
    server.wait_for_connections(0)


@pytest.mark.parametrize("kinds", [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "trio")])
def test_two_loops_at_once(server: FaultServer, client: AsyncEnprompta, kinds: tuple[str, str]) -> None:
    """Two threads with a loop each use the same client: no call runs in the other's loop."""
    failures: list[BaseException] = []
    meet = threading.Barrier(2, timeout=10)

    async def calls() -> None:
        for _ in range(20):
            await anyio.to_thread.run_sync(meet.wait)
            await once(client)()

    def thread(kind: str) -> None:
        try:
            anyio.run(calls, backend=kind)
        except BaseException as error:  # noqa: BLE001 (checked by the test)
            failures.append(error)
            meet.abort()

    threads = [threading.Thread(target=thread, args=(kind,)) for kind in kinds]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert failures == []
    assert len(server.received) == 2 * 20 * 3
    server.wait_for_connections(0)
    assert client._transport._locals == {}


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_closing_in_one_loop_closes_in_all(server: FaultServer, kind: str) -> None:
    """Connections of another loop are closed by that loop, which continues; it can make no more calls."""
    client = AsyncEnprompta(api_key="ep_test_loops", base_url=server.base_url, limiter=None, max_retries=0)
    ready, closed = threading.Event(), threading.Event()
    outcomes: list[object] = []

    async def other() -> None:
        await client.prompts.get("p1")
        ready.set()
        await anyio.to_thread.run_sync(closed.wait, 10)
        await until(lambda: not server.open_connections)
        try:
            await client.prompts.get("p1")
        except ConfigurationError as error:
            outcomes.append(error)

    thread = threading.Thread(target=lambda: anyio.run(other, backend=kind))
    thread.start()
    assert ready.wait(10)

    async def close() -> None:
        await client.prompts.get("p2")
        await client.aclose()
        await client.aclose()

    asyncio.run(close())
    closed.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(outcomes) == 1
    server.wait_for_connections(0)


def test_closing_after_the_other_loop_has_ended(server: FaultServer) -> None:
    """There is nothing left to close, without an error."""
    client = AsyncEnprompta(api_key="ep_test_loops", base_url=server.base_url, limiter=None)
    trio.run(once(client))
    asyncio.run(once(client)())

    async def close() -> None:
        await client.aclose()

    trio.run(close)
    assert client.is_closed


def test_a_loop_that_is_closed_by_hand(server: FaultServer, client: AsyncEnprompta) -> None:
    """A loop that ends without `asyncio.run` leaves its connections to asyncio's warnings; the client still works."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(once(client)())
    loop.close()
    assert len(client._transport._locals) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # "unclosed transport", by asyncio
        asyncio.run(once(client)())
        assert client._transport._locals == {}
        del loop
        gc.collect()
    server.wait_for_connections(0)


def test_closing_after_a_loop_was_closed_by_hand(server: FaultServer) -> None:
    """Connections left open by a loop that ended do not affect closing the client."""
    client = AsyncEnprompta(api_key="ep_test_loops", base_url=server.base_url, limiter=None)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(once(client)())
    loop.close()
    asyncio.run(client.aclose())
    assert client.is_closed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # "unclosed transport", by asyncio
        del client, loop
        gc.collect()
    server.wait_for_connections(0)


@RUNS
def test_a_listing_that_is_left_early(run: Any, server: FaultServer, client: AsyncEnprompta) -> None:
    """An iteration left by `break` does not keep a loop from ending."""

    async def leave() -> None:
        async for _ in client.prompts.list():
            break

    body = b'{"data": [{"id": "p1", "title": "a", "content": ""}, {"id": "p2", "title": "b", "content": ""}]}'
    server.play(then=lambda peer: (peer.read(), peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body), body)))[0])  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # trio minds any async iteration that is left
        run(leave() if run is asyncio.run else leave)
    server.wait_for_connections(0)


@RUNS
def test_sending_that_breaks_off(run: Any, server: FaultServer, client: AsyncEnprompta) -> None:
    """A partly sent body leaves nothing that trio would complain about."""
    server.play(then=Peer.reset)

    async def calls() -> None:
        for _ in range(20):
            with pytest.raises(APIConnectionError):
                await client.prompts.create(title="Long", content="x" * 1_000_000)
        gc.collect()

    run(calls() if run is asyncio.run else calls)
    gc.collect()


@RUNS
def test_the_callers_http_client_is_used_as_it_is(run: Any, server: FaultServer) -> None:
    """The creator of the `httpx.AsyncClient` manages its loop: the client uses it as it is and leaves it open."""

    async def calls() -> None:
        async with httpx.AsyncClient() as http:
            async with AsyncEnprompta(
                api_key="ep_test_loops", base_url=server.base_url, limiter=None, http_client=http
            ) as client:
                await once(client)()
            assert not http.is_closed
            assert not client.is_closed
        assert client.is_closed

    run(calls() if run is asyncio.run else calls)


@RUNS
def test_calls_in_flight_when_the_client_is_closed(run: Any, server: FaultServer) -> None:
    """Tasks that wait for a response get an error of this package at once; none hangs."""
    server.play(then=Peer.stall)
    outcomes: list[BaseException] = []

    async def scenario() -> None:
        client = AsyncEnprompta(api_key="ep_test_loops", base_url=server.base_url, limiter=None)

        async def call() -> None:
            try:
                await client.prompts.get("p1")
            except (APIConnectionError, ConfigurationError) as error:
                outcomes.append(error)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(call)
                await until(lambda: server.attempts == 5)
                await client.aclose()

    run(scenario() if run is asyncio.run else scenario)
    assert len(outcomes) == 5
    server.wait_for_connections(0)


@RUNS
def test_a_connection_that_opens_while_the_client_is_closed(
    run: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was connecting ends, and its connection is closed."""
    from httpcore import AnyIOBackend, TrioBackend

    connecting = threading.Event()
    backend = AnyIOBackend if run is asyncio.run else TrioBackend
    connect_tcp = backend.connect_tcp

    async def slowly(self: Any, *args: Any, **kwargs: Any) -> Any:
        stream = await connect_tcp(self, *args, **kwargs)
        connecting.set()
        await anyio.sleep(0.1)
        return stream

    monkeypatch.setattr(backend, "connect_tcp", slowly)
    monkeypatch.setattr("httpcore._backends.auto.AutoBackend._init_backend", _with(backend))

    async def scenario() -> None:
        client = AsyncEnprompta(api_key="ep_test_loops", base_url=server.base_url, limiter=None, max_retries=0)

        async def call() -> None:
            assert (await client.prompts.get("p1")).id == "p1"

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(connecting.is_set)
            await client.aclose()

    run(scenario() if run is asyncio.run else scenario)
    server.wait_for_connections(0)
    gc.collect()


def _with(backend: Any) -> Any:
    async def init(self: Any) -> None:
        self._backend = backend()

    return init
