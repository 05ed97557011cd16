"""A service with one live prompt over real sockets, and clients of each kind."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from enprompta import AsyncEnprompta, Enprompta
from tests.faults.flavours import settle
from tests.faults.server import Peer, answer

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "ep_test_cache"


def prompt(content: str = "v1", *, after: float = 0.0) -> Callable[[Peer], None]:
    """Answer with a live prompt, or with 304 if the ETag matches."""
    tag = f'"{content}"'

    def play(peer: Peer) -> None:
        request = peer.read()
        peer.server.stopping.wait(after)
        if request.headers.get("if-none-match") == tag:
            peer.send(answer(304, headers=[("ETag", tag)]))
            return
        body = json.dumps({"id": "p1", "slug": "hi", "content": content, "variables": {}}).encode()
        peer.send(answer(200, body, [("ETag", tag), ("Content-Type", "application/json")]))

    return play


def stalling(peer: Peer) -> None:
    """Accept the request and never answer."""
    peer.read()
    peer.stall()


def refused(code: int) -> Callable[[Peer], None]:
    """Answer with an error."""

    def play(peer: Peer) -> None:
        peer.read()
        peer.send(answer(code, b"{}"))

    return play


def make(flavour: str, base_url: str, **options: Any) -> Any:
    """Create a client."""
    made: Any = Enprompta if flavour == "sync" else AsyncEnprompta
    return made(**{"api_key": KEY, "base_url": base_url, "limiter": None, **options})


async def close(client: Any) -> None:
    """Close a client of either kind."""
    await settle(client.aclose() if isinstance(client, AsyncEnprompta) else client.close())


def refreshers() -> list[str]:
    """List the refresh threads."""
    return [thread.name for thread in threading.enumerate() if thread.name == "enprompta-refresh"]


def content_of(client: Any) -> str | None:
    """Return the content of the only cached prompt."""
    (entry,) = client.live_cache._memory._entries.values()
    return entry.cached.value.content if entry.cached.value else None
