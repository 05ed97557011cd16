"""A deadline ends the decoding of a long list, and other tasks run meanwhile."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel, field_validator

from enprompta import APITimeoutError, Call, Page
from tests.faults.flavours import Caller, run, settle
from tests.faults.server import answer

if TYPE_CHECKING:
    from tests.faults.server import FaultServer, Peer


class Slow(BaseModel):
    """A class that is validated slowly."""

    id: str

    @field_validator("id")
    @classmethod
    def wait(cls, value: str) -> str:
        """Take a while."""
        time.sleep(0.002)
        return value


def answers(server: FaultServer, count: int) -> None:
    """Have a server answer with a list of objects."""
    body = answer(200, json.dumps({"data": [{"id": "x" * 400}] * count}).encode())

    def fault(peer: Peer) -> None:
        peer.read()
        peer.send(body)

    server.play(then=fault)


def test_a_deadline_ends_decoding(flavour: str, server: FaultServer) -> None:
    """Pieces are bounded by the deadline; the attempt that succeeded is in the error."""
    answers(server, 5_000)  # 10 seconds

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            began = time.monotonic()
            with pytest.raises(APITimeoutError, match="GET /x: the deadline passed while the response") as caught:
                await settle(caller.client.run(Call("GET", "/x", Page[Slow], options={"deadline": 1.0})))
            assert 1.0 <= time.monotonic() - began < 5.0
            assert [one.status_code for one in caught.value.attempts] == [200]

    run(flavour, scenario)


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_other_tasks_run_while_a_list_is_decoded(flavour: str, server: FaultServer) -> None:
    """A long list does not stop the event loop."""
    answers(server, 1_500)
    turns = 0
    seen: list[int] = []

    class Watched(BaseModel):
        """A class that knows when it is validated."""

        id: str

        @field_validator("id")
        @classmethod
        def note(cls, value: str) -> str:
            """Note the turn."""
            seen.append(turns)
            return value

    async def watch() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller, anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            page = await settle(caller.client.run(Call("GET", "/x", Page[Watched])))
            tasks.cancel_scope.cancel()
            assert len(page.data) == 1_500

    run(flavour, scenario)
    assert len(set(seen)) > 10
