"""Connections and requests of aiohttp: timeouts of large requests, early responses, and its own errors."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import httpx
import pytest

from enprompta import APIConnectionError, APITimeoutError, EnpromptaError
from enprompta._http.senders.aiohttp_sender import Connector, Protocol, _head_of
from tests.faults.flavours import Caller
from tests.faults.server import PROMPT, Fault, FaultServer, Peer, answer, at_connect, fine

LARGE = "x" * 10_000_000  # more than the buffers of a connection hold


def refuse(_: bytes) -> None:
    """Reject received bytes."""
    raise ValueError("no HTTP")


def test_an_error_that_no_signal_handler_raised_is_aiohttps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the parser leaves the connection unchanged."""

    async def scenario() -> None:
        protocol = Protocol(asyncio.get_running_loop())
        monkeypatch.setattr(protocol, "_parse", refuse)
        with pytest.raises(ValueError, match="no HTTP"):
            protocol.data_received(b"x")
        assert protocol.exception() is None

    asyncio.run(scenario())


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_signal_before_the_head_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that waits for the response gets the exception of the handler."""
    error = OSError("stop")

    def handle(*_: object) -> None:
        raise error

    async def scenario() -> None:
        protocol = Protocol(asyncio.get_running_loop())
        monkeypatch.setattr(protocol, "_parse", lambda _: signal.raise_signal(signal.SIGUSR1))
        waiting = asyncio.create_task(protocol.read())
        await asyncio.sleep(0)
        protocol.data_received(b"HTTP/1.1 ")
        with pytest.raises(OSError, match="stop") as caught:
            await waiting
        assert caught.value is error

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        asyncio.run(scenario())
    finally:
        signal.signal(signal.SIGUSR1, before)


def calls(server: FaultServer, *methods: str, **options: Any) -> list[Any]:
    """Make calls, the POST ones with a large body, and return their responses or errors."""
    outcomes: list[Any] = []

    async def scenario() -> None:
        async with Caller(
            "asyncio", http_client="aiohttp", base_url=server.base_url, max_retries=0, **options
        ) as caller:
            for method in methods:
                prompts = caller.client.with_raw_response.prompts
                call = prompts.create(title="Large", content=LARGE) if method == "POST" else prompts.get("p1")
                try:
                    outcomes.append(await call)
                except EnpromptaError as error:
                    outcomes.append(error)

    asyncio.run(scenario())
    return outcomes


class TestLargeRequests:
    def test_the_timeout_begins_after_the_request(self) -> None:
        """A server that begins to read late has the whole timeout for its response."""

        def slow(peer: Peer) -> None:
            time.sleep(0.5)
            peer.read()
            time.sleep(0.5)
            peer.send(answer(200, PROMPT))

        with FaultServer() as server:
            server.play(then=slow)
            assert calls(server, "POST", timeout=0.7)[0].status_code == 200

    def test_the_timeout_ends_the_wait_for_the_response(self) -> None:
        """A server that took a large request and stays silent is abandoned after the timeout."""

        def silent(peer: Peer) -> None:
            peer.read()
            peer.stall()

        with FaultServer() as server:
            server.play(then=silent)
            (error,) = calls(server, "POST", timeout=0.3)
            assert isinstance(error, APITimeoutError)
            assert not error.unsent

    def test_the_timeout_ends_the_sending(self) -> None:
        """A server that reads nothing is abandoned after the timeout."""

        def deaf(peer: Peer) -> None:
            peer.server.stopping.wait(5)

        with FaultServer() as server:
            server.play(deaf)
            began = time.monotonic()
            assert isinstance(calls(server, "POST", timeout=0.4)[0], APITimeoutError)
            assert time.monotonic() - began < 2

    def test_an_early_response_closes_the_connection(self) -> None:
        """A response to a request that is still being sent counts; the connection is not used again."""

        def refuse(peer: Peer) -> None:
            peer.arrived()
            peer.send(answer(413))
            peer.server.stopping.wait(5)

        with FaultServer() as server:
            server.play(refuse)
            refused, found = calls(server, "POST", "GET")
            assert refused.status_code == 413
            assert found.status_code == 200
            assert server.connections == 2


def test_the_timeout_applies_to_each_silence() -> None:
    """It begins again with each part of a response, and with each request; an idle connection has none."""

    def in_parts(peer: Peer) -> None:
        peer.read()
        response = answer(200, PROMPT)
        for part in (response[:9], response[9:30], response[30:60], response[60:]):
            time.sleep(0.25)
            peer.send(part)

    def silent(peer: Peer) -> None:
        peer.read()
        peer.stall()

    async def scenario() -> None:
        options = {"http_client": "aiohttp", "base_url": server.base_url, "max_retries": 0}
        async with Caller("asyncio", **options) as caller:
            assert (await caller.call("GET", timeout=0.6)).data.id == "p1"
            await asyncio.sleep(0.8)
            assert (await caller.call("GET", timeout=9.0)).data.id == "p1"
            began = time.monotonic()
            assert isinstance(await caller.outcome("GET", timeout=0.3), APITimeoutError)
            assert 0.25 < time.monotonic() - began < 2
            assert server.connections == 1

    with FaultServer() as server:
        server.play(in_parts, fine, silent)
        asyncio.run(scenario())


def test_a_reset_does_not_complete_a_body() -> None:
    """A body that ends with the connection is complete only if the connection was closed, not reset."""

    def reset(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + PROMPT)
        time.sleep(0.1)
        peer.reset()

    def close(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + PROMPT)
        peer.close()

    with FaultServer() as server:
        server.play(reset, close)
        failed, found = calls(server, "GET", "GET")
        assert isinstance(failed, APIConnectionError)
        assert found.status_code == 200


@pytest.mark.parametrize(
    ("headers", "is_fine"),
    [
        ([("x-long", "a" * 60_000)], True),
        ([(f"x-{at}", "a") for at in range(150)], True),
        ([("x", "a" * 150_000)], False),
    ],
    ids=["long", "many", "too long"],
)
def test_the_head_of_a_response_has_one_limit(headers: list[tuple[str, str]], *, is_fine: bool) -> None:
    """It may have 100 kB, however many headers these are."""
    with FaultServer() as server:
        server.play(then=lambda peer: (peer.read(), peer.send(answer(200, PROMPT, headers)))[1])
        (outcome,) = calls(server, "GET")
        if is_fine:
            assert outcome.status_code == 200
        else:
            assert isinstance(outcome, APIConnectionError)
            assert "the head of the response is longer than 100 kB" in str(outcome)


@pytest.mark.parametrize("stray", [b"\r\n", b"H", b"HTTP/1.1 "])
def test_a_connection_with_stray_bytes_is_not_used_again(stray: bytes) -> None:
    """Bytes that arrive between two requests belong to no response."""

    def strange(peer: Peer) -> None:
        peer.read()
        peer.send(answer(200, PROMPT))
        time.sleep(0.1)
        peer.send(stray)

    async def scenario() -> None:
        options = {"http_client": "aiohttp", "base_url": server.base_url, "max_retries": 0}
        async with Caller("asyncio", **options) as caller:
            for _ in range(2):
                assert (await caller.call("GET")).data.id == "p1"
                await asyncio.sleep(0.3)
        assert server.connections == 2

    with FaultServer() as server:
        server.play(then=strange)
        asyncio.run(scenario())


def silent_proxy(peer: Peer) -> None:
    """Answer no CONNECT."""
    peer.stall()


def broken_proxy(peer: Peer) -> None:
    """Answer something else than HTTP, which quotes a secret."""
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nX-Echo: \x00ep_secret_secret_secret\r\n\r\n")
    peer.close()


@pytest.mark.parametrize(
    "fault", [silent_proxy, broken_proxy, at_connect(Peer.close)], ids=["silent", "broken", "gone"]
)
def test_a_proxy_that_does_not_answer(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends within the timeout; the error names the proxy, and nothing was sent to the API."""
    with FaultServer() as proxy, FaultServer(tls="trusted") as server:
        proxy.play(then=fault)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        began = time.monotonic()
        (error,) = calls(server, "GET", timeout=0.4)
        assert time.monotonic() - began < 2
        assert isinstance(error, APIConnectionError)
        assert error.unsent
        assert f"the proxy http://127.0.0.1:{proxy.port}" in str(error)
        assert "secret" not in str(error)


