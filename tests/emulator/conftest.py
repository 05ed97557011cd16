"""Fixtures: an emulator per test with a clock to set, and clients that check every response against openapi.yaml."""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from enprompta.emulator import Emulator
from tests.emulator.otlp import PATH, PROTOBUF
from tests.emulator.otlp import request as export
from tests.openapi_file import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOON = 1_705_492_800.0  # 2024-01-17T12:00:00Z, the top of a minute


class Clock:
    """A clock that only moves when it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """Return the current time."""
        return self.now


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


@cache
def _operation(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    """The path template and operation of a path; a template without parameters takes precedence."""
    for template, item in sorted(document()["paths"].items(), key=lambda it: it[0].count("{")):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if method.lower() in item and re.fullmatch(pattern, path):
            return template, item[method.lower()]
    return None


@cache
def _validator(method: str, template: str, status: str) -> Draft202012Validator:
    """The validator of an operation's response with one status."""
    answer = _resolve(document()["paths"][template][method.lower()]["responses"][status])
    schema = answer["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": document()["components"]})


def hold_against_document(response: httpx.Response) -> None:
    """Fail if the response of a documented operation violates the document."""
    method, status = response.request.method, str(response.status_code)
    found = _operation(method, response.request.url.raw_path.decode().partition("?")[0])
    if found is None:
        return
    template, operation = found
    assert status in operation["responses"], f"{method} {template} is not documented to answer {status}"
    answer = _resolve(operation["responses"][status])
    for name, header in answer.get("headers", {}).items():
        if _resolve(header).get("required"):
            assert name in response.headers, f"{name} is missing from {method} {template}"
    response.read()
    if "content" not in answer:
        assert response.content == b""
        return
    assert response.headers["Content-Type"] == "application/json"
    errors = list(_validator(method, template, status).iter_errors(response.json()))
    assert not errors, errors


@pytest.fixture
def clock() -> Clock:
    """The clock of the test's emulator."""
    return Clock()


@pytest.fixture
def connect() -> Iterator[Callable[..., httpx.Client]]:
    """Create clients of an emulator, closed when the test ends."""
    clients: list[httpx.Client] = []

    def make(emulator: Emulator, key: str | None = "ep_test_enterprise") -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        hooks = {"response": [hold_against_document]}
        client = httpx.Client(
            base_url=emulator.url,
            headers=headers,
            event_hooks=hooks,
            trust_env=False,
            verify=False,  # there is nothing to verify on loopback, and loading certificates takes 50 ms
            timeout=20,
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    """An emulator that runs during the test."""
    with Emulator(clock=clock) as running:
        yield running


@pytest.fixture
def client(emulator: Emulator, connect: Callable[..., httpx.Client]) -> httpx.Client:
    """A client whose key has practically no limits."""
    return connect(emulator)


@pytest.fixture
def create(client: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Create a prompt and return it."""

    def make(**fields: Any) -> dict[str, Any]:
        response = client.post("/prompts", json={"title": "Greeting", "content": "Hello {{ name }}", **fields})
        assert response.status_code == 201, response.text
        return response.json()["data"]

    return make


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128  # the steps of a workflow come all at once, and the default refuses the sixth


class FakeUpstream:
    """A local server that records requests; `answer` returns a status, a body and optionally headers."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.requests: list[dict[str, Any]] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(content) if content else None
                request = {"path": self.path, "headers": headers, "body": body}
                upstream.requests.append(request)
                status, body, *more = answer(request)
                with suppress(OSError):  # who asked may have gone
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    for name, value in more[0].items() if more else ():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = _answer  # noqa: N815 (the base class's names)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = _Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Callable[..., FakeUpstream]]:
    """Create model servers, closed when the test ends."""
    servers: list[FakeUpstream] = []

    def make(answer: Callable[[dict[str, Any]], Any]) -> FakeUpstream:
        servers.append(FakeUpstream(answer))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def send(emulator: Emulator, client: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Send an export request in JSON, and check that it was taken."""
    address = emulator.url.removesuffix("/api/v1") + PATH

    def post(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
        response = client.post(address, json=export(*spans, resource=resource))
        assert response.status_code == 200, response.text
        return response.json()

    return post


@pytest.fixture
def raw(emulator: Emulator, client: httpx.Client) -> Callable[..., httpx.Response]:
    """Send any body with any headers; the answer is read without the document, which has JSON alone."""
    address = emulator.url.removesuffix("/api/v1") + PATH
    client.event_hooks = {"response": []}

    def post(body: bytes, content_type: str = PROTOBUF, **headers: str) -> httpx.Response:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(address, content=body, headers={"Content-Type": content_type, **more})

    return post
