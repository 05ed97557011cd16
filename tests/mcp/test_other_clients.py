"""The npm conformance suite and the MCP inspector against the command; tests/mcp/install-tools installs both."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from enprompta import Enprompta
    from enprompta.emulator import Emulator

HERE = Path(__file__).parent
TOOLS = HERE / "node_modules" / "@modelcontextprotocol"
CONFORMANCE = TOOLS / "conformance" / "dist" / "index.js"
INSPECTOR = HERE / "node_modules" / ".bin" / "mcp-inspector"
COMMAND = [sys.executable, "-c", "from enprompta.cli import main; main()", "mcp"]

pytestmark = [
    pytest.mark.step("mcp"),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js 20 or later is not installed"),
    pytest.mark.skipif(not TOOLS.is_dir(), reason="the npm tools are not installed: run tests/mcp/install-tools"),
]


@pytest.fixture
def environment(service: Emulator, tmp_path: Path) -> dict[str, str]:
    """Settings of the command; nothing is written into the home directory."""
    return {
        **os.environ, "HOME": str(tmp_path), "ENPROMPTA_API_KEY": service.keys.enterprise,
        "ENPROMPTA_BASE_URL": service.url, "ENPROMPTA_MCP_TOKEN": "t" * 20,
    }  # fmt: skip


def test_the_conformance_suite_passes(account: Enprompta, environment: dict[str, str], tmp_path: Path) -> None:
    """Every scenario passes, but those about features that the server does not offer."""
    account.prompts.create(title="test_simple_prompt", content="This is a simple prompt for testing.")
    content = "Prompt with arguments: arg1='{{arg1}}', arg2='{{arg2}}'"
    account.prompts.create(title="test_prompt_with_arguments", content=content)
    with subprocess.Popen(
        [*COMMAND, "--transport", "http"], env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        try:
            url = server.stderr.readline().split()[1]
            suite = ["node", "-r", str(HERE / "add-token.cjs"), str(CONFORMANCE), "server", "--url", url]
            done = subprocess.run(
                [*suite, "--expected-failures", str(HERE / "expected-failures.yaml")],
                capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path, env=environment,
            )  # fmt: skip
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=20)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = set(re.findall(r"✓ ([a-z-]+): \d+ passed, 0 failed", done.stdout))
    assert {"server-initialize", "ping", "tools-list", "completion-complete", "dns-rebinding-protection"} <= passed
    assert {"prompts-list", "prompts-get-simple", "prompts-get-with-args", "server-sse-multiple-streams"} <= passed


def test_the_inspector_lists_gets_and_executes(account: Enprompta, environment: dict[str, str]) -> None:
    """The inspector's command line starts the server and reads what it answers."""
    account.prompts.create(title="Hello", content="Hello {{name}}")
    given = [f"-e{name}={environment[name]}" for name in ("ENPROMPTA_API_KEY", "ENPROMPTA_BASE_URL")]

    def inspect(method: str, *arguments: str) -> Any:
        done = subprocess.run(
            [str(INSPECTOR), "--cli", *given, "--method", method, *arguments, "--", *COMMAND, "--allow", "execute"],
            capture_output=True, text=True, check=False, timeout=60, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert [one["name"] for one in inspect("prompts/list")["prompts"]] == ["hello"]
    assert [one["name"] for one in inspect("tools/list")["tools"]][-1] == "execute_prompt"
    prompt = inspect("prompts/get", "--prompt-name", "hello", "--prompt-args", "name=Ada")
    assert prompt["messages"][0]["content"]["text"] == "Hello Ada"
    arguments = ["prompt=hello", 'variables={"name": "Ada"}']
    result = inspect("tools/call", "--tool-name", "execute_prompt", "--tool-arg", *arguments)
    assert result["structuredContent"]["output"] == "Hello Ada"
