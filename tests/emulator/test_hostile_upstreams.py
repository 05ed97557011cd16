"""Any response of an upstream becomes a recorded execution with an output or a readable error."""

from __future__ import annotations

import gzip
import json
import logging
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.emulator import Emulator, __main__
from enprompta.emulator.execution import upstream as upstream_module
from enprompta.emulator.execution.upstream import UpstreamError, as_text, read_completion
from enprompta.errors import ConfigurationError
from tests.emulator.test_upstream import COMPLETION, answering, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def said(content: object, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    """A completion with one choice and this content."""
    return {"choices": [{"message": {"content": content, **more}, "finish_reason": finish_reason}]}


@pytest.fixture(scope="module")
def world() -> Iterator[dict[str, Any]]:
    """One emulator and upstream for all tests of this module; `answer` sets the upstream's next response."""
    from tests.emulator.conftest import FakeUpstream

    state: dict[str, Any] = {"answer": (200, b"{}")}
    server = FakeUpstream(lambda _: state["answer"])
    with Emulator(upstream=server.url, upstream_timeout=20) as emulator:
        state["emulator"] = emulator
        yield state
    server.close()


@pytest.fixture
def run(world: dict[str, Any], connect: Callable[..., httpx.Client]) -> Callable[..., dict[str, Any]]:
    """Execute a prompt with a given response of the upstream, and return the execution."""
    client = connect(world["emulator"])

    def go(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        world["answer"] = (status, content, headers or {})
        execution = execute(client)
        read = client.get(f"/executions/{execution['id']}").json()["data"]
        assert read == execution
        return execution

    return go


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (said("Bonjour"), "Bonjour"),
        (said("half", "length"), "half"),
        (said(""), ""),
        (said("half \ud83d"), "half \ufffd"),
        (said("\ud83c\udf88 whole"), "🎈 whole"),
        (said("nul \x00 byte"), "nul \x00 byte"),
        (
            said([{"type": "text", "text": "Bon"}, {"type": "image_url"}, 7, "jo", {"type": "text", "text": "ur"}]),
            "Bonjour",
        ),
        (said("text", tool_calls=[{"function": {"name": "f"}}]), "text"),
        (said("text", tool_calls=[]), "text"),
        (said("text", refusal=None), "text"),
        ({"choices": [*said("first")["choices"], *said("second")["choices"]]}, "first"),
        ({**said("text"), "error": None}, "text"),
        ({**said("text"), "extra": [[[[{}]]]]}, "text"),
    ],
)
def test_an_answer_with_text_is_completed(run: Any, body: Any, output: str) -> None:
    """Text in every format that servers use is the output; lone surrogates are replaced."""
    execution = run(body)
    assert (execution["status"], execution["output"], execution["error"]) == ("completed", output, None)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"total_tokens": 42}, 42),
        ({"total_tokens": 42.0}, 42),
        ({"total_tokens": 0}, 0),
        ({"prompt_tokens": 40, "completion_tokens": 2}, 42),
        ({"total_tokens": None, "prompt_tokens": 40, "completion_tokens": 2}, 42),
        ({"total_tokens": -1, "prompt_tokens": 40, "completion_tokens": 2}, 42),
        *[({"total_tokens": bad}, 5) for bad in (-1, True, "42", 1e300, 10**30, 4.5, [], {}, float("nan"), 2**63)],
        ({"prompt_tokens": 40}, 5),
        ({"prompt_tokens": 2**31 - 1, "completion_tokens": 2**31 - 1}, 5),
        *[(bad, 5) for bad in (None, 5, [], "42", True, {})],
    ],
)
def test_tokens_that_cannot_be_are_counted_here(run: Any, usage: Any, tokens: int) -> None:
    """Tokens are the server's total, the sum of its counts or, if those are invalid, counted as the echo does."""
    execution = run({**said("Bonjour"), "usage": usage})
    assert (execution["status"], execution["tokens"]) == ("completed", tokens)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (said(None, refusal="I cannot do that"), "the model refused: I cannot do that"),
        (said("", refusal="no \ud800"), "the model refused: no \ufffd"),
        (said([{"type": "refusal", "refusal": "I will not"}]), "the model refused: I will not"),
        (said("", "error"), "ended the answer with an error"),
        ({"choices": [{**said("")["choices"][0], "error": {"message": "overloaded"}}]}, "an error: overloaded"),
        (said(None, tool_calls=[{"type": "custom", "custom": {"name": "own"}}]), "called the tool 'own' instead"),
        (said(None, "content_filter"), "a content filter withheld"),
        (said("partly", "content_filter"), "a content filter withheld"),
        (said(None, "length"), "reached its limit of tokens before it wrote any text"),
        (said(None, "tool_calls", tool_calls=[{"function": {"name": "look_up"}}]), "called the tool 'look_up' instead"),
        (said(None, "tool_calls", tool_calls=[7, {}]), "called a tool, a tool instead"),
        (said(None, "function_call", function_call={"name": "old"}), "called the tool 'old' instead"),
        (said(None), "its message has no text"),
        (said(5), "its message has no text"),
        (said([]), "its message has no text"),
        (said([{"type": "image_url"}]), "its message has no text"),
        ({"choices": [{"text": "legacy"}]}, "other than a chat completion"),
        ({"choices": [None]}, "other than a chat completion"),
        ({"choices": "text"}, "other than a chat completion"),
        ([], "other than a chat completion"),
        ("text", "other than a chat completion"),
        (None, "other than a chat completion"),
        ({"error": {"message": "no such model"}}, "it reported an error: no such model"),
        ({"error": "busy \ud800"}, "it reported an error: busy \ufffd"),
        ({"error": {"code": 7}, "choices": []}, 'it reported an error: {"code": 7}'),
        (DEEP, "nested too deeply"),
        (b"[" * 200_000, "nested too deeply"),
        (b"", "its answer is not JSON"),
        (b"<!doctype html><title>502</title>", "its answer is not JSON: <!doctype html>"),
        (b'{"choices": [', "its answer is not JSON"),
        (b"\xff\xfe\x00", "its answer is not JSON"),
        (b'{"usage": ' + b"9" * 5000 + b"}", "its answer is not JSON"),
        (b'data: {"choices": []}\n\n', "it streamed its answer"),
    ],
)
def test_an_answer_without_text_has_failed_with_a_reason(run: Any, body: Any, reason: str) -> None:
    """Any other response is a failed execution that says what was received."""
    execution = run(body)
    assert (execution["status"], execution["output"], execution["tokens"]) == ("failed", None, 0)
    assert reason in execution["error"]
    assert len(execution["error"]) < 800


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b": ping\n", {"Content-Type": "text/event-stream; charset=utf-8"}, "it streamed its answer"),
        (b"<p>", {"Content-Type": "text/html; charset=hex"}, "its answer is not JSON: <p>"),
        (b"not gzip", {"Content-Encoding": "gzip"}, "failed: "),
        (gzip.compress(b" " * 20_000_000), {"Content-Encoding": "gzip"}, "its answer is larger than"),
    ],
)
def test_headers_that_lie(run: Any, body: bytes, headers: dict[str, str], reason: str) -> None:
    """Invalid and unknown encodings and decompression bombs are failed executions."""
    assert reason in run(body, headers=headers)["error"]


