"""Prompts that run on an OpenAI-compatible server."""

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

Make = "Callable[..., Any]"
COMPLETION = {"choices": [{"message": {"role": "assistant", "content": "Bonjour"}}], "usage": {"total_tokens": 42}}


def execute(client: httpx.Client, **body: Any) -> dict[str, Any]:
    """Run a prompt and return the execution."""
    prompt = client.post("/prompts", json={"title": "t", "content": "Hello {{name}}"}).json()["data"]
    body = {"variables": {"name": "Ada"}, "provider": "ollama", "model": "m", **body}
    response = client.post(f"/prompts/{prompt['id']}/execute", json=body)
    assert response.status_code == 201, response.text
    return response.json()["data"]


def answering(status: int, body: Any) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    """Return the same answer every time."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: (status, content)


def test_prompt_runs_upstream(connect: Any, upstream: Any) -> None:
    """The rendered prompt and its options are sent to `/v1/chat/completions`; output and tokens are returned."""
    server = upstream(answering(200, COMPLETION))
    with Emulator(upstream=server.url, upstream_key="sk-1") as emulator:
        options = {"temperature": 0.2, "maxTokens": 7, "topP": 0.9, "stopSequences": ["END"]}
        execution = execute(connect(emulator), options=options)
    assert execution["output"] == "Bonjour"
    assert (execution["tokens"], execution["cost"], execution["status"]) == (42, 0.0021, "completed")
    assert (execution["provider"], execution["model"], execution["error"]) == ("ollama", "m", None)
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == "Bearer sk-1"
    assert request["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello Ada"}],
        "temperature": 0.2,
        "max_tokens": 7,
        "top_p": 0.9,
        "stop": ["END"],
    }


@pytest.mark.parametrize("suffix", ["/", "/v1", "/v1/", "/v1/chat/completions"])
def test_url_with_and_without_its_path(connect: Any, upstream: Any, suffix: str) -> None:
    """The upstream URL may be its root, its API or the endpoint."""
    server = upstream(answering(200, COMPLETION))
    with Emulator(upstream=server.url + suffix) as emulator:
        execute(connect(emulator))
    assert [it["path"] for it in server.requests] == ["/v1/chat/completions"]


def test_upstream_from_the_environment(connect: Any, upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ENPROMPTA_EMULATOR_UPSTREAM` and its key are used if no argument is given."""
    server = upstream(answering(200, COMPLETION))
    monkeypatch.setenv("ENPROMPTA_EMULATOR_UPSTREAM", server.url)
    monkeypatch.setenv("ENPROMPTA_EMULATOR_UPSTREAM_KEY", "sk-2")
    with Emulator() as emulator:
        assert execute(connect(emulator))["output"] == "Bonjour"
    assert server.requests[0]["headers"]["authorization"] == "Bearer sk-2"


def test_echo_beside_an_upstream(connect: Any, upstream: Any) -> None:
    """The provider `echo` works with an upstream too."""
    server = upstream(answering(200, COMPLETION))
    with Emulator(upstream=server.url) as emulator:
        assert execute(connect(emulator), provider="echo")["output"] == "Hello Ada"
    assert server.requests == []


def test_model_is_the_upstreams_first_when_none_is_asked(connect: Any, upstream: Any) -> None:
    """Without a model, the first one that the upstream lists is used."""

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        models = {"data": [{"id": "tiny"}, {"id": "big"}]}
        return 200, json.dumps(models if request["path"] == "/v1/models" else COMPLETION).encode()

    server = upstream(answer)
    with Emulator(upstream=server.url) as emulator:
        client = connect(emulator)
        prompt = client.post("/prompts", json={"title": "t", "content": "c"}).json()["data"]
        for _ in range(2):
            execution = client.post(f"/prompts/{prompt['id']}/execute", json={}).json()["data"]
            assert (execution["provider"], execution["model"]) == ("upstream", "tiny")
    assert [it["path"] for it in server.requests].count("/v1/models") == 1


