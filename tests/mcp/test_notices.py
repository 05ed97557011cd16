"""Notices of a changed prompt list, and what looking for changes costs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.subscriptions import PromptsListChanged
from mcp_types import PromptListChangedNotification

from enprompta.mcp import notices
from enprompta.mcp.notices import Audience, ListWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from enprompta import Enprompta
    from enprompta.emulator import Emulator

SOON = 0.02


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until a condition holds; the test's own limit ends it."""
    while not is_so():  # noqa: ASYNC110 (the condition is another thread's)
        await anyio.sleep(0.005)


def test_older_sessions_are_notified(run: Any, serve: Any, account: Enprompta) -> None:
    """A session of the handshake protocol gets one notice for each change of the list, and none without a change."""
    heard: list[Any] = []

    async def hear(message: Any) -> None:
        heard.append(message)

    async def scenario() -> None:
        async with serve(mode="legacy", message_handler=hear, poll_interval=SOON) as client:
            assert client.server_capabilities.prompts.list_changed
            await client.list_prompts()
            await anyio.sleep(5 * SOON)
            assert heard == []
            prompt = await anyio.to_thread.run_sync(lambda: account.prompts.create(title="New", content="x"))
            await until(lambda: len(heard) == 1)
            assert isinstance(heard[0], PromptListChangedNotification)
            assert [one.name for one in (await client.list_prompts()).prompts] == ["new"]
            await anyio.to_thread.run_sync(lambda: account.prompts.update(prompt.id, content="other, same arguments"))
            await anyio.sleep(5 * SOON)
            assert len(heard) == 1
            await anyio.to_thread.run_sync(lambda: account.prompts.update(prompt.id, content="{{more}}"))
            await until(lambda: len(heard) == 2)

    run(scenario)


def test_subscriptions_are_notified(run: Any, serve: Any, account: Enprompta) -> None:
    """A client of the newer protocol that listens gets the change as an event."""

    async def scenario() -> None:
        async with serve(poll_interval=SOON) as client:
            await client.list_prompts()
            async with client.listen(prompts_list_changed=True) as subscription:
                await anyio.to_thread.run_sync(lambda: account.prompts.create(title="New", content="x"))
                async for event in subscription:
                    assert isinstance(event, PromptsListChanged)
                    break

    run(scenario)


def test_own_writes_are_announced_at_once(run: Any, serve: Any, account: Enprompta) -> None:
    """A prompt that is created through the server is announced without waiting for the next poll."""

    async def scenario() -> None:
        async with serve(poll_interval=3600, allow=["write"]) as client:
            await client.list_prompts()
            async with client.listen(prompts_list_changed=True) as subscription:
                assert not (await client.call_tool("create_prompt", {"title": "New", "content": "x"})).is_error
                async for _ in subscription:
                    break
            assert [one.name for one in (await client.list_prompts()).prompts] == ["new"]

    run(scenario)


def test_the_list_is_polled_only_for_clients_that_listen(run: Any, serve: Any, service: Emulator) -> None:
    """Without a listener, or before a client has seen the list, no request is made."""
    lists = service.faults.add("/prompts", method="GET", latency=0.0001)

    async def scenario() -> None:
        async with serve(poll_interval=SOON) as client:
            async with client.listen(prompts_list_changed=True):
                await anyio.sleep(5 * SOON)
                assert len(lists.hits) == 0
            await client.list_prompts()
            await anyio.sleep(5 * SOON)
            assert len(lists.hits) == 1
            async with client.listen(prompts_list_changed=True):
                await until(lambda: len(lists.hits) >= 3)
            await anyio.sleep(2 * SOON)
            seen = len(lists.hits)
            await anyio.sleep(5 * SOON)
            assert len(lists.hits) == seen

    run(scenario)


def test_polling_survives_failures(
    run: Any, serve: Any, service: Emulator, account: Enprompta, caplog: pytest.LogCaptureFixture
) -> None:
    """A poll that fails is logged, the list stays, and the next poll finds the change."""

    async def scenario() -> None:
        async with serve(poll_interval=SOON) as client:
            await client.list_prompts()
            fault = service.faults.add("/prompts", method="GET", status=500, times=2)
            async with client.listen(prompts_list_changed=True) as subscription:
                await anyio.to_thread.run_sync(lambda: account.prompts.create(title="New", content="x"))
                async for _ in subscription:
                    break
            assert len(fault.hits) == 2

    run(scenario)
    assert "The prompt list cannot be refreshed" in caplog.text


class Session:
    """A session that counts its notices."""

    def __init__(self) -> None:
        self.notices = 0

    async def send_prompt_list_changed(self) -> None:
        """Count a notice."""
        self.notices += 1


def test_sessions_hear_while_they_have_a_stream(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is notified while at least one of its streams is open; the oldest of too many is forgotten."""
    monkeypatch.setattr(notices, "MAX_SESSIONS", 2)

    async def scenario() -> None:
        audience = Audience()
        sessions: list[Any] = [Session() for _ in range(3)]
        for number, session in enumerate(sessions):
            audience.join(number, session)
        await audience.notify()
        assert audience.is_empty
        async with AsyncExitStack() as second:
            async with AsyncExitStack() as first:
                for number in range(3):
                    first.enter_context(audience.listening(number))
                second.enter_context(audience.listening(1))
                await audience.wait()
                await audience.notify()
            await audience.notify()
            assert [one.notices for one in sessions] == [0, 2, 1]
            audience.leave(1)
            assert audience.is_empty

    run(scenario)


class Catalog:
    """A list that was never loaded, and has changed all the same."""

    is_loaded = False
    revision = 0

    async def wait_until_stale(self, seconds: float) -> None:
        """Change."""
        await anyio.sleep(seconds)
        self.revision += 1


def test_every_revision_is_announced(run: Any) -> None:
    """A change that another part of the server has found is announced without a request."""

    async def scenario() -> None:
        audience, session = Audience(), Session()
        audience.join("a", session)  # type: ignore[arg-type]
        with audience.listening("a"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ListWatcher(Catalog(), audience, 0.001).run)  # type: ignore[arg-type]
                await until(lambda: session.notices >= 2)
                tasks.cancel_scope.cancel()

    run(scenario)
