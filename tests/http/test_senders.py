"""Senders on the caller's client: responses that arrive while the client closes, and transports without sockets."""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import anyio
import httpcore
import httpx
import pytest

from enprompta._http import direct, drivers
from enprompta._http.route import Route
from enprompta._http.route.certificates import TrustedCertificates
from enprompta._http.senders.async_streams import HandshakeBackend
from enprompta._http.senders.httpx_senders import AsyncClientSender, ClientSender, TransportSender

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta._core.steps import Answer

URL = "http://127.0.0.1/"


class Stream:
    """A connection without a socket that records if it was closed."""

    closed = False

    def close(self) -> None:
        """Close."""
        self.closed = True

    async def aclose(self) -> None:
        """Close."""
        self.closed = True

    def get_extra_info(self, info: str) -> None:
        """Report that there is no socket."""
        assert info == "socket"


def answered(status: int, headers: list[tuple[str, str]], stream: Stream | None) -> httpx.Response:
    """A response that came over a connection, or over none."""
    return httpx.Response(status, headers=headers, extensions={} if stream is None else {"network_stream": stream})


def sent(answer: Callable[[], httpx.Response], *, closing: bool = False) -> list[Answer]:
    """Send through both kinds of client, and close them meanwhile if asked."""
    request = httpx.Request("GET", URL)

    def blocking() -> Answer:
        def handle(_: httpx.Request) -> httpx.Response:
            if closing:
                client.close()
            return answer()

        client = httpx.Client(transport=httpx.MockTransport(handle))
        return ClientSender(client).send(request)

    async def awaited() -> Answer:
        async def handle(_: httpx.Request) -> httpx.Response:
            if closing:
                await client.aclose()
            return answer()

        client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
        return await AsyncClientSender(client).send(request)

    return [blocking(), anyio.run(awaited)]


def test_a_connection_that_opened_while_its_client_was_closed_is_closed() -> None:
    """A connection opened while the client was closing is closed afterwards, and the response is returned."""
    streams: list[Stream] = []

    def answer() -> httpx.Response:
        streams.append(Stream())
        return answered(200, [], streams[-1])

    assert [response.status_code for response in sent(answer, closing=True)] == [200, 200]
    assert [stream.closed for stream in streams] == [True, True]
    sent(answer)
    assert [stream.closed for stream in streams] == [True, True, False, False]


def test_a_client_that_is_given_twice_is_prepared_once() -> None:
    """Two clients on the same `http_client` wrap its connections only once."""
    http: Any = httpx.AsyncClient()
    for _ in range(2):
        AsyncClientSender(http)
    backend = http._transport._pool._network_backend
    assert type(backend) is HandshakeBackend
    assert isinstance(backend._inner, httpcore.AsyncNetworkBackend)
    assert type(backend._inner) is not HandshakeBackend


def test_a_fork_without_clients_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that only imports the package pays nothing in its children."""
    monkeypatch.setattr(drivers, "_transports", WeakSet())
    monkeypatch.delitem(sys.modules, "enprompta._http.senders.deadline_streams", raising=False)
    drivers._after_fork()
    assert "enprompta._http.senders.deadline_streams" not in sys.modules


def test_a_client_that_is_closed_while_it_opens() -> None:
    """A transport that is opened while its client is closed is closed too, and sends nothing."""

    def load() -> ssl.SSLContext:
        sender.close()
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    sender = TransportSender(Route(TrustedCertificates(load), None))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            sender.send(httpx.Request("GET", URL))
    (transport,) = sender._transports.values()
    with pytest.raises(RuntimeError, match="closed"):
        transport.handle_request(httpx.Request("GET", URL))


def test_the_first_calls_of_two_threads_share_a_pool() -> None:
    """The pool that a second thread has opened meanwhile is used by both, and by requests of either library."""

    def load() -> ssl.SSLContext:
        if depth.pop():
            others.append(sender._open(httpx))
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    others: list[Any] = []
    depth = [False, True]
    route = Route(TrustedCertificates(load), None)
    sender = TransportSender(route)
    for transport in (sender._open(httpx), sender._open(direct)):
        assert transport._pool is others[0]._pool  # type: ignore[attr-defined]