@given(JSON, JSON, JSON, JSON)
def test_any_json_is_text_or_a_reason(answer: Any, message: Any, content: Any, usage: Any) -> None:
    """Any JSON anywhere in a response is read as text that UTF-8 can encode, or refused with a reason."""
    for candidate in (
        answer,
        {"choices": message},
        {"choices": [{"message": message}]},
        {**said(content), "usage": usage},
    ):
        try:
            reply = read_completion(candidate)
        except UpstreamError as error:
            str(error).encode()  # raises for what UTF-8 cannot hold
        else:
            assert reply.output.encode().decode() == reply.output
            assert reply.tokens is None or 0 <= reply.tokens < 2**31
    assert as_text("\ud83c\udf88\udf88") == "🎈\ufffd"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("wait", ["0", "date"])
def test_a_busy_upstream_is_asked_again(connect: Any, upstream: Any, status: int, wait: str) -> None:
    """A 429 or 503 with `Retry-After`, in seconds or as a date, is retried within the call."""
    answers = iter([(status, b"busy", {"Retry-After": formatdate() if wait == "date" else wait})] * 2)
    server = upstream(lambda _: next(answers, (200, json.dumps(COMPLETION).encode())))
    with Emulator(upstream=server.url) as emulator:
        assert execute(connect(emulator))["output"] == "Bonjour"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("headers", "asked", "reason"),
    [
        ({}, 1, "it answered 429: busy"),
        ({"Retry-After": "soon"}, 1, "it answered 429: busy"),
        ({"Retry-After": "-5"}, 1, "it answered 429: busy"),
        ({"Retry-After": "3600"}, 1, "retry after 3600 s, longer than the execution may take"),
        ({"Retry-After": formatdate(time.time() + 7200)}, 1, "longer than the execution may take"),
        ({"Retry-After": "Wed, 17 Jan 2024 12:00:00 -0000"}, 5, "it answered 429: busy"),
        ({"Retry-After": "0"}, 5, "it answered 429: busy"),
    ],
)
def test_waiting_is_bounded(connect: Any, upstream: Any, headers: dict[str, str], asked: int, reason: str) -> None:
    """A busy upstream without `Retry-After`, with a too late one, or that stays busy fails the execution."""
    server = upstream(lambda _: (429, b"busy", headers))
    with Emulator(upstream=server.url) as emulator:
        assert reason in execute(connect(emulator))["error"]
    assert len(server.requests) == asked