def test_a_connection_that_is_lost_before_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server closed it while it was being chosen; the call reports that the connection ended."""
    connect = Connector.connect

    async def lose(*arguments: Any) -> Any:
        connection = await connect(*arguments)
        assert connection.protocol is not None
        connection.protocol.close()
        return connection

    monkeypatch.setattr(Connector, "connect", lose)
    with FaultServer() as server:
        (error,) = calls(server, "GET")
        assert isinstance(error, APIConnectionError)
        assert "the connection ended" in str(error)


def test_a_connection_that_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that nothing was sent."""

    async def wait(*_: Any) -> None:
        raise asyncio.TimeoutError

    monkeypatch.setattr(Connector, "connect", wait)
    with FaultServer() as server:
        (error,) = calls(server, "GET")
        assert isinstance(error, APITimeoutError)
        assert error.unsent
        assert "did not accept a connection in time" in str(error)


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "a\rx: y"])
def test_a_header_cannot_add_another(value: str) -> None:
    """A request with a line break in a header is not sent."""
    assert _head_of(httpx.Request("GET", "http://a/b?c=d", headers={"x": "a"})).startswith(b"GET /b?c=d HTTP/1.1\r\n")
    with pytest.raises(httpx.LocalProtocolError):
        _head_of(httpx.Request("GET", "http://a/", headers={"x": value}))
