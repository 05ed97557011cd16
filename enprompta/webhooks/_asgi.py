"""The receiver as an ASGI application (specification 3.0), under asyncio or trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio import to_thread

from enprompta._common.event_loop import move_on_after
from enprompta.webhooks._delivery import NOT_A_POST, TOO_LARGE, Reply, failed, handled, late, not_mine

if TYPE_CHECKING:
    from enprompta.webhooks._delivery import DeliveryHandler, PendingEvent
    from enprompta.webhooks.signature import Headers

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_LARGE = 65_536  # bytes from which on verifying and parsing take long enough to be felt on an event loop


@dataclass(frozen=True, slots=True)
class Application:
    """An ASGI application. An object, because servers take a bound method for an application of ASGI 2."""

    desk: DeliveryHandler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers: list[tuple[bytes, bytes]] = list(scope["headers"])
            reply = await _answer(self.desk, scope["method"], headers, receive)
            if reply is not None:
                await _reply(reply, send)


async def take(desk: DeliveryHandler, body: bytes, headers: Headers) -> Reply:
    """Take one delivery in, without blocking the event loop."""
    admitted = (
        await to_thread.run_sync(desk.verify, body, headers) if len(body) > _LARGE else desk.verify(body, headers)
    )
    if isinstance(admitted, Reply):
        return admitted
    with move_on_after(desk.timeout):
        if admitted.is_async:
            return await _settle(desk, admitted)
        return await to_thread.run_sync(desk.handle, admitted, abandon_on_cancel=True)
    return late(admitted.event)


async def _settle(desk: DeliveryHandler, job: PendingEvent) -> Reply:
    """Handle an event on the event loop, from claim to answer."""
    try:
        async with desk.deduplicator.aclaim(job.event.id) as claim:
            if not claim.is_mine:
                return not_mine(claim)
            result: Any = job.handler(job.event)
            await result
    except Exception:  # noqa: BLE001 (whatever a handler or a store raises, the service is to send the event again)
        return failed(job.event)
    return handled(job.event)


async def _answer(
    desk: DeliveryHandler, method: str, headers: list[tuple[bytes, bytes]], receive: Receive
) -> Reply | None:
    if method != "POST":
        return NOT_A_POST
    length = dict(headers).get(b"content-length", b"")
    if length.isdigit() and len(length) < 20 and int(length) > desk.max_body:  # noqa: PLR2004 (no body is that long)
        return TOO_LARGE
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None  # nobody is there to answer, and half a body proves nothing
        body += message.get("body", b"")
        if len(body) > desk.max_body:
            return TOO_LARGE
        more = message.get("more_body", False)
    return await take(desk, bytes(body), _by_name(headers))


def _by_name(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Gather the values of each name, so that a header that was sent twice is seen twice."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


async def _reply(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _live(receive: Receive, send: Send) -> None:
    """Agree to start and to stop, for servers that run the receiver on its own."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