@pytest.mark.parametrize("login", ["me:s3cr3t-word", "me:s3cr3t%2Dword", ":s3cr3t-word", "s3cr3t-word:x"])
def test_a_login_is_sent_and_never_shown(
    request: pytest.FixtureRequest, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login in the upstream's URL is sent as basic authentication, and appears in no log, error, page or repr."""
    connect, upstream, caplog, capsys = map(request.getfixturevalue, ("connect", "upstream", "caplog", "capsys"))
    server = upstream(lambda it: (401, f"no: {it['headers']['authorization']} s3cr3t-word".encode()))
    url = server.url.replace("http://", f"http://{login}@")
    stopped = SimpleNamespace(wait=lambda _: True, set=lambda: None)
    monkeypatch.setattr(__main__, "threading", SimpleNamespace(Event=lambda: stopped))
    with caplog.at_level(logging.DEBUG), Emulator(upstream=url, upstream_key="sk-unused") as emulator:
        client = connect(emulator)
        execution = execute(client)
        page = client.get(emulator.url.replace("/api/v1", "/workbench")).text
        shown = [repr(emulator), str(emulator.upstream), str(execution), page, client.get("/executions").text]
    assert __main__.main(["--port", "0", "--upstream", url]) == 0
    shown += [caplog.text, "".join(capsys.readouterr())]
    assert server.requests[0]["headers"]["authorization"].startswith("Basic ")
    assert "it answered 401: no: " in execution["error"]
    assert emulator.upstream == server.url.replace("http://", "http://***@")
    for text in shown:
        assert "s3cr3t" not in text
        assert server.requests[0]["headers"]["authorization"] not in text


@pytest.mark.parametrize(
    "url",
    [
        "me:s3cr3t@host",
        "ftp://me:s3cr3t@host",
        "http://me:s3cr3t@host:port",
        "http://me:s3cr3t@[::1",
        "http://me:s3cr3t@",
        "http://me:s3cr3t@host\n/",
    ],
)
def test_a_wrong_url_is_one_line_without_its_login(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid URL is an error that does not show its login."""
    with pytest.raises(ConfigurationError, match="must be an http") as caught:
        Emulator(upstream=url)
    assert "s3cr3t" not in str(caught.value)
    assert __main__.main(["--port", "0", "--upstream", url]) == 1
    printed = capsys.readouterr().err
    assert "s3cr3t" not in printed
    assert printed.count("\n") == 1


def test_a_key_that_no_header_can_hold_is_refused() -> None:
    """A key with line breaks or non-ASCII characters is an error at the start."""
    for key in ("sk\nX-Evil: 1", "ключ"):
        with pytest.raises(ConfigurationError, match="printable ASCII"):
            Emulator(upstream="http://127.0.0.1:9", upstream_key=key).start()


def test_the_masked_url_keeps_what_is_no_login() -> None:
    """The displayed URL omits the login and the query."""
    shown = upstream_module.shown_url
    assert shown("https://h:1/v1?key=s") == "https://h:1/v1"
    assert shown("https://a@b:c@h/v1#f") == "https://***@h/v1"


class TestStrictModels:
    """A strict emulator rejects unknown providers and models."""

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"provider": "opena1"}, "provider"),
            ({"provider": "OpenAI"}, "provider"),
            ({"provider": "openai", "model": "claude-3-opus"}, "model"),
            ({"model": "gtp-4"}, "model"),
            ({"provider": "ollama", "model": "mistral"}, "model"),
        ],
    )
    def test_unknown_names_are_refused(self, connect: Any, body: dict[str, str], field: str) -> None:
        """An unknown name gets a 400 that names the field and the known names, and costs no credit."""
        with Emulator(strict_models=True, models={"ollama": ["llama3*"]}, credits={"pro": 1}) as emulator:
            client = connect(emulator, emulator.keys.pro)
            prompt = client.post("/prompts", json={"title": "t", "content": "c"}).json()["data"]
            path = f"/prompts/{prompt['id']}/execute"
            refused = client.post(path, json=body)
            assert refused.status_code == 400
            [detail] = refused.json()["error"]["details"]
            assert detail["field"] == field
            assert "known: " in detail["message"]
            assert "strict_models=False" in detail["message"]
            for known in ({}, {"provider": "openai", "model": "gpt-9"}, {"model": "gemini-pro"}, {"provider": "echo"}):
                assert client.post(path, json=known).status_code in {201, 402}
            assert client.get("/usage").json()["data"]["tokens"]["used"] == 1

    def test_a_step_with_an_unknown_model_fails(self, connect: Any) -> None:
        """In a workflow, the step fails with the same reason."""
        from tests.emulator.flows import begin, ended, make, step

        with Emulator(strict_models=True) as emulator:
            client = connect(emulator)
            execution = ended(client, begin(client, make(client, step("a", "x", model="gtp-4"))))
        assert execution["status"] == "failed"
        assert "Unknown model 'gtp-4'" in execution["error"]

    def test_a_real_model_judges_names_itself(self, connect: Any, upstream: Any) -> None:
        """By default, and with an upstream, any name is accepted."""
        server = upstream(answering(200, COMPLETION))
        with Emulator(upstream=server.url, strict_models=True) as emulator:
            assert execute(connect(emulator))["status"] == "completed"
        with Emulator() as emulator:
            assert execute(connect(emulator))["status"] == "completed"
