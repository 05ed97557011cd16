"""The command `enprompta mcp`: over standard input and output, and over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import PromptListChangedNotification
from typer.testing import CliRunner

from enprompta.cli.app import app
from enprompta.errors import ConfigurationError
from enprompta.mcp import ServerOptions, create_app, create_server, serve_http

if TYPE_CHECKING:
    from collections.abc import Generator

    from enprompta import Enprompta
    from enprompta.emulator import Emulator

pytestmark = pytest.mark.step("mcp")

COMMAND = [sys.executable, "-c", "from enprompta.cli import main; main()", "mcp"]
TOKEN = "t" * 20


@pytest.fixture
def environment(service: Emulator) -> dict[str, str]:
    """Settings of the command."""
    return {"ENPROMPTA_API_KEY": service.keys.enterprise, "ENPROMPTA_BASE_URL": service.url}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_real_client_over_stdio(run: Any, account: Enprompta, environment: dict[str, str], mode: str) -> None:
    """The SDK's own client starts the command, lists, gets and executes."""
    account.prompts.create(title="Hello", content="Hello {{name}}")
    parameters = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], "--allow", "execute"], env={**os.environ, **environment}
    )

    async def scenario() -> None:
        async with Client(parameters, mode=mode) as client:
            assert [one.name for one in (await client.list_prompts()).prompts] == ["hello"]
            assert (await client.get_prompt("hello", {"name": "Ada"})).messages[0].content.text == "Hello Ada"
            result = await client.call_tool("execute_prompt", {"prompt": "hello", "variables": {"name": "Ada"}})
            assert result.structured_content["status"] == "completed"

    run(scenario)


def test_only_the_protocol_is_on_standard_output(
    account: Enprompta, environment: dict[str, str], measured_processes: None
) -> None:
    """Every line of standard output is a JSON-RPC message, whatever the input; the process ends with its input."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "prompts/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
    ]
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment, "ENPROMPTA_LOG": "debug"},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("not json\n" + "".join(json.dumps(one) + "\n" for one in messages))
    process.stdin.flush()
    found = [json.loads(process.stdout.readline()) for _ in range(3)]
    out, errors = process.communicate(timeout=20)
    found += [json.loads(line) for line in out.splitlines()]
    assert all(one["jsonrpc"] == "2.0" for one in found)
    assert {one["id"] for one in found if one.get("id")} == {1, 2, 3}
    assert process.returncode == 0
    assert environment["ENPROMPTA_API_KEY"] not in out + errors


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_end_a_server_that_waits_for_input(environment: dict[str, str], how: int, status: int) -> None:
    """Ctrl-C and SIGTERM end the process although a thread waits for standard input."""
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(how)
    process.wait(timeout=20)
    assert process.communicate()[1] == ""
    assert process.returncode == status


@contextmanager
def http_server(
    environment: dict[str, str], *options: str, stop: signal.Signals = signal.SIGINT
) -> Generator[tuple[str, str, str]]:
    """Run the command over HTTP; yield its URL, its token, and what it printed."""
    with subprocess.Popen(
        [*COMMAND, "--transport", "http", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stdout is not None
        printed = process.stderr.readline()
        token = environment.get("ENPROMPTA_MCP_TOKEN")
        if token is None:
            printed += process.stderr.readline()
            token = printed.split()[3]
        try:
            yield printed.split()[1], token, printed
        finally:
            process.send_signal(stop)
            try:
                out, _ = process.communicate(timeout=20)
            finally:
                process.kill()
        assert out == ""
        assert process.returncode == (130 if stop == signal.SIGINT else 0)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_real_client_over_http(
    run: Any, account: Enprompta, environment: dict[str, str], mode: str, measured_processes: None
) -> None:
    """The SDK's own client lists, gets, executes, and hears of a change, with the token that the server printed."""
    account.prompts.create(title="Hello", content="Hello {{name}}")
    heard = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, PromptListChangedNotification):
            heard.set()

    async def scenario(url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode, message_handler=hear) as client:
                assert [one.name for one in (await client.list_prompts()).prompts] == ["hello"]
                assert (await client.get_prompt("hello", {"name": "Ada"})).messages[0].content.text == "Hello Ada"
                result = await client.call_tool("execute_prompt", {"prompt": "hello", "variables": {"name": "Ada"}})
                assert result.structured_content["executions_left"] == 19
                await anyio.to_thread.run_sync(lambda: account.prompts.create(title="New", content="x"))
                if mode == "legacy":
                    await heard.wait()
                else:
                    async with client.listen(prompts_list_changed=True) as events:
                        async for _ in events:
                            break

    with http_server(environment, "--allow", "execute", "--poll-interval", "1") as (url, token, printed):
        assert len(token) == 43
        assert "shown only now" in printed
        run(lambda: scenario(url, token))


