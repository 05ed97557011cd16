"""Idempotency keys: one effect, one charge, one response."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.emulator.conftest import Clock

KEY = {"Idempotency-Key": "k-1"}
BODY = {"title": "t", "content": "Hi"}


def total(client: httpx.Client, path: str = "/prompts") -> int:
    """The number of items in a list."""
    return client.get(path).json()["pagination"]["total_count"]


def test_same_request_gets_the_first_answer(client: httpx.Client, clock: Clock) -> None:
    """A repetition with the same key gets the first response byte for byte, and has no second effect."""
    first = client.post("/prompts", json=BODY, headers=KEY)
    clock.now += 3600
    again = client.post("/prompts", json=BODY, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert again.headers.get_list("Date") == ["Wed, 17 Jan 2024 13:00:00 GMT"]
    assert total(client) == 1


def test_execution_is_charged_once(clock: Clock, connect: Any) -> None:
    """Executing a prompt twice with one key costs one credit and returns the same execution."""
    with Emulator(clock=clock, credits={"pro": 1}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        path = f"/prompts/{client.post('/prompts', json=BODY).json()['data']['id']}/execute"
        answers = [client.post(path, json={}, headers=KEY).json() for _ in range(3)]
        assert answers[0]["data"]["id"] == answers[2]["data"]["id"]
        assert total(client, "/executions") == 1
        assert client.post(path, json={}, headers={"Idempotency-Key": "other"}).status_code == 402


def test_key_with_another_request_is_a_409(create: Any, client: httpx.Client) -> None:
    """Another body, path or query with the same key gets a 409 and has no effect."""
    prompt = create()
    client.post("/prompts", json=BODY, headers=KEY)
    others = [
        client.post("/prompts", json={**BODY, "title": "other"}, headers=KEY),
        client.post("/prompts?x=1", json=BODY, headers=KEY),
        client.put(f"/prompts/{prompt['id']}", json=BODY, headers=KEY),
    ]
    assert [it.status_code for it in others] == [409] * 3
    assert others[0].json()["error"]["code"] == "CONFLICT"
    assert total(client) == 2


def test_put_is_kept_too(create: Any, client: httpx.Client) -> None:
    """A repeated update is not applied again."""
    path = f"/prompts/{create()['id']}"
    changed = client.put(path, json={"content": "one"}, headers=KEY)
    client.put(path, json={"content": "two"})
    assert client.put(path, json={"content": "one"}, headers=KEY).content == changed.content
    assert client.get(path).json()["data"]["content"] == "two"


def test_get_and_delete_have_no_key(create: Any, client: httpx.Client) -> None:
    """The header is ignored on idempotent methods."""
    path = f"/prompts/{create()['id']}"
    statuses = [client.get(path, headers=KEY), client.delete(path, headers=KEY), client.get(path, headers=KEY)]
    assert [it.status_code for it in statuses] == [200, 204, 404]


def test_each_account_has_separate_keys(emulator: Emulator, connect: Any) -> None:
    """Each account has separate keys."""
    ids = {
        connect(emulator, key).post("/prompts", json=BODY, headers=KEY).json()["data"]["id"]
        for key in (emulator.keys.pro, emulator.keys.team)
    }
    assert len(ids) == 2


def test_a_400_is_kept_with_its_headers(client: httpx.Client) -> None:
    """A 400 is stored like any other response."""
    answers = [client.post("/prompts", json={}, headers=KEY) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    wrong = {"Idempotency-Key": "k-2"}
    assert [client.post("/prompts/x", json={}, headers=wrong).headers["Allow"] for _ in range(2)] == [
        "DELETE, GET, PUT"
    ] * 2


def test_a_refusal_that_passes_is_not_kept(clock: Clock, connect: Any) -> None:
    """A 402 and a 429 are not stored, because the same request may succeed later."""
    with Emulator(clock=clock, credits={"pro": 0}, limits={"pro": (3, 99)}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        path = f"/prompts/{client.post('/prompts', json=BODY).json()['data']['id']}/execute"
        statuses = [client.post(path, json={}, headers=KEY).status_code for _ in range(3)]
        assert statuses == [402, 402, 429]
        clock.now += 60
        created = client.post("/prompts", json=BODY, headers=KEY)
        assert created.status_code == 201


def test_key_is_forgotten_after_a_day(client: httpx.Client, clock: Clock) -> None:
    """A key can be used again after a day."""
    client.post("/prompts", json=BODY, headers=KEY)
    clock.now += 86_401
    assert client.post("/prompts", json={**BODY, "title": "x"}, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_key_must_be_one(client: httpx.Client, key: str) -> None:
    """An empty or too long key gets a 400 that names the header."""
    response = client.post("/prompts", json=BODY, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "Idempotency-Key"


def test_concurrent_requests_wait_for_the_first(clock: Clock, connect: Any, upstream: Callable[..., Any]) -> None:
    """Eight concurrent requests with one key have one effect and get the same response."""
    arrived, release = threading.Event(), threading.Event()

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        arrived.set()
        release.wait(10)
        return 200, json.dumps({"choices": [{"message": {"content": "out"}}]}).encode()

    server = upstream(answer)
    with Emulator(clock=clock, upstream=server.url) as emulator:
        client = connect(emulator, emulator.keys.pro)
        path = f"/prompts/{client.post('/prompts', json=BODY).json()['data']['id']}/execute"
        with ThreadPoolExecutor(9) as pool:
            body = {"provider": "p", "model": "m"}
            same = [pool.submit(client.post, path, json=body, headers=KEY) for _ in range(8)]
            assert arrived.wait(10)
            other = pool.submit(client.post, path, json={}, headers=KEY)
            while client.get("/prompts").headers["X-RateLimit-Remaining"] > "9":  # until all have been let in
                pass
            release.set()
            answers = [it.result() for it in same]
        assert {it.status_code for it in answers} == {201}
        assert len({it.content for it in answers}) == 1
        assert other.result().status_code == 409
        assert len(server.requests) == 1
        assert total(client, "/executions") == 1


def test_answers_survive_a_restart(clock: Clock, connect: Any, tmp_path: Path) -> None:
    """With a file, keys, prompts, credits and daily requests survive a restart."""
    settings = {"db": tmp_path / "e.db", "clock": clock, "credits": {"pro": 1}, "limits": {"pro": (50, 6)}}
    with Emulator(**settings) as emulator:
        client = connect(emulator, emulator.keys.pro)
        first = client.post("/prompts", json=BODY, headers=KEY)
        path = f"/prompts/{first.json()['data']['id']}/execute"
        assert client.post(path, json={}).status_code == 201
    with Emulator(**settings) as emulator:
        client = connect(emulator, emulator.keys.pro)
        assert client.post("/prompts", json=BODY, headers=KEY).content == first.content
        assert client.get("/prompts").json()["data"][0]["usageCount"] == 1
        assert client.post(path, json={}).status_code == 402
        assert client.get("/templates").json()["pagination"]["total_count"] == 13
        assert client.get("/prompts").status_code == 429


def test_a_key_is_used_up_by_operations_only(client: httpx.Client) -> None:
    """An unknown path or method gets a 404 or 405, even with a used key."""
    assert client.post("/prompts", json=BODY, headers=KEY).status_code == 201
    assert client.put("/prompts", json={}, headers=KEY).status_code == 405
    assert client.post("/nothing", json={}, headers=KEY).status_code == 404


def ask_token(client: httpx.Client, emulator: Emulator, key: str, **more: str) -> httpx.Response:
    """Request a token with an idempotency key."""
    own = emulator.clients.pro
    body = {"grant_type": "client_credentials", "client_id": own.client_id, "client_secret": own.client_secret, **more}
    return client.post("/oauth/token", json=body, headers={"Idempotency-Key": key})


def test_a_token_is_kept_for_as_long_as_it_is_of_use(clock: Clock, connect: Any) -> None:
    """A repeated token request gets the same token until it expires; a refusal is not stored."""
    with Emulator(clock=clock, token_lifetime=60) as emulator:
        client = connect(emulator, None)
        first = ask_token(client, emulator, "k")
        assert ask_token(client, emulator, "k").json() == first.json()
        assert ask_token(client, emulator, "k", scope="prompts:read").status_code == 409
        clock.now += 60
        second = ask_token(client, emulator, "k")
        assert second.json()["access_token"] != first.json()["access_token"]
        emulator.expire_tokens()
        assert ask_token(client, emulator, "k").json()["access_token"] != second.json()["access_token"]
        for _ in range(2):
            refused = ask_token(client, emulator, "wrong", client_secret="no")
            assert (refused.status_code, "Idempotent-Replayed" in refused.headers) == (401, False)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"client_id": 7}', b'{"client_id": "\\ud800"}'])
def test_a_key_needs_an_owner(client: httpx.Client, body: bytes) -> None:
    """A token request without a client id is refused each time, and nothing is stored."""
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    for _ in range(2):
        refused = client.post("/oauth/token", content=body, headers=headers)
        assert (refused.status_code, "Idempotent-Replayed" in refused.headers) == (400, False)
