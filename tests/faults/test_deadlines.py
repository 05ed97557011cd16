"""A deadline bounds a whole call: whatever is slow, it ends in time, and its error says where the time went.

These take the time that they are about. `ENPROMPTA_LONG_TESTS=1` runs the long form: a deadline of a whole second, and
bytes that come every 0.2 s.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from contextlib import ExitStack
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import APIConnectionError, APITimeoutError, AsyncEnprompta, Enprompta
from enprompta._core.call import Call
from enprompta.limiters import LocalLimiter
from enprompta.models.prompts import Prompt
from tests.faults.flavours import FLAVOURS, METHODS, Caller, Waits, descriptors, run, settle, together, until
from tests.faults.server import ERROR, PROMPT, Fault, FaultServer, FullBacklog, Gone, Peer, answer, at_connect, fine

if TYPE_CHECKING:
    from collections.abc import Iterator

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
DEADLINE = 1.0 if LONG else 0.4  # seconds
EVERY = DEADLINE / 5
SLACK = 0.25 if LONG else 1.0  # the short form runs on busy machines, and a call that is not bounded takes for ever
WHERE = re.compile(
    r": the deadline(?: of (?P<total>[\d.]+) s)? (?P<why>has passed|leaves no time to wait [\d.]+ s): "
    r"(?:(?P<token>[\d.]+) s waited for an access token, )?(?P<budget>[\d.]+) s waited for the request budget, "
    r"(?P<slept>[\d.]+) s slept between attempts, (?P<wire>[\d.]+) s on the wire in (?P<count>\d+) attempts"
)
WAYS = ("client", "with_options", "call")
measured: list[tuple[str, str, float]] = []


@pytest.fixture(scope="module", autouse=True)
def _figures() -> Iterator[None]:
    """Load what first calls load; print the lateness of each kind in the long form."""
    with FaultServer() as server:

        async def fail_once(flavour: str) -> None:
            server.play(_unavailable)
            async with Caller(flavour, base_url=server.base_url, deadline=30.0) as caller:
                for method in METHODS:
                    await caller.call(method)

        for flavour in FLAVOURS:
            run(flavour, partial(fail_once, flavour))
    yield
    if LONG:
        for flavour, case in sorted({one[:2] for one in measured}):
            latest = max(late for *key, late in measured if tuple(key) == (flavour, case))
            print(f"{flavour:8} {case:32} {latest * 1000:+6.0f} ms")  # noqa: T201 (what the long form is run for)


def _slow_headers(peer: Peer) -> None:
    peer.read()
    peer.drip(answer(200, PROMPT), EVERY)


def _slow_body(peer: Peer) -> None:
    peer.read()
    whole = answer(200, PROMPT)
    peer.send(whole[: -len(PROMPT)])
    peer.drip(PROMPT, EVERY)


def _slow_error(peer: Peer) -> None:
    peer.read()
    whole = answer(500, ERROR)
    peer.send(whole[: -len(ERROR)])
    peer.drip(ERROR, EVERY)


def _early_answers(peer: Peer) -> None:
    peer.read()
    while not peer.server.stopping.wait(EVERY):
        peer.send(answer(102))


def _silent(peer: Peer) -> None:
    peer.read()
    peer.stall()


@at_connect
def _no_handshake(peer: Peer) -> None:
    peer.stall()


def _unavailable(peer: Peer) -> None:
    peer.read()
    peer.send(answer(503, ERROR))


def _later(peer: Peer) -> None:
    peer.read()
    peer.send(answer(429, ERROR, [("Retry-After", "60")]))


def _later_for_all(peer: Peer) -> None:
    peer.read()
    now = time.time()
    headers = [("Date", formatdate(now, usegmt=True)), ("X-RateLimit-Limit", "50"), ("X-RateLimit-Remaining", "0")]
    peer.send(answer(429, ERROR, [*headers, ("X-RateLimit-Reset", str(int(now) + 60)), ("Retry-After", "60")]))


def _window_used_up(peer: Peer) -> None:
    peer.read()
    now = time.time()
    headers = [("Date", formatdate(now, usegmt=True)), ("X-RateLimit-Limit", "50"), ("X-RateLimit-Remaining", "0")]
    peer.send(answer(200, PROMPT, [*headers, ("X-RateLimit-Reset", str(int(now) + 40))]))


CASES: dict[str, tuple[Fault, dict[str, Any]]] = {
    "slow headers": (_slow_headers, {}),
    "slow body": (_slow_body, {}),
    "slow body of an error": (_slow_error, {}),
    "early answers without end": (_early_answers, {}),
    "silence": (_silent, {}),
    "silence in place of a handshake": (_no_handshake, {}),
    "endless 503s": (_unavailable, {"max_retries": 100}),
    "429 of 60 s": (_later, {}),
    "429 of 60 s, paced": (_later_for_all, {"limiter": LocalLimiter()}),
    "a used up window": (_window_used_up, {"limiter": LocalLimiter()}),
    "slow token endpoint": (_slow_headers, {"client_id": "app", "client_secret": "hunter2-hunter2"}),
    "failing token endpoint": (
        _unavailable,
        {"client_id": "app", "client_secret": "hunter2-hunter2", "max_retries": 100},
    ),
}


async def check(flavour: str, case: str, way: str, base_url: str, options: dict[str, Any]) -> None:
    """Make a call with a deadline that it must miss, set in one of three ways."""
    in_client = {"deadline": DEADLINE} if way == "client" else {}
    async with Caller(flavour, base_url=base_url, **options, **in_client) as caller:
        view = caller.client.with_options(deadline=DEADLINE) if way == "with_options" else None
        in_call = {"deadline": DEADLINE} if way == "call" else {}
        if case == "a used up window":
            await caller.call("GET")  # learns that there is no more
        method = METHODS[WAYS.index(way)]
        began = time.monotonic()
        error = await caller.outcome(method, view, **in_call)
        took = time.monotonic() - began
        measured.append((flavour, case, took - DEADLINE))
        assert type(error) is APITimeoutError, error
        assert took <= DEADLINE + SLACK
        told = WHERE.search(str(error))
        assert told, error
        assert told["total"] == f"{DEADLINE:g}" or "POST /oauth/token" in str(error)
        spent = sum(float(told[part] or 0.0) for part in ("token", "budget", "slept", "wire"))
        assert spent <= took + 0.02  # each is rounded
        assert told["why"] != "has passed" or spent > DEADLINE / 2
        if "limiter" in options:
            assert float(told["budget"]) > DEADLINE / 2
            assert [attempt.status_code for attempt in error.attempts] == ([429] if "429" in case else [])
        else:
            assert error.attempts
            assert all(attempt.status_code or attempt.error for attempt in error.attempts)
        if case == "slow token endpoint":
            assert str(error).startswith(f"{method} /prompts")
            assert float(told["token"]) > DEADLINE / 2
        if case == "429 of 60 s":
            assert "leaves no time to wait 60.0 s" in str(error)
            assert took < DEADLINE


@pytest.mark.parametrize("part", range(3))
def test_a_slow_call_ends_in_time(flavour: str, part: int) -> None:
    """Within a quarter of a second of the deadline, with an `APITimeoutError` that shows where the time went."""
    before = descriptors()
    with ExitStack() as stack:
        servers: list[FaultServer] = []
        calls: list[Any] = []
        for case in list(CASES)[part::3]:  # several at a time: each takes as long as it is about
            fault, options = CASES[case]
            server = stack.enter_context(FaultServer())
            server.play(then=fault)
            servers.append(server)
            base_url = server.base_url.replace("http:", "https:") if fault is _no_handshake else server.base_url
            calls += [partial(check, flavour, case, way, base_url, options) for way in WAYS]
        together(flavour, calls)
        for server in servers:
            server.wait_for_connections()
    assert descriptors() == before


def test_a_connection_that_is_not_accepted_ends_in_time(flavour: str) -> None:
    """A host that neither accepts nor refuses is waited for until the deadline only."""
    before = descriptors()
    with FullBacklog() as nobody:
        together(flavour, [partial(check, flavour, "slow connect", way, nobody.base_url, {}) for way in WAYS])
    assert descriptors() == before


def test_all_addresses_of_a_host_share_the_deadline(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three dead addresses take no longer than one."""
    with FullBacklog() as nobody:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", nobody.port))] * 3
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            return found if host in {"localhost", b"localhost"} else real(host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        base_url = nobody.base_url.replace("127.0.0.1", "localhost")
        run(flavour, partial(check, flavour, "slow connect to each address", "client", base_url, {}))


def test_a_name_that_is_looked_up_slowly_ends_in_time(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer is waited for until the deadline only."""
    gone = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        flags = kwargs.get("flags", args[4] if len(args) > 4 else 0)
        if host not in {"api.localhost", b"api.localhost"} or flags & socket.AI_NUMERICHOST:
            return real(host, *args, **kwargs)
        gone.wait(10.0)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def scenario() -> None:
        await check(flavour, "slow look-up", "client", "http://api.localhost:1/api/v1", {})
        gone.set()  # an event loop that ends waits for its resolver

    run(flavour, scenario)


def test_an_unknown_host_name_is_the_error_with_a_deadline_too(flavour: str, waits: Waits) -> None:
    """With a deadline too, the error is the unknown name, not the time."""

    async def scenario() -> None:
        async with Caller(flavour, base_url="https://nonexistent.invalid/api/v1", deadline=20.0) as caller:
            error = await caller.outcome("GET")
            assert type(error) is APIConnectionError
            assert "cannot connect to nonexistent.invalid" in str(error)
            assert len(error.attempts) == 4

    run(flavour, scenario)


def test_the_second_address_of_a_host_serves_when_the_first_does_not(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a deadline, an address that refuses is skipped."""
    # Only the last of them listens at the port of the URL.
    addresses = ["127.0.0.8", "127.0.0.9", "127.0.0.1"]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port)) for address in addresses]
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        return found if host == "localhost" else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Enprompta(api_key="ep_x", limiter=None, base_url=server.base_url.replace("127.0.0.1", "localhost")) as client:
        assert client.prompts.get("p1", deadline=5.0).id == "p1"
        assert server.attempts == 1


