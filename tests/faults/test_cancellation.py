"""A call cancelled at any step leaves no connection, no place in the queue and no claim to budget."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from enprompta import APIStatusError
from enprompta.limiters import LocalLimiter
from enprompta.limiters.sleepers import ThreadSleeper
from tests.faults.flavours import Caller, descriptors, run, until
from tests.faults.server import ERROR, Fault, FaultServer, Peer, answer, at_connect, fine

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup  # which trio brings along

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

ASYNC = pytest.mark.parametrize("flavour", ["asyncio", "trio"])
OPTIONS: Any = {"limiter": LocalLimiter()}
TOKEN = b'{"access_token": "token-of-the-test", "expires_in": 3600}'


def _silent(peer: Peer) -> None:
    peer.read()
    peer.stall()


def _half_an_answer(peer: Peer) -> None:
    peer.read()
    peer.send(answer(200, b"{" + bytes(100))[:-50])
    peer.stall()


@at_connect
def _no_handshake(peer: Peer) -> None:
    peer.stall()


def _later(status: int) -> Fault:
    def fault(peer: Peer) -> None:
        peer.read()
        now = time.time()
        budget = [
            ("X-RateLimit-Limit", "50"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", str(int(now) + 30)),
        ]
        peer.send(answer(status, ERROR, [("Retry-After", "30"), ("Date", formatdate(now, usegmt=True)), *budget]))

    return fault


async def cancel_when(flavour: str, condition: Callable[[], object], call: Callable[[], Awaitable[object]]) -> None:
    """Start a call, cancel it when a condition holds, and check that the cancellation is raised unchanged."""
    if flavour == "asyncio":
        task = asyncio.ensure_future(call())
        await until(flavour, condition)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return
    seen: list[BaseException] = []

    async def watched() -> None:
        try:
            await call()
        except BaseException as error:
            seen.append(error)
            raise

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched)
        await until(flavour, condition)
        nursery.cancel_scope.cancel()
    (error,) = seen
    while isinstance(error, BaseExceptionGroup):  # trio wraps it if it has separate tasks, such as to connect
        (error,) = error.exceptions
    assert type(error) is trio.Cancelled


def assert_nobody_waits(account: Any) -> None:
    """The queue is empty, and no request counts as in flight."""
    pacer = account._pacer
    assert len(pacer.queue) == 0
    assert pacer.queue.head is None
    assert pacer.under_way == []


@ASYNC
@pytest.mark.parametrize("deadline", [None, 30.0])
@pytest.mark.parametrize("fault", [_silent, _half_an_answer, _no_handshake], ids=lambda fault: fault.__name__)
def test_on_the_wire(flavour: str, fault: Fault, deadline: float | None, server: FaultServer) -> None:
    """While waiting for a response or a handshake: the connection is closed, and the next call works."""
    server.play(fault)
    before = descriptors()
    base_url = server.base_url.replace("http:", "https:") if fault is _no_handshake else server.base_url

    async def scenario() -> None:
        async with Caller(flavour, base_url=base_url, deadline=deadline, **OPTIONS) as caller:
            await cancel_when(flavour, lambda: server.attempts, lambda: caller.call("POST"))
            assert_nobody_waits(caller.client._account)
            if fault is not _no_handshake:
                assert (await caller.call("GET")).data.id == "p1"
            server.wait_for_connections(at_most=1)

    run(flavour, scenario)
    server.wait_for_connections()
    assert descriptors() == before


@ASYNC
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_sleeping_between_tries(flavour: str, deadline: float | None, server: FaultServer) -> None:
    """While sleeping before a retry: it is never sent."""
    server.play(_later(503))

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, deadline=deadline, **OPTIONS) as caller:
            sleeping: list[float] = []

            import enprompta._http.drivers as home

            real = home.sleep

            async def sleep(seconds: float) -> None:
                sleeping.append(seconds)
                await real(seconds)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(home, "sleep", sleep)
                await cancel_when(flavour, lambda: sleeping, lambda: caller.call("PUT"))
            assert sleeping == [30.0]
            assert_nobody_waits(caller.client._account)

    run(flavour, scenario)
    assert server.attempts == 1


@ASYNC
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_cancelled_after_a_429(flavour: str, deadline: float | None, server: FaultServer) -> None:
    """After a 429, while queued: the place is released."""
    server.play(_later(429))

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, deadline=deadline, **OPTIONS) as caller:
            line = caller.client._account._pacer.queue
            await cancel_when(flavour, lambda: server.attempts and len(line) == 1, lambda: caller.call("PUT"))
            assert_nobody_waits(caller.client._account)

    run(flavour, scenario)
    assert server.attempts == 1


@ASYNC
@pytest.mark.parametrize("deadline", [None, 30.0])
def test_waiting_for_the_budget(flavour: str, deadline: float | None, server: FaultServer) -> None:
    """While other requests hold the budget: the place is released, and the next call moves up."""
    release = threading.Event()

    def first(peer: Peer) -> None:
        peer.read()
        release.wait()
        peer.send(answer(200, b"null"))

    server.play(first)

    async def scenario() -> None:
        import anyio

        async with Caller(flavour, base_url=server.base_url, deadline=deadline, **OPTIONS) as caller:
            line = caller.client._account._pacer.queue
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(caller.outcome, "DELETE")
                await until(flavour, lambda: server.attempts)
                await cancel_when(flavour, lambda: len(line) == 1, lambda: caller.call("POST"))
                assert len(line) == 0
                tasks.start_soon(caller.call, "GET")
                await until(flavour, lambda: len(line) == 1)
                release.set()
            assert_nobody_waits(caller.client._account)

    run(flavour, scenario)
    assert [one.method for one in server.received] == ["DELETE", "GET"]


@ASYNC
@pytest.mark.parametrize("who", ["leader", "follower"])
def test_waiting_for_a_token(flavour: str, who: str, server: FaultServer) -> None:
    """A task that waits for its own or another's token can be cancelled; the others get theirs."""
    release = threading.Event()
    release_first = release if who == "follower" else threading.Event()

    def token(peer: Peer) -> None:
        path = peer.read().path
        if path.endswith("/oauth/token"):
            release_first.wait(5.0) if len(server.received) == 1 else release.wait(5.0)
            peer.send(answer(200, TOKEN))
        else:
            peer.send(answer(200, b"null"))

    server.play(then=token)

    async def scenario() -> None:
        import anyio

        credentials = {"client_id": "app", "client_secret": "hunter2-hunter2"}
        async with Caller(flavour, base_url=server.base_url, **credentials) as caller:
            auth = caller.client._auth
            done: list[str] = []

            async def stay() -> None:
                await caller.call("DELETE")
                done.append("stayed")

            async def leave() -> None:
                await caller.call("DELETE")
                done.append("never")

            async with anyio.create_task_group() as tasks:
                if who == "follower":
                    tasks.start_soon(stay)
                    await until(flavour, lambda: server.attempts)
                    gate = auth._pending
                    await cancel_when(flavour, lambda: gate._done_callbacks, leave)
                    release.set()
                else:
                    begun: list[bool] = []

                    async def follow() -> None:
                        await until(flavour, lambda: server.attempts)
                        begun.append(True)
                        await stay()

                    tasks.start_soon(follow)
                    await cancel_when(flavour, lambda: begun and auth._pending and auth._pending._done_callbacks, leave)
                    release.set()
            assert done == ["stayed"]
            assert auth._pending is None
        release_first.set()

    run(flavour, scenario)
    server.wait_for_connections()
    tokens = [one for one in server.received if one.path.endswith("/oauth/token")]
    assert len(tokens) == (1 if who == "follower" else 2)


