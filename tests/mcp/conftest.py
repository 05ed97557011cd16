"""An emulator, and MCP clients of servers in front of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest

from enprompta import AsyncEnprompta, Enprompta
from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from mcp import Client

    Scenario: TypeAlias = Callable[[Client], Awaitable[None]]
    Serve: TypeAlias = Callable[..., Any]

try:
    import mcp  # noqa: F401 (an extra)
except ImportError:
    collect_ignore_glob = ["test_*.py"]  # the other extras may be installed with an older pydantic


@pytest.fixture
def service() -> Iterator[Emulator]:
    """An emulator without limits, for one test."""
    with Emulator(rate_limits=False) as emulator:
        yield emulator


@pytest.fixture
def account(service: Emulator) -> Iterator[Enprompta]:
    """A client that sets up the account."""
    with Enprompta(api_key=service.keys.enterprise, base_url=service.url, limiter=None) as client:
        yield client


@pytest.fixture
def serve(service: Emulator) -> Serve:
    """Connect an MCP client to a new server in this process; `mode="legacy"` speaks the older protocol."""
    from mcp import Client

    from enprompta.mcp import ServerOptions, create_server

    @asynccontextmanager
    async def connect(*, mode: str = "auto", message_handler: Any = None, **options: Any) -> AsyncGenerator[Client]:
        settings: dict[str, Any] = {"api_key": service.keys.enterprise, "base_url": service.url, "limiter": None}
        async with AsyncEnprompta(**settings, max_retries=0) as client:
            server = create_server(client, ServerOptions(**options))
            async with Client(server, mode=mode, message_handler=message_handler) as connected:
                yield connected

    return connect


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Run an async test, at most for 20 seconds."""

    def run_bounded(scenario: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            with anyio.fail_after(20):
                await scenario()

        anyio.run(bounded)

    return run_bounded