def test_a_body_that_is_taken_slowly_ends_in_time(flavour: str, server: FaultServer) -> None:
    """A server that reads a large body slowly does not hold a call beyond its deadline."""

    def sip(peer: Peer) -> None:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        while not peer.server.stopping.wait(0.02) and peer.socket.recv(65_536):
            pass
        raise Gone

    server.play(then=sip)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, deadline=DEADLINE) as caller:
            call = Call("POST", "/prompts", Prompt, json={"content": "x" * 6_000_000})
            began = time.monotonic()
            with pytest.raises(APITimeoutError, match="the deadline of"):
                await settle(caller.client.run(call))
            took = time.monotonic() - began
            measured.append((flavour, "slow upload", took - DEADLINE))
            assert took <= DEADLINE + SLACK

    run(flavour, scenario)


def test_the_wait_for_a_free_connection_ends_in_time(flavour: str, server: FaultServer) -> None:
    """A full pool does not hold a call beyond its deadline; nothing is sent."""
    server.play(_silent)
    limits = httpx.Limits(max_connections=1)
    released = threading.Event()

    async def hold(caller: Caller) -> None:
        await caller.outcome("GET", timeout=DEADLINE * 3, max_retries=0)
        released.set()

    async def wait(caller: Caller) -> None:
        await until(flavour, lambda: server.attempts)
        began = time.monotonic()
        error = await caller.outcome("GET", deadline=DEADLINE)
        took = time.monotonic() - began
        measured.append((flavour, "no free connection", took - DEADLINE))
        assert type(error) is APITimeoutError
        assert took <= DEADLINE + SLACK
        assert not released.is_set()
        assert server.attempts == 1

    if flavour == "sync":
        with httpx.Client(limits=limits) as http:
            caller = Caller(flavour, base_url=server.base_url, http_client=http)
            together(flavour, [partial(hold, caller), partial(wait, caller)])
        return

    async def scenario() -> None:
        import anyio

        async with httpx.AsyncClient(limits=limits) as http:
            caller = Caller(flavour, base_url=server.base_url, http_client=http)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold, caller)
                tasks.start_soon(wait, caller)

    run(flavour, scenario)


def test_a_call_in_time_does_not_notice_its_deadline(flavour: str, server: FaultServer) -> None:
    """A met deadline changes nothing, and the connection is reused without one."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, deadline=5.0) as caller:
            for method in METHODS:
                await caller.call(method)
                await caller.call(method, deadline=None)

    run(flavour, scenario)
    assert (server.attempts, server.connections) == (8, 1)


def test_a_client_serves_on_after_a_missed_deadline(flavour: str, server: FaultServer) -> None:
    """An interrupted connection is not reused, and the next call is answered."""
    server.play(_slow_body, fine, _silent, fine)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            for _ in range(2):
                assert isinstance(await caller.outcome("GET", deadline=0.1), APITimeoutError)
                assert (await caller.call("GET")).data.id == "p1"
        server.wait_for_connections()

    run(flavour, scenario)
    assert server.connections == 3


def test_both_clients_take_a_deadline_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ENPROMPTA_DEADLINE` is the default for every call."""
    monkeypatch.setenv("ENPROMPTA_DEADLINE", "2.5")
    assert Enprompta(api_key="ep_x")._plan.deadline == 2.5
    assert AsyncEnprompta(api_key="ep_x")._plan.deadline == 2.5
