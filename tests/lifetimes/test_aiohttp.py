"""Behavior specific to `http_client="aiohttp"`; other tests run for all clients."""

from __future__ import annotations

import asyncio
import gc
import pickle
import re
import time
from typing import Any

import pytest
import trio

from enprompta import APITimeoutError, AsyncEnprompta, ConfigurationError, Enprompta
from tests.faults.server import FaultServer, Peer, fine


@pytest.fixture
def server() -> Any:
    """Serve one prompt."""
    with FaultServer() as server:
        yield server


def make(server: FaultServer, **options: Any) -> AsyncEnprompta:
    """Make a client on aiohttp."""
    given = {"api_key": "ep_test_aiohttp", "base_url": server.base_url, "limiter": None, **options}
    return AsyncEnprompta(http_client="aiohttp", **given)


def test_one_loop_after_another(server: FaultServer) -> None:
    """A client works in each loop, and each loop closes its connections."""
    client = make(server)

    async def use() -> None:
        assert (await client.prompts.get("p1")).id == "p1"

    for _ in range(2):
        asyncio.run(use())
        server.wait_for_connections()
    assert server.connections == 2
    assert not client.is_closed


def test_closing(server: FaultServer) -> None:
    """`aclose` closes the connections; a later call says what is wrong."""

    async def use() -> None:
        async with make(server) as client:
            await client.prompts.get("p1")
        server.wait_for_connections()
        with pytest.raises(ConfigurationError, match="this client is closed"):
            await client.prompts.get("p1")

    asyncio.run(use())


def test_an_unclosed_client_causes_one_warning(server: FaultServer) -> None:
    """One warning, at the line that created the client."""

    async def forget() -> None:
        await make(server).prompts.get("p1")

    async def use() -> None:
        await forget()
        gc.collect()

    with pytest.warns(ResourceWarning, match=r"AsyncEnprompta client created at .*test_aiohttp\.py"):
        asyncio.run(use())
    server.wait_for_connections()


def test_copies_and_views_keep_it(server: FaultServer) -> None:
    """Pickles too, because the name is stored."""

    async def use() -> None:
        async with make(server) as client, pickle.loads(pickle.dumps(client)) as copied:
            assert (await copied.prompts.get("p1")).id == "p1"
            assert (await client.with_options(timeout=1).prompts.get("p1")).id == "p1"
            assert copied._http_client == "aiohttp"

    asyncio.run(use())


def test_trio_is_refused(server: FaultServer) -> None:
    """The error says that aiohttp needs asyncio, and what to do."""

    async def use() -> None:
        async with make(server) as client:
            with pytest.raises(ConfigurationError, match="works on asyncio, not on trio: leave it out"):
                await client.prompts.get("p1")

    trio.run(use)


def test_the_blocking_client_has_no_use_for_it() -> None:
    """It accepts a client of httpx or httpx2, or the name of httpx2."""
    expected = 'http_client must be an httpx.Client, httpx2.Client or "httpx2", not'
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        Enprompta(api_key="ep_x", http_client="aiohttp")  # type: ignore[arg-type]


def test_the_missing_extra_is_named(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the client is created, not when it is used."""
    monkeypatch.setattr("enprompta._client.checks.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r'pip install "enprompta\[aiohttp\]"'):
        make(server)
    for kind in (Enprompta, AsyncEnprompta):
        with pytest.raises(ConfigurationError, match=r'pip install "enprompta\[httpx2\]"'):
            kind(api_key="ep_x", http_client="httpx2")


def test_a_deadline_and_a_cancellation(server: FaultServer) -> None:
    """A dripping body ends in time, a cancelled task at once; both connections are closed."""

    def drip(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        peer.drip(b"x" * 100, 0.05)

    server.play(drip, drip, then=fine)

    async def use() -> None:
        async with make(server, max_retries=0) as client:
            began = time.monotonic()
            with pytest.raises(APITimeoutError, match=r"the deadline of 0.3 s has passed"):
                await client.prompts.get("p1", deadline=0.3)
            assert time.monotonic() - began < 0.55
            task = asyncio.create_task(client.prompts.get("p1"))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.05)
            server.wait_for_connections()
            assert (await client.prompts.get("p1")).id == "p1"

    asyncio.run(use())


def test_a_timeout_bounds_each_read(server: FaultServer) -> None:
    """A silent server is abandoned after `timeout`."""

    def silent(peer: Peer) -> None:
        peer.read()
        peer.stall()

    server.play(then=silent)

    async def use() -> None:
        async with make(server, max_retries=0, timeout=0.2) as client:
            with pytest.raises(APITimeoutError, match="sent nothing for longer than timeout allows"):
                await client.prompts.get("p1")

    asyncio.run(use())


def test_paths_are_sent_as_they_are(server: FaultServer) -> None:
    """A quoted id stays one segment, and no cookie is sent back."""

    def with_cookie(peer: Peer) -> None:
        peer.read()
        body = b'{"data":{"id":"p1","title":"","content":""}}'
        peer.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    server.play(then=with_cookie)

    async def use() -> None:
        async with make(server) as client:
            await client.prompts.get("../te ams?x=%41")
            await client.prompts.get("p1")

    asyncio.run(use())
    first, second = server.received
    assert first.path == "/api/v1/prompts/..%2Fte%20ams%3Fx%3D%2541"
    assert "cookie" not in second.headers
    assert set(first.headers) == {
        "accept", "accept-encoding", "authorization", "content-type", "host", "user-agent",
    }  # fmt: skip
    assert first.headers["user-agent"].endswith(" aiohttp")
    assert second.headers["user-agent"] == first.headers["user-agent"]
