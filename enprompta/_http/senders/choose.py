"""Choose the sender of a client: the default one, aiohttp, or one for the caller's `http_client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enprompta._http.senders.httpx_senders import (
    AsyncClientSender,
    AsyncTransportSender,
    ClientSender,
    TransportSender,
)
from enprompta._http.senders.patch_client import patch_client_transport, transports_of

if TYPE_CHECKING:
    from enprompta._http.route import Route
    from enprompta._http.senders.base import AsyncSender, Sender


def default_sender(kind: object, route: Route) -> Sender:
    """Return the sender of a blocking client without an `http_client` or with the name of a library.

    Args:
        kind: `"httpx2"`, or None for httpx.
        route: The certificates and the proxy to use.
    """
    return TransportSender(route, kind)


def default_async_sender(kind: object, route: Route) -> AsyncSender:
    """Return the sender of one event loop, for an async client without an `http_client` or with the name of a library.

    Args:
        kind: `"aiohttp"`, `"httpx2"`, or None for httpx.
        route: The certificates and the proxy to use.
    """
    if kind == "aiohttp":
        from enprompta._http.senders.aiohttp_sender import AiohttpSender  # noqa: PLC0415 (an extra)

        return AiohttpSender(route)
    return AsyncTransportSender(route, kind)


def sender_for_client(client: Any) -> Sender:  # noqa: ANN401 (httpx2 is optional)
    """Return a sender that uses the caller's client, which keeps its own pool."""
    for transport in transports_of(client):
        patch_client_transport(transport)
    return ClientSender(client)


def async_sender_for_client(client: Any) -> AsyncClientSender:  # noqa: ANN401 (httpx2 is optional)
    """Return a sender that uses the caller's async client, which keeps its own pool."""
    for transport in transports_of(client):
        patch_client_transport(transport)
    return AsyncClientSender(client)
