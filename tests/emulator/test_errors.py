"""Errors in both formats, and unusual requests."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from enprompta.emulator import Emulator
from enprompta.emulator.api.middleware import canonical_path
from enprompta.emulator.stores import prompts

if TYPE_CHECKING:
    from tests.emulator.conftest import Clock


def raw(emulator: Emulator, target: str) -> httpx.Response:
    """GET a target exactly as written; httpx would normalize it."""
    parts = urlsplit(emulator.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        lines = (f"GET {target} HTTP/1.1", "Host: localhost", "Authorization: Bearer ep_test_pro", "Connection: close")
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return httpx.Response(int(head.split()[1]), content=body)


def test_reference_dialect(client: httpx.Client) -> None:
    """By default, errors have the reference's format: code, message and details."""
    response = client.post("/prompts", json={"title": "t"})
    assert response.json() == {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "Invalid request parameters",
            "details": [{"field": "content", "message": "Required"}],
        }
    }
    assert response.headers["X-Request-Id"].startswith("req_")


def test_detailed_dialect(clock: Clock, connect: Any) -> None:
    """In the detailed format, the code is a number and the body contains the request id."""
    with Emulator(clock=clock, error_dialect="detailed", limits={"pro": (1, 9)}, credits={"team": 0}) as emulator:
        team, pro = connect(emulator, emulator.keys.team), connect(emulator, emulator.keys.pro)
        prompt_id = team.post("/prompts", json={"title": "t", "content": "c"}).json()["data"]["id"]
        answers = {
            2001: team.post("/prompts", json={}),
            1001: connect(emulator, "ep_nobody").get("/prompts"),
            1002: connect(emulator, None).get("/prompts"),
            1004: connect(emulator, emulator.keys.free).get("/prompts"),
            3001: team.get("/prompts/none"),
            3002: team.patch("/prompts"),
            4002: team.post(f"/prompts/{prompt_id}/execute", json={}),
            4001: [pro.get("/prompts") for _ in range(2)][1],
        }
        for code, response in answers.items():
            body = response.json()
            assert body["success"] is False
            assert body["error"]["code"] == code
            assert body["error"]["request_id"] == response.headers["X-Request-Id"]
            assert body["error"]["documentation_url"].startswith("https://")
            assert body["error"]["type"].isupper()
        assert answers[2001].json()["error"]["details"][0]["field"] == "title"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Is not valid JSON: Expecting property name"),
        (b'{"title": "t"', "Is not valid JSON"),
        (b"[]", "Must be a JSON object"),
        (b'"x"', "Must be a JSON object"),
        (b"null", "Must be a JSON object"),
        (b'{"title": NaN}', "out of range"),
        (b'{"title": 1e999}', "out of range"),
        (b'{"title": "\xff"}', "not UTF-8"),
        (b'{"title": "\\ud800", "content": "c"}', "not UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5_000, "out of range"),
    ],
)
def test_malformed_body_is_a_400(client: httpx.Client, body: bytes, message: str) -> None:
    """A body that is not a JSON object in UTF-8 gets a 400 with the reason."""
    response = client.post("/prompts", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    (detail,) = response.json()["error"]["details"]
    assert detail["field"] == "body"
    assert message in detail["message"]


def test_emoji_may_be_written_as_a_surrogate_pair(client: httpx.Client) -> None:
    """A surrogate pair written as two escapes is one character, as in JavaScript."""
    body = b'{"title": "\\ud83c\\udf88", "content": "c"}'
    response = client.post("/prompts", content=body, headers={"Content-Type": "application/json; charset=utf-8"})
    assert response.json()["data"]["title"] == "🎈"


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_body_must_be_declared_as_json(client: httpx.Client, content_type: str | None) -> None:
    """A body with another or no content type gets a 400 that names the header."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client.post("/prompts", content=b'{"title": "t", "content": "c"}', headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "Content-Type"


def test_no_body_needs_no_type(client: httpx.Client) -> None:
    """Without a body, the content type header is optional."""
    assert client.get("/prompts", headers={"Content-Type": "application/json"}).status_code == 200
    assert client.delete("/prompts/none").status_code == 404
    assert client.post("/prompts").json()["error"]["details"][0] == {"field": "title", "message": "Required"}


def test_unknown_path_and_method(client: httpx.Client) -> None:
    """An unknown path gets a 404, and an unsupported method a 405 that lists the supported ones."""
    assert client.get("/nowhere").json()["error"]["code"] == "NOT_FOUND"
    assert client.get("/prompts/").status_code == 404
    assert client.get("/").status_code == 404
    response = client.patch("/prompts/x", json={})
    assert response.status_code == 405
    assert response.headers["Allow"] == "DELETE, GET, PUT"
    assert response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


def test_body_that_is_too_large(client: httpx.Client) -> None:
    """A body over the limit gets a 413 before all of it is read."""
    content = b'{"title": "' + b"x" * (5 * 1024 * 1024)
    hooks, client.event_hooks = client.event_hooks, {}  # the document does not speak of it
    response = client.post("/prompts", content=content, headers={"Content-Type": "application/json"})
    client.event_hooks = hooks
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert response.headers["Connection"] == "close"


def test_a_huge_body_is_refused_after_the_credential_check_and_counts(clock: Clock, connect: Any) -> None:
    """A too large body gets a 401 without a key and a 403 without access; otherwise it counts as a request."""
    content = b"x" * (5 * 1024 * 1024)
    with Emulator(clock=clock, limits={"pro": (2, 9)}) as emulator:
        statuses = {}
        for key in ("ep_nobody", emulator.keys.free, *[emulator.keys.pro] * 3):
            client = connect(emulator, key)
            client.event_hooks = {}
            response = client.post("/prompts", content=content, headers={"Content-Type": "application/json"})
            statuses.setdefault(key, []).append((response.status_code, response.headers["X-RateLimit-Remaining"]))
        assert [status for status, _ in statuses["ep_nobody"]] == [401]
        assert [status for status, _ in statuses[emulator.keys.free]] == [403]
        assert statuses[emulator.keys.pro] == [(413, "1"), (413, "0"), (429, "0")]


@pytest.mark.parametrize(
    ("path", "prompt_id"),
    [
        ("..%2Fteams", "../teams"),
        ("..%2fteams", "../teams"),
        ("a%2Fb%3Fx=1", "a/b?x=1"),
        ("%2E%2E", ".."),
        ("..", ".."),
        ("%20", " "),
        ("%F0%9F%8E%88", "🎈"),
        ("%25", "%"),
        ("%252F", "%2F"),
        ("x;y", "x;y"),
        ("stats%2F", "stats/"),
    ],
)
def test_quoted_id_stays_in_its_segment(emulator: Emulator, path: str, prompt_id: str) -> None:
    """An id is its decoded path segment; an encoded slash does not end it."""
    response = raw(emulator, f"/api/v1/prompts/{path}")
    assert response.status_code == 404
    assert response.json()["error"]["message"] == f"Prompt {prompt_id!r} not found"


def test_unneeded_quoting_does_not_matter(emulator: Emulator) -> None:
    """A path may encode characters unnecessarily, as RFC 3986 allows."""
    assert raw(emulator, "/api/v1/prom%70ts").status_code == 200
    assert raw(emulator, "/api/v1/%70rompts?limit=1").status_code == 200
    assert canonical_path(b"/a%62c/%2F/%zz/\xff") == "/abc/%2F/%25zz/%EF%BF%BD".replace("%EF%BF%BD", "%C3%BF")


def test_dots_are_not_resolved(emulator: Emulator) -> None:
    """A path is routed as written: `..` is not resolved."""
    assert raw(emulator, "/api/v1/prompts/../executions").status_code == 404


def test_failure_of_a_handler_is_a_500(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An internal failure gets a 500, is logged with its request id, and is not stored under an idempotency key."""

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    key = {"Idempotency-Key": "k"}
    body = {"title": "t", "content": "c"}
    with monkeypatch.context() as patch:
        patch.setattr(prompts, "create", fail)
        answers = [client.post("/prompts", json=body), client.post("/prompts", json=body, headers=key)]
    for response in answers:
        assert response.status_code == 500
        assert response.json()["error"]["code"] == "INTERNAL_ERROR"
        assert response.headers["X-Request-Id"] in caplog.text
    assert caplog.text.count("RuntimeError: boom") == 2
    assert client.post("/prompts", json=body, headers=key).status_code == 201


def test_request_ids_differ(client: httpx.Client) -> None:
    """Each request has a unique id."""
    assert len({client.get("/prompts").headers["X-Request-Id"] for _ in range(5)}) == 5


def test_a_request_that_breaks_off_asks_for_nothing(
    emulator: Emulator, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A truncated request of a client that disconnected is not handled, even if the part received is valid."""
    parts = urlsplit(emulator.url)
    head = (
        "POST /api/v1/teams HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ep_test_enterprise\r\n"
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name": "half"}'
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert client.get("/teams").json()["data"] == []
    assert caplog.records == []
