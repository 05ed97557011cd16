"""The connections of aiohttp leave its own errors to aiohttp."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from yarl import URL

from enprompta._http.senders.aiohttp_answers import Protocol, Request, _end_with


class Gone:
    """A connection that is gone when its request is written."""

    @property
    def protocol(self) -> object:
        """Nothing."""
        raise OSError("gone")


def refuse(_: bytes) -> None:
    """Reject received bytes."""
    raise ValueError("no HTTP")


async def fails() -> None:
    """Fail as a writer whose connection is gone."""
    raise OSError("gone")


def test_an_error_that_no_signal_handler_raised_is_aiohttps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of the parser and of the writer leave them unchanged."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        protocol = Protocol(loop)
        monkeypatch.setattr(protocol, "_parse", refuse)
        with pytest.raises(ValueError, match="no HTTP"):
            protocol.data_received(b"x")
        request = Request("GET", URL("http://localhost/"), loop=loop)
        connection: Any = Gone()
        with pytest.raises(OSError, match="gone"):
            await request.write_bytes(connection, connection)
        for writer in (asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(9))):
            await asyncio.sleep(0)
            writer.cancel()
            await asyncio.wait([writer])
            _end_with(protocol, writer)
        assert protocol.exception() is None

    asyncio.run(scenario())
