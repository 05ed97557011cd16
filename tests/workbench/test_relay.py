"""The relay forwards programs to the service alone, over HTTPS, and logs what passes without the key."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from enprompta import Call, Enprompta
from enprompta.errors import ConfigurationError
from enprompta.exchanges import MAX_BODY_BYTES, ExchangeLog

pytest.importorskip("nicegui", reason="the extra workbench is not installed")

from enprompta.workbench.relay import Relay
from tests.workbench.service import KEY, live_service, node_posts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[Any]]]:
    """A TLS server in the place of the service, trusted by SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with live_service(tmp_path / "cert.pem") as found:
        yield found


@pytest.fixture
def relayed(service: tuple[str, list[Any]]) -> Iterator[tuple[str, ExchangeLog, list[Any]]]:
    """The relay on a loopback port: its base URL, its log, and what the service has seen."""
    base_url, seen = service
    log = ExchangeLog()
    relay = Relay(base_url, log)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(relay, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    server.capture_signals = nullcontext  # type: ignore[method-assign]

    async def run() -> None:
        await server.serve(sockets=[listener])
        await relay.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/relay/api/v1", log, seen
    server.should_exit = True
    thread.join(10)


def test_a_program_reaches_the_service_with_its_key(relayed: tuple[str, ExchangeLog, list[Any]]) -> None:
    """The SDK works through the relay; the service gets the key, the log does not, and cookies are not shared."""
    base_url, log, seen = relayed
    with Enprompta(api_key=KEY, base_url=base_url, limiter=None) as client:
        client.run(Call("GET", "/prompts/a%2Fb", object, params={"q": "x y"}))
        client.run(Call("POST", "/prompts", object, json={"title": "Tea"}))
    (method, path, headers, _), (_, _, second, body) = seen
    assert (method, path) == ("GET", "/api/v1/prompts/a%2Fb?q=x+y")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["host"].startswith("localhost:")
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in second
    assert b"Tea" in body
    created, read = log.search()
    assert (read.status, read.source, read.request_id) == (200, "relay", "req_tls")
    assert b"Tea" in created.request_body
    stored = repr([one.to_json() for one in (created, read)]) + repr([one.response_body for one in (created, read)])
    assert KEY not in stored


def test_bodies_are_streamed_and_logged_within_bounds(relayed: tuple[str, ExchangeLog, list[Any]]) -> None:
    """Megabytes pass unchanged in both directions; the log keeps the start and the size, compressed or not."""
    base_url, log, seen = relayed

    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b"y" * 100_000

    answer = httpx.post(f"{base_url}/large", content=parts())
    assert len(answer.content) == 3_000_000
    assert len(seen[0][3]) == 3_000_000
    (one,) = log.search()
    assert (len(one.response_body), one.response_size) == (MAX_BODY_BYTES, 3_000_000)
    assert (len(one.request_body), one.request_size) == (MAX_BODY_BYTES, 3_000_000)
    assert httpx.get(f"{base_url}/gzip").json() == {"zipped": True}
    assert log.search(limit=1)[0].response_body == b'{"zipped": true}'
    with httpx.stream("GET", f"{base_url}/odd") as odd:
        assert b"".join(odd.iter_raw()) == b"not gzip"
    assert log.search(limit=1)[0].response_body == b"not gzip"


def test_redirects_are_passed_on_and_not_followed(relayed: tuple[str, ExchangeLog, list[Any]]) -> None:
    """A redirect to another host reaches the program; the relay contacts only the service."""
    base_url, log, seen = relayed
    answer = httpx.get(f"{base_url}/redirect")
    assert (answer.status_code, answer.headers["location"]) == (307, "https://evil.example/steal")
    assert len(seen) == 1
    assert log.search()[0].status == 307


@pytest.mark.parametrize(
    "path", ["/admin", "/api/../admin", "/api/%2e%2e/admin", "//evil.example/api/v1", "/api\\..\\x", "/"]
)
def test_only_paths_of_the_api_are_forwarded(relayed: tuple[str, ExchangeLog, list[Any]], path: str) -> None:
    """Other paths, and ways out of the API's path, are a 400 of the relay."""
    base_url, log, seen = relayed
    host, port = base_url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET /relay{path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        assert b" 400 " in connection.makefile("rb").readline()
    assert seen == []
    assert log.search()[0].status == 400


def test_failures_of_the_service_are_reported(relayed: tuple[str, ExchangeLog, list[Any]]) -> None:
    """A response that ends early ends early for the program too, and the log says why."""
    base_url, log, _ = relayed
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{base_url}/cut")
    assert log.search()[0].error


def test_a_service_that_cannot_be_reached_is_a_502() -> None:
    """Connection failures become an error response with the reason."""
    log = ExchangeLog()
    relay = Relay("https://127.0.0.1:9/api/v1", log)

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(relay)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/relay/api/v1/prompts")
        await relay.aclose()
        return answer

    answer = asyncio.run(main())
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "RELAY_ERROR")
    assert log.search()[0].status == 502


@pytest.mark.parametrize("url", ["http://enprompta.com/api/v1", "https:///api/v1"])
def test_the_relay_needs_https(url: str) -> None:
    """A key is never forwarded over an unencrypted connection."""
    with pytest.raises(ConfigurationError, match="HTTPS only"):
        Relay(url, ExchangeLog())


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_program_of_another_language_uses_the_relay(relayed: tuple[str, ExchangeLog, list[Any]]) -> None:
    """Node's fetch works through the relay, and is logged with its program and bodies."""
    base_url, log, _ = relayed
    assert node_posts(base_url) == "200 true\n"
    (one,) = log.search()
    assert (one.method, one.status, one.program) == ("POST", 200, "node")
    assert b"From node" in one.request_body
    assert KEY not in repr(one.to_json())
