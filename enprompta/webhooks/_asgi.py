"""The receiver as an ASGI application (specification 3.0), under asyncio or trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio import to_thread

from enprompta._common.event_loop import move_on_after
from enprompta.webhooks._delivery import NOT_A_POST, TOO_LARGE, Reply, duplicate, failed, handled, timed_out

if TYPE_CHECKING:
    from enprompta.webhooks._delivery import DeliveryHandler, PendingEvent
    from enprompta.webhooks.signature import Headers

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_MOST_DIGITS = 19  # of a Content-Length; no real one has more
_LARGE = 65_536  # bodies larger than this many bytes are verified in a thread, because they would block the event loop


@dataclass(frozen=True, slots=True)
class Application:
    """An ASGI application: an object, because servers mistake a bound method for an ASGI 2 application."""

    deliveries: DeliveryHandler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers: list[tuple[bytes, bytes]] = list(scope["headers"])
            reply = await _answer(self.deliveries, scope["method"], headers, receive)
            if reply is not None:
                await _reply(reply, send)


async def handle_delivery(deliveries: DeliveryHandler, body: bytes, headers: Headers) -> Reply:
    """Process one delivery without blocking the event loop."""
    pending = (
        await to_thread.run_sync(deliveries.verify, body, headers)
        if len(body) > _LARGE
        else deliveries.verify(body, headers)
    )
    if isinstance(pending, Reply):
        return pending
    with move_on_after(deliveries.timeout):
        if pending.is_async:
            return await _handle_async(deliveries, pending)
        return await to_thread.run_sync(deliveries.handle, pending, abandon_on_cancel=True)
    return timed_out(pending.event)


async def _handle_async(deliveries: DeliveryHandler, pending: PendingEvent) -> Reply:
    """Handle an event on the event loop: claim it, run the handler, reply."""
    try:
        async with deliveries.deduplicator.aclaim(pending.event.id) as claim:
            if not claim.is_mine:
                return duplicate(claim)
            result: Any = pending.handler(pending.event)
            await result
    except Exception:  # noqa: BLE001 (any error of a handler or store makes the service send the event again)
        return failed(pending.event)
    return handled(pending.event)


async def _answer(
    deliveries: DeliveryHandler, method: str, headers: list[tuple[bytes, bytes]], receive: Receive
) -> Reply | None:
    if method != "POST":
        return NOT_A_POST
    length = dict(headers).get(b"content-length", b"")
    if length.isdigit() and len(length) <= _MOST_DIGITS and int(length) > deliveries.max_body:
        return TOO_LARGE
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None  # the sender has disconnected, and an incomplete body cannot be verified
        body += message.get("body", b"")
        if len(body) > deliveries.max_body:
            return TOO_LARGE
        more = message.get("more_body", False)
    return await handle_delivery(deliveries, bytes(body), _by_name(headers))


def _by_name(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Collect the values of each header, so that repeated headers are detected."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


async def _reply(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge startup and shutdown, for servers that run the receiver as the root application."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