def test_upstream_that_does_not_count(connect: Any, upstream: Any) -> None:
    """Without `usage`, tokens are counted by the echo's rule."""
    server = upstream(answering(200, {"choices": COMPLETION["choices"]}))
    with Emulator(upstream=server.url) as emulator:
        assert execute(connect(emulator))["tokens"] == 3 + 2


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"out of memory", "it answered 500: out of memory"),
        (404, {"error": "model not found"}, "it answered 404"),
        (302, b"", "it answered 302"),
        (200, b"<html>", "not JSON"),
        (200, b"\xff\xfe", "not JSON"),
        (200, [], "something other than a chat completion"),
        (200, {"choices": []}, "something other than a chat completion"),
        (200, {"choices": [{"message": {"content": None}}]}, "something other than a chat completion"),
    ],
)
def test_failing_upstream_makes_a_failed_execution(
    connect: Any, upstream: Any, status: int, body: Any, reason: str
) -> None:
    """Any upstream failure is a failed execution with a reason and without a charge."""
    server = upstream(answering(status, body))
    with Emulator(upstream=server.url, credits={"pro": 1}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        for _ in range(2):
            execution = execute(client)
            assert (execution["status"], execution["output"]) == ("failed", None)
            assert (execution["tokens"], execution["cost"]) == (0, 0)
            assert reason in execution["error"]
        assert [it["status"] for it in client.get("/executions").json()["data"]] == ["failed"] * 2
        assert client.get("/prompts").json()["data"][0]["usageCount"] == 0


def test_model_list_that_is_none(connect: Any, upstream: Any) -> None:
    """An upstream that lists no model fails the execution with advice."""
    server = upstream(answering(200, {"data": []}))
    with Emulator(upstream=server.url) as emulator:
        client = connect(emulator)
        prompt = client.post("/prompts", json={"title": "t", "content": "c"}).json()["data"]
        execution = client.post(f"/prompts/{prompt['id']}/execute", json={}).json()["data"]
    assert "name one with `model`" in execution["error"]
    assert execution["model"] == "unknown"


def test_upstream_that_is_not_there(connect: Any, upstream: Any) -> None:
    """A refused connection is a failed execution."""
    server = upstream(answering(200, COMPLETION))
    server.close()
    with Emulator(upstream=server.url) as emulator:
        execution = execute(connect(emulator))
    assert execution["status"] == "failed"
    assert server.url in execution["error"]


def test_a_slow_upstream_blocks_no_request_and_times_out(connect: Any, upstream: Any) -> None:
    """A slow upstream does not block other requests; after the timeout the execution fails."""
    asked, release = threading.Event(), threading.Event()

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        asked.set()
        release.wait(10)
        return 200, b"{}"

    server = upstream(answer)
    with Emulator(upstream=server.url, upstream_timeout=0.3) as emulator:
        client = connect(emulator)
        results: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: results.append(execute(client)))
        thread.start()
        assert asked.wait(10)
        assert client.get("/prompts").status_code == 200
        assert results == []
        thread.join()
        release.set()
    assert "did not answer within 0.3 seconds" in results[0]["error"]


def test_stop_does_not_wait_for_a_slow_upstream(
    connect: Any, upstream: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Stopping ends a pending execution with a 503 and refunds the credit."""
    asked, release = threading.Event(), threading.Event()

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        asked.set()
        release.wait(30)
        return 200, b"{}"

    server = upstream(answer)
    emulator = Emulator(upstream=server.url, db=tmp_path / "e.db", credits={"pro": 1})
    emulator.start()
    client = connect(emulator, emulator.keys.pro)
    client.event_hooks = {}  # the document does not speak of a server that stops
    prompt = client.post("/prompts", json={"title": "t", "content": "c"}).json()["data"]
    with ThreadPoolExecutor() as pool:
        call = pool.submit(client.post, f"/prompts/{prompt['id']}/execute", json={"provider": "p", "model": "m"})
        assert asked.wait(10)
        emulator.stop()
        release.set()
        assert call.result(5).status_code == 503
    assert caplog.text == ""
    with Emulator(db=tmp_path / "e.db", credits={"pro": 1}) as emulator:
        path = f"/prompts/{prompt['id']}/execute"
        assert connect(emulator, emulator.keys.pro).post(path, json={}).status_code == 201