@ASYNC
def test_a_time_limit_of_the_caller(flavour: str, server: FaultServer) -> None:
    """A cancel scope or `wait_for` around a call raises the event loop's own timeout, not a timeout of the client."""
    server.play(_silent)

    async def scenario() -> None:
        import anyio

        async with Caller(flavour, base_url=server.base_url, **OPTIONS) as caller:
            with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.1):
                await caller.call("GET")
            assert type(caught.value) is TimeoutError
            if flavour == "asyncio":
                server.play(_silent)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(caller.call("GET"), 0.1)
            assert_nobody_waits(caller.client._account)
            assert (await caller.call("GET")).data.id == "p1"

    run(flavour, scenario)
    server.wait_for_connections()


@ASYNC
def test_a_hundred_cancelled_at_random_steps(flavour: str, server: FaultServer) -> None:
    """A cancellation at any step leaves the client, its connections and its budget unchanged."""
    before = descriptors()

    async def scenario() -> None:
        import anyio

        async with Caller(flavour, base_url=server.base_url, **OPTIONS) as caller:
            for number in range(100):
                with anyio.move_on_after(number * 0.00005):
                    await caller.call("GET")
            assert_nobody_waits(caller.client._account)
            assert (await caller.call("GET")).data.id == "p1"

    run(flavour, scenario)
    server.wait_for_connections()
    assert descriptors() == before


