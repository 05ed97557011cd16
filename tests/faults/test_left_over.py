"""An answer belongs to its request: bytes after a complete answer are never read as the answer to the next call."""

from __future__ import annotations

import json
import ssl
import time
from contextlib import AsyncExitStack
from typing import Any

import httpx
import httpx2
import pytest

from enprompta._http.route.certificates import TrustedCertificates
from tests.faults.flavours import Caller, run, settle, until
from tests.faults.server import FaultServer, Peer, answer, certificate

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

CHUNKED = [("Transfer-Encoding", "chunked")]
BACKENDS = [
    *("sync", "sync-httpx", "sync-wrapped", "sync-httpx2"),
    *("asyncio", "asyncio-httpx", "asyncio-httpx2", "asyncio-aiohttp"),
    *("trio", "trio-httpx", "trio-httpx2"),
    *("sync-named httpx2", "asyncio-named httpx2", "trio-named httpx2"),
]


def whole(name: str) -> bytes:
    """A response with the prompt of an id."""
    return answer(200, data(name))


def data(name: str) -> bytes:
    """The body of a response with the prompt of an id."""
    return json.dumps({"data": {"id": name, "title": "", "content": ""}}).encode()


def in_chunks(name: str) -> bytes:
    """A response in one chunk."""
    return answer(200, b"%x\r\n%b\r\n0\r\n\r\n" % (len(data(name)), data(name)), CHUNKED)


OTHER = whole("another call's")
ANSWERS: dict[str, list[bytes]] = {
    "a second answer": [whole("p1") + OTHER],
    "a second answer while idle": [whole("p1"), OTHER],
    "a stray line break": [whole("p1") + b"\r\n"],
    "a stray line break while idle": [whole("p1"), b"\r\n"],
    "bytes that are no answer": [whole("p1") + b"~"],
    "an answer after chunks": [in_chunks("p1") + OTHER],
    "bytes after chunks": [in_chunks("p1") + b"0\r\n\r\n"],
    "an answer after chunks while idle": [in_chunks("p1"), OTHER],
    "more than the parser takes at once": [whole("p1") + OTHER * 3_000],
    "hints before the answer": [b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + whole("p1") + OTHER],
    "a head in parts": [whole("p1")[:-70], whole("p1")[-70:-62], whole("p1")[-62:] + OTHER],
    "an answer that ends the connection": [answer(200, data("p1"), [("Connection", "close")]) + OTHER],
    "an answer of HTTP/1.0": [answer(200, data("p1"), version="1.0") + OTHER],
    "204 with an answer": [answer(204) + OTHER],
    "204 with a length": [answer(204, headers=[("Content-Length", str(len(OTHER)))]), OTHER],
    "204 in chunks": [answer(204, headers=CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(OTHER), OTHER)],
}


class Wrapper(httpx.BaseTransport):
    """A caller's transport around httpx's."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        return self.inner.handle_request(request)

    def close(self) -> None:
        """Close."""
        self.inner.close()


def http_client(backend: str, trusted: ssl.SSLContext) -> Any:
    """Create the `http_client` of a backend."""
    flavour, _, library = backend.partition("-")
    if library == "wrapped":
        return httpx.Client(transport=Wrapper(httpx.HTTPTransport(verify=trusted)))
    module: Any = {"httpx": httpx, "httpx2": httpx2}.get(library)
    if module is None:
        return library.removeprefix("named ") or None
    return (module.Client if flavour == "sync" else module.AsyncClient)(verify=trusted)


@pytest.mark.parametrize("tls", [None, "trusted"], ids=["plain", "tls"])
@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_call_gets_its_response(
    backend: str, name: str, tls: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call with a complete response keeps it; the next call gets its own, on a new connection."""
    trusted = ssl.create_default_context(cafile=certificate("trusted"))
    monkeypatch.setattr("enprompta._http.route.trusted_certificates", lambda _: TrustedCertificates(lambda: trusted))
    sent: list[bytes] = []

    def leave_bytes(peer: Peer) -> None:
        peer.read()
        try:
            for number, part in enumerate(ANSWERS[name]):
                time.sleep(0.01 if number else 0)
                peer.send(part)
        finally:  # the client may have closed the connection
            sent.append(b"all")

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            client = http_client(backend, trusted)
            caller = await stack.enter_async_context(Caller(flavour, base_url=server.base_url, http_client=client))
            first = await caller.call("DELETE" if name.startswith("204") else "GET")
            if not name.startswith("204"):
                assert first.data.id == "p1"
            assert len(first.attempts) == 1
            await until(flavour, lambda: sent)
            second = await caller.call("GET")
            assert second.data.id == "p2"
            assert len(second.attempts) == 1
            if not isinstance(client, str | None):
                await settle(client.close() if flavour == "sync" else client.aclose())

    flavour = backend.partition("-")[0]
    with FaultServer(tls=tls) as server:
        server.play(leave_bytes, then=lambda peer: (peer.read(), peer.send(whole("p2")))[-1])
        run(flavour, scenario)
        assert len(server.received) == 2
        # aiohttp's parser skips an empty line: it belongs to no answer.
        assert server.connections == 2 or (backend == "asyncio-aiohttp" and "line break" in name)
