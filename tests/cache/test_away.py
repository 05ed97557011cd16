"""Runtime prompts with real clients, when the service hangs, refuses or cannot be reached."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import anyio
import pytest
import trio

from enprompta import NotFoundError
from tests.cache.wire import close, make, refused, stalling
from tests.faults.flavours import run, settle
from tests.faults.server import FaultServer, FullBacklog

if TYPE_CHECKING:
    from pathlib import Path


class TestAway:
    def test_a_refused_connection(self, flavour: str) -> None:
        """With a fallback, a refused connection costs one attempt; later calls cost none."""
        with FaultServer(listening=False) as server:

            async def scenario() -> None:
                client = make(flavour, server.base_url)
                began = time.monotonic()
                given = await settle(client.prompts.get_live("hi", fallback="Hello {{name}}"))
                assert time.monotonic() - began < 0.5
                assert given.render(name="Ada") == "Hello Ada"
                assert given.is_fallback
                assert "cannot connect" in str(given.error)
                metrics = client.live_cache.metrics
                assert (metrics.refreshes, metrics.errors) == (1, 1)
                for _ in range(100):
                    await settle(client.prompts.get_live("hi", fallback="Hello {{name}}"))
                assert client.live_cache.metrics.refreshes == 1
                await close(client)

            run(flavour, scenario)

    @pytest.mark.parametrize("hangs", ["connecting", "answering"])
    def test_a_service_that_hangs(self, flavour: str, hangs: str) -> None:
        """The first call waits at most the connect timeout; later calls do not wait."""
        with FaultServer() as server, FullBacklog() as full:
            server.play(then=stalling)
            base_url = full.base_url if hangs == "connecting" else server.base_url

            async def scenario() -> None:
                client = make(flavour, base_url, timeout=0.3)
                began = time.monotonic()
                await settle(client.prompts.get_live("hi", fallback="x"))
                assert 0.2 < time.monotonic() - began < 0.8
                began = time.monotonic()
                for _ in range(50):
                    await settle(client.prompts.get_live("hi", fallback="x"))
                assert time.monotonic() - began < 0.25
                assert client.live_cache.metrics.refreshes == 1
                await close(client)

            run(flavour, scenario)

    def test_without_fallback_and_snapshot_the_error_is_raised(self, flavour: str, server: FaultServer) -> None:
        """A 404 is raised immediately on every call."""
        server.play(then=refused(404))

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            for _ in range(2):
                with pytest.raises(NotFoundError):
                    await settle(client.prompts.get_live("hi"))
            await close(client)

        run(flavour, scenario)
        assert len(server.received) == 2

    def test_a_start_from_disk(self, flavour: str, server: FaultServer, tmp_path: Path) -> None:
        """A new process reads the snapshot of the previous one; a client with another key does not."""

        async def scenario() -> None:
            client = make(flavour, server.base_url, cache_dir=tmp_path)
            await settle(client.prompts.get_live("hi"))
            await close(client)
            server.play(then=refused(503))
            client = make(flavour, server.base_url, cache_dir=str(tmp_path), max_retries=0)
            given = await settle(client.prompts.get_live("hi"))
            assert (given.content, given.is_stale, given.is_fallback) == ("v1", True, False)
            await close(client)
            other = make(flavour, server.base_url, cache_dir=tmp_path, api_key="ep_other")
            assert (await settle(other.prompts.get_live("hi", fallback="x"))).is_fallback
            await close(other)

        run(flavour, scenario)

    def test_async_fallbacks(self, server: FaultServer) -> None:
        """The async client awaits an async fallback on asyncio and trio; its errors reach the caller."""
        server.play(then=refused(503))

        async def fallback(slug: str) -> str:
            await anyio.sleep(0.001)
            return f"for {slug}"

        async def broken() -> str:
            raise LookupError("no file")

        async def scenario() -> None:
            async with make("asyncio", server.base_url, max_retries=0) as client:
                assert (await client.prompts.get_live("hi", fallback=fallback)).content == "for hi"
                assert (await client.prompts.get_live("hi", fallback=lambda: "plain")).content == "plain"
                with pytest.raises(LookupError, match="no file"):
                    await client.prompts.get_live("hi", fallback=broken)

        asyncio.run(scenario())
        trio.run(scenario)