def test_requests_over_http_are_checked(environment: dict[str, str], measured_processes: None) -> None:
    """A request needs the token, a Host header of this server, and an Origin of it where a browser sends one."""
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    }}  # fmt: skip
    good = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    environment = {**environment, "ENPROMPTA_MCP_TOKEN": TOKEN}
    with http_server(environment, "--allowed-host", "prompts.test", stop=signal.SIGTERM) as (url, _, printed):
        assert TOKEN not in printed
        host = url.split("/")[2]
        port = host.partition(":")[2]

        def status(**headers: str) -> int:
            return httpx.post(url, json=initialize, headers={**good, **headers}, trust_env=False).status_code

        assert status() == 200
        assert status(Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200
        assert status(Host="prompts.test", Origin="https://prompts.test") == 200
        assert status(Host="evil.test") == status(Host="127.0.0.1:1") == 421
        assert status(Origin="http://evil.test") == 403
        for wrong in (b"", b"Bearer", f"Bearer {TOKEN}x".encode(), f"Basic {TOKEN}".encode(), b"Bearer \xe9"):
            headers = {b"Authorization": wrong}
            assert httpx.post(url, json=initialize, headers=headers, trust_env=False).status_code == 401
        assert httpx.get(url.replace("/mcp", "/"), headers=good, trust_env=False).status_code == 404
        answer = httpx.post(url, json=initialize, headers=good, trust_env=False)
        session = {**good, "mcp-session-id": answer.headers["mcp-session-id"]}
        assert httpx.delete(url, headers=session, trust_env=False).status_code == 200
        assert httpx.delete(url, headers=session, trust_env=False).status_code == 404


@pytest.mark.parametrize("protocol", ["2025-11-25", "2026-07-28"])
def test_a_repeated_request_over_http_is_charged_once(
    account: Enprompta, environment: dict[str, str], protocol: str
) -> None:
    """A request that a client or a proxy sends again with its id has the same result, with and without a session."""
    account.prompts.create(title="Hello", content="Hello")
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": protocol,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    environment = {**environment, "ENPROMPTA_MCP_TOKEN": TOKEN}
    with http_server(environment, "--allow", "execute,write") as (url, _, _):

        def send(method: str, params: dict[str, Any], request_id: int) -> httpx.Response:
            body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
            return httpx.post(url, json=body, headers=headers, trust_env=False)

        if protocol < "2026":
            hello = {"protocolVersion": protocol, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            headers["mcp-session-id"] = send("initialize", hello, 1).headers["mcp-session-id"]
            meta = {}
        else:
            headers |= {"mcp-method": "tools/call", "mcp-name": "execute_prompt"}
        headers["mcp-protocol-version"] = protocol
        params = {"name": "execute_prompt", "arguments": {"prompt": "hello"}, "_meta": meta}
        answers = [send("tools/call", params, request_id).text for request_id in (2, 2, 3)]
    found = [re.findall(r"exe_\w+", answer)[0] for answer in answers]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--transport", "http", "--host", "0.0.0.0"], 2, "or allow it with --allow-remote behind"),
        (["--transport", "http", "--token", "short"], 2, "at least 16"),
        (["--allow", "delete"], 2, "--allow takes execute and write, not 'delete'"),
        (["--max-usd", "nan"], 2, "max-usd"),
        (["--poll-interval", "inf"], 2, "--poll-interval must be a positive number"),
    ],
)
def test_wrong_usage(environment: dict[str, str], arguments: list[str], status: int, text: str) -> None:
    """A wrong option ends the command before anything is served."""
    done = CliRunner().invoke(app, ["mcp", *arguments], env={**environment, "COLUMNS": "100"})
    assert done.exit_code == status
    assert text in done.stderr


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the command ends with 3."""
    for transport in ("stdio", "http"):
        done = CliRunner().invoke(app, ["mcp", "--transport", transport])
        assert done.exit_code == 3
        assert "ENPROMPTA_API_KEY" in done.stderr


def test_in_this_process(environment: dict[str, str]) -> None:
    """The command ends when its input does, and leaves the handling of Ctrl-C as it was."""
    before = signal.getsignal(signal.SIGINT)
    done = CliRunner().invoke(app, ["mcp"], input="", env=environment)
    assert (done.exit_code, done.stdout) == (0, "")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("missing", ["mcp", "uvicorn", "sse_starlette"])
def test_a_missing_extra_is_named(environment: dict[str, str], missing: str, measured_processes: None) -> None:
    """Without the extra, the command says what to install; any other missing module is an error too."""
    code = f"import sys, enprompta.cli\nsys.modules[{missing!r}] = None\nsys.argv[1:] = ['mcp']\nenprompta.cli.main()\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 1
    assert ('pip install "enprompta[mcp]"' in done.stderr) is (missing != "sse_starlette")


def test_a_taken_port_is_an_error(run: Any, service: Emulator) -> None:
    """A port that is taken is named, and so is a remote address; a remote address may be allowed."""
    server: Any = None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def scenario() -> None:
            with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {port} cannot be used"):
                await serve_http(server, token=TOKEN, port=port, on_ready=print)
            with pytest.raises(ConfigurationError, match="port must be"):
                await serve_http(server, token=TOKEN, port=65536, on_ready=print)
            with pytest.raises(ConfigurationError, match="2001:db8::1 port"):
                await serve_http(server, token=TOKEN, host="2001:db8::1", allow_remote=True, on_ready=print)

        run(scenario)


@pytest.mark.parametrize("token", ["", "x" * 15, "é" * 20, "with space in the token", "tab\tand more characters"])
def test_weak_tokens_are_refused(run: Any, token: str) -> None:
    """A token is long enough, and one word of ASCII."""

    async def scenario() -> None:
        client: Any = None
        with pytest.raises(ConfigurationError, match="16 ASCII characters"):
            create_app(create_server(client), token=token, port=1)

    run(scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        {"allow": ["delete"]},
        {"max_executions": -1},
        {"max_writes": -1},
        {"max_chars": 99},
        {"max_prompts": 0},
        {"poll_interval": 0.0},
        {"poll_interval": float("inf")},
        {"max_usd": -1.0},
        {"max_usd": float("nan")},
    ],
)
def test_wrong_options(wrong: dict[str, Any]) -> None:
    """An option that cannot work is named."""
    with pytest.raises(ConfigurationError, match=re.escape(next(iter(wrong)))):
        ServerOptions(**wrong)
