"""What the environment says of proxies and certificates is kept to, as programs expect."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from enprompta._http.senders import httpx_senders
from tests.faults.flavours import Caller, run
from tests.faults.server import FaultServer, certificate

if TYPE_CHECKING:
    from typing_extensions import Self

FLAVOURS = ("sync", "asyncio", "trio", "asyncio-aiohttp")


class Proxy:
    """A proxy that passes on what it is sent, plain or through a tunnel, to whatever address it is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The first line of each connection."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(65_536)):
                return
            head += part
        line = head.split(b"\r\n", 1)[0].decode()
        self.asked.append(line)
        method, target, _ = line.split(" ")
        address = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = address.partition(":")
        there = socket.create_connection((host, int(port)))
        self._sockets.append(there)
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            there.sendall(head)
        self._start(self._pass_on, there, client)
        self._pass_on(client, there)

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65_536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def get(flavour: str, base_url: str) -> None:
    """Make two calls, so that a connection to the proxy serves a second one."""
    loop, _, library = flavour.partition("-")
    options = {"http_client": library} if library else {}

    async def scenario() -> None:
        async with Caller(loop, base_url=base_url, max_retries=0, **options) as caller:
            for _ in range(2):
                assert (await caller.call("GET")).status_code == 200

    run(loop, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment(
    flavour: str, variable: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests go through it."""
    with Proxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        get(flavour, server.base_url)
    assert proxy.asked == [f"GET {server.base_url}/prompts/p1 HTTP/1.1"]
    assert len(server.received) == 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_tunnel_for_https(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy sees where an https request goes, and nothing of it."""
    context = httpx.create_ssl_context()
    context.load_verify_locations(certificate("trusted"))
    monkeypatch.setattr(httpx_senders, "tls_context", lambda: context)
    monkeypatch.setattr("enprompta._http.senders.aiohttp_sender.tls_context", lambda: context)
    with Proxy() as proxy, FaultServer(tls="trusted") as server:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        get(flavour, server.base_url)
        assert proxy.asked == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"]
        assert len(server.received) == 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_host_that_needs_no_proxy(flavour: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` names hosts that are reached directly."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,other.test")
    get(flavour, server.base_url)
    assert len(server.received) == 2


def test_certificates_of_the_environment() -> None:
    """`SSL_CERT_FILE` names whom to trust, such as a company's own authority."""
    program = """
import sys
from enprompta import Enprompta
with Enprompta(api_key="ep_x", base_url=sys.argv[1], max_retries=0) as client:
    print(client.prompts.get("p1").id)
"""
    with FaultServer(tls="trusted") as server:
        environment = {**os.environ, "SSL_CERT_FILE": str(certificate("trusted"))}
        command = [sys.executable, "-c", program, server.base_url]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, "p1"), done.stderr
