"""Runtime prompts with real clients, shared by many threads, tasks and event loops, and with other client features."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from enprompta import ConfigurationError
from enprompta.models.events import UnknownEvent
from enprompta.webhooks import WebhookReceiver, sign
from tests.cache.wire import close, content_of, make, prompt, refreshers, stalling
from tests.faults.flavours import run, settle, together, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.server import FaultServer


class TestHits:
    def test_a_hit_takes_no_steps(self, flavour: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A fresh prompt is returned without running a flow, as a copy that belongs to the caller, and counted."""
        server.play(then=prompt())

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            first = await settle(client.prompts.get_live("hi"))
            monkeypatch.setattr(client, "run_flow", None)
            second, third = [await settle(client.prompts.get_live("hi")) for _ in range(2)]
            assert first == second == third
            second.variables["mine"] = "changed"
            assert "mine" not in (await settle(client.prompts.get_live("hi"))).variables
            assert 0 < second.age <= third.age < 5
            assert client.prompts.live_cache.metrics.hits == 3
            await close(client)

        run(flavour, scenario)
        assert len(server.received) == 1


class TestSingleFlight:
    def test_a_crowd_asks_once(self, flavour: str, server: FaultServer) -> None:
        """100 threads or 1,000 tasks that start together on an empty cache share one request."""
        server.play(then=prompt(after=0.2))
        client = make(flavour, server.base_url)
        contents: list[str] = []

        async def caller() -> None:
            contents.append((await settle(client.prompts.get_live("hi"))).content)

        count = 100 if flavour == "sync" else 1_000
        together(flavour, [caller] * count)
        assert contents == ["v1"] * count
        assert len(server.received) == 1
        asyncio.run(close(client))

    def test_event_loops_share_a_request(self, server: FaultServer) -> None:
        """Tasks on several loops, asyncio and trio, wait for the one request without blocking each other."""
        server.play(then=prompt(after=0.3))
        client = make("asyncio", server.base_url)
        contents: list[str] = []
        ticks: list[int] = []

        async def crowd() -> None:
            async def caller() -> None:
                contents.append((await client.prompts.get_live("hi")).content)

            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(caller)
                for _ in range(5):
                    await anyio.sleep(0.01)
                ticks.append(len(contents))

        runs: list[Callable[[], object]] = [lambda: asyncio.run(crowd()), lambda: trio.run(crowd)] * 2
        threads = [threading.Thread(target=one) for one in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert contents == ["v1"] * 200
        assert ticks == [0] * 4
        assert len(server.received) == 1

    def test_a_cancelled_caller_does_not_cancel_the_others(self, server: FaultServer) -> None:
        """If the task that fetches is cancelled, one of the waiting tasks fetches instead."""
        server.play(stalling, then=prompt())

        async def scenario() -> None:
            async with make("asyncio", server.base_url) as client:
                first = asyncio.ensure_future(client.prompts.get_live("hi"))
                await until("asyncio", lambda: server.received)
                others = [asyncio.ensure_future(client.prompts.get_live("hi")) for _ in range(20)]
                await asyncio.sleep(0.05)
                first.cancel()
                assert [one.content for one in await asyncio.gather(*others)] == ["v1"] * 20
                assert len(server.received) == 2

        asyncio.run(scenario())


class TestRefresh:
    def test_in_the_background(self, flavour: str, server: FaultServer) -> None:
        """A stale prompt is served while the service is slow; then the new one is available."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            await settle(client.prompts.get_live("hi"))
            server.play(then=prompt("v2", after=0.2))
            began = time.monotonic()
            for _ in range(20):
                given = await settle(client.prompts.get_live("hi", ttl=1e-6))
                assert (given.content, given.is_stale) == ("v1", True)
            assert time.monotonic() - began < 0.2
            await until(flavour, lambda: client.live_cache._memory._entries and content_of(client) == "v2")
            assert len(server.received) == 1
            assert (await settle(client.prompts.get_live("hi"))).content == "v2"
            await close(client)

        run(flavour, scenario)

    def test_not_modified_over_the_wire(self, flavour: str, server: FaultServer) -> None:
        """The client sends the ETag, and a 304 counts as an error neither for the caller nor in the metrics."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            for _ in range(3):
                assert (await settle(client.prompts.get_live("hi", ttl=0))).content == "v1"
            assert [one.headers.get("if-none-match") for one in server.received] == [None, '"v1"', '"v1"']
            assert client.prompts.live_cache.metrics.errors == 0
            await close(client)

        run(flavour, scenario)

    def test_a_loop_for_each_call(self, server: FaultServer) -> None:
        """A program that runs an event loop for each call also gets new versions, one call later."""
        client = make("asyncio", server.base_url)

        def get() -> str:
            async def call() -> str:
                return str((await client.prompts.get_live("hi", ttl=1e-6)).content)

            return asyncio.run(call())

        assert get() == "v1"
        server.play(then=prompt("v2", after=0.05))
        assert [get(), get()] == ["v1", "v2"]

    def test_closing_is_quick(self, flavour: str, server: FaultServer) -> None:
        """A refresh that hangs does not keep a client from closing, and leaves no thread running."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            await settle(client.prompts.get_live("hi"))
            server.play(then=stalling)
            await settle(client.prompts.get_live("hi", ttl=1e-6))
            await until(flavour, lambda: server.received)
            began = time.monotonic()
            await close(client)
            assert time.monotonic() - began < 1
            with pytest.raises(ConfigurationError, match="this client is closed"):
                await settle(client.prompts.get_live("hi"))

        run(flavour, scenario)
        assert refreshers() == []


class TestTheRest:
    def test_views_share_and_copies_do_not(self, flavour: str, server: FaultServer, tmp_path: Path) -> None:
        """`with_options` shares the cache; a copy and a pickle start with an empty one."""

        async def scenario() -> None:
            client = make(flavour, server.base_url, cache_dir=tmp_path)
            view = client.with_options(timeout=3)
            await settle(view.prompts.get_live("hi"))
            await settle(client.prompts.get_live("hi"))
            assert len(server.received) == 1
            assert view.live_cache is client.live_cache
            await close(view)
            assert len(client.live_cache) == 1
            for other in (copy.copy(client), pickle.loads(pickle.dumps(client))):
                assert len(other.live_cache) == 0
                assert other._cache_dir == client._cache_dir
                await settle(other.prompts.get_live("hi"))
                await close(other)
            assert len(server.received) == 3
            await close(client)

        run(flavour, scenario)

    def test_raw_responses_pass_the_cache_by(self, flavour: str, server: FaultServer) -> None:
        """`with_raw_response` bypasses the cache and returns the service's current response."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            for _ in range(2):
                response = await settle(client.with_raw_response.prompts.get_live("hi"))
                assert (response.status_code, response.headers["etag"], response.data.content) == (200, '"v1"', "v1")
            assert (len(server.received), len(client.live_cache)) == (2, 0)
            await close(client)

        run(flavour, scenario)

    def test_preload_invalidate_and_events(self, flavour: str, server: FaultServer) -> None:
        """The cache methods behave like other client methods."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            given = await settle(client.prompts.preload(["a", ("a", "staging"), "b", "c", "d", "e"], deadline=9))
            assert [one.content for one in given] == ["v1"] * 6
            assert len(server.received) == 6
            assert await settle(client.prompts.invalidate("a")) == 2
            assert await settle(client.prompts.invalidate("a", label="staging")) == 1
            event = UnknownEvent(id="e", created_at="2026-01-01", event="prompt.updated", data={"prompt_id": "p1"})  # type: ignore[arg-type]
            assert await settle(client.prompts.on_event(event)) == 6
            for wrong in ("a", [""], [7], [("a", "b", "c")]):
                with pytest.raises(ConfigurationError):
                    await settle(client.prompts.preload(wrong))
            await close(client)

        run(flavour, scenario)

    @pytest.mark.parametrize(
        "wrong", [{"ttl": -1}, {"ttl": float("nan")}, {"ttl": float("inf")}, {"ttl": "60"}, {"timeout": 0}]
    )
    def test_what_cannot_be_is_refused(self, flavour: str, server: FaultServer, wrong: dict[str, Any]) -> None:
        """Invalid arguments are rejected on every call, whether the prompt is cached or not."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            for _ in range(2):
                with pytest.raises(ConfigurationError):
                    await settle(client.prompts.get_live("hi", **wrong))
                await settle(client.prompts.get_live("hi"))
            with pytest.raises(ConfigurationError, match="is empty"):
                await settle(client.prompts.get_live(""))
            await close(client)

        run(flavour, scenario)

    @pytest.mark.parametrize("cache_dir", ["", 7, b"x"])
    def test_a_cache_dir_is_a_path(self, flavour: str, cache_dir: Any) -> None:
        """An invalid `cache_dir` is rejected when the client is created."""
        with pytest.raises(ConfigurationError, match="cache_dir must be the path of a folder"):
            make(flavour, "http://127.0.0.1:1/api/v1", cache_dir=cache_dir)

    def test_a_receiver_takes_the_handler(self, flavour: str, server: FaultServer) -> None:
        """`receiver.on("*")(client.prompts.on_event)` invalidates the prompts that a delivery reports as changed."""

        async def scenario() -> None:
            client = make(flavour, server.base_url)
            await settle(client.prompts.get_live("hi"))
            receiver = WebhookReceiver("whsec_x")
            receiver.on("*")(client.prompts.on_event)
            told = {
                "id": "evt_1",
                "event": "prompt.updated",
                "created_at": "2026-01-01T00:00:00Z",
                "data": {"slug": "hi"},
            }
            body = json.dumps(told, separators=(",", ":")).encode()
            headers = {"X-Enprompta-Signature": sign(body, "whsec_x")}
            reply = receiver.handle(body, headers) if flavour == "sync" else await receiver.ahandle(body, headers)
            assert reply.status == 200
            server.play(then=prompt("v2"))
            assert (await settle(client.prompts.get_live("hi"))).content == "v2"
            await close(client)

        run(flavour, scenario)