def _interrupt(*_: object, **__: object) -> None:
    signal.raise_signal(signal.SIGINT)


def _interrupting(peer: Peer) -> None:
    peer.read()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    peer.stall()


def test_an_interrupt_on_the_wire(server: FaultServer) -> None:
    """Ctrl-C while waiting for a response is raised unchanged, and the client still works."""
    server.play(_interrupting)
    before = descriptors()
    with Caller("sync", base_url=server.base_url, deadline=30.0, **OPTIONS).client as client:
        with pytest.raises(KeyboardInterrupt):
            client.prompts.get("p1")
        assert_nobody_waits(client._account)
        assert client.prompts.get("p1").id == "p1"
        server.wait_for_connections(at_most=1)
    server.wait_for_connections()
    assert descriptors() == before


def test_an_interrupt_between_tries(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while sleeping before a retry."""
    import enprompta._http.drivers as home

    server.play(_later(503))
    with Caller("sync", base_url=server.base_url, **OPTIONS).client as client:
        with monkeypatch.context() as patch:
            patch.setattr(home, "time", SimpleNamespace(monotonic=home.time.monotonic, sleep=_interrupt))
            with pytest.raises(KeyboardInterrupt):
                client.prompts.get("p1")
        assert_nobody_waits(client._account)
        client.reset_rate_limit()  # the answer said that the next 30 s have no budget
        assert client.prompts.get("p1", max_retries=0).id == "p1"


def test_an_interrupt_while_waiting_for_the_budget(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the queue releases the place."""
    with Caller("sync", base_url=server.base_url, **OPTIONS).client as client:
        account: Any = client._account
        ahead = account.acquire(max_wait=60.0)  # its rate limit headers are still unknown
        with monkeypatch.context() as patch:
            patch.setattr(ThreadSleeper, "sleep", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.prompts.get("p1")
        account.cancel(ahead)
        assert_nobody_waits(account)
        assert client.prompts.get("p1").id == "p1"
    assert server.attempts == 1


def test_an_interrupt_while_fetching_a_token(server: FaultServer) -> None:
    """Ctrl-C during a token request: the next call fetches the token."""

    def token(peer: Peer) -> None:
        peer.read()
        peer.send(answer(200, TOKEN))

    server.play(_interrupting, token, fine)
    credentials = {"client_id": "app", "client_secret": "hunter2-hunter2"}
    with Caller("sync", base_url=server.base_url, **credentials).client as client:
        with pytest.raises(KeyboardInterrupt):
            client.prompts.get("p1")
        assert client._auth._pending is None
        assert client.prompts.get("p1").id == "p1"
    assert server.attempts == 3


def test_a_call_that_fails_gives_its_place_back(flavour: str, server: FaultServer) -> None:
    """An error releases the place like a cancellation."""

    def missing(peer: Peer) -> None:
        peer.read()
        peer.send(answer(404, ERROR))

    server.play(then=missing)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, **OPTIONS) as caller:
            for _ in range(3):
                assert isinstance(await caller.outcome("GET"), APIStatusError)
            assert_nobody_waits(caller.client._account)

    run(flavour, scenario)
