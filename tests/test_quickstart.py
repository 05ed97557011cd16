"""The shell commands of the quickstart work, one after the other, as they stand on the page."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
SERVERS = {
    "enprompta emulator": "8787",
    "enprompta webhooks listen": "8000",
}  # each in a separate shell, and its port
MAKES_THE_ENVIRONMENT = ("python3 -m venv", ". .venv", "pip ")  # the tests run in one already
KEEP = "declare -p prompt ENPROMPTA_BASE_URL ENPROMPTA_API_KEY > .variables 2>/dev/null || true"


def free_port() -> str:
    """Find a free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


class Shells:
    """A shell that knows the variables of the block before, and shells of servers that are stopped in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {port: free_port() for port in SERVERS.values()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENPROMPTA_")}
        self.environment = {**clean, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
        self.servers: list[tuple[subprocess.Popen[str], Path]] = []

    def script(self, block: str) -> str:
        """Take out what makes the environment, and put in ports that are free."""
        lines = [line for line in block.splitlines() if not line.startswith(MAKES_THE_ENVIRONMENT)]
        text = re.sub("|".join(self.ports), lambda found: self.ports[found[0]], "\n".join(lines))
        for server, port in SERVERS.items():
            text = text.replace(server, f"exec {server} --port {self.ports[port]}")
        return f"touch .variables\n. ./.variables\n{text}\n{KEEP}"

    def run(self, block: str) -> str:
        """Run a block and give what it prints."""
        done = subprocess.run(
            ["bash", "-ec", self.script(block)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def serve(self, block: str) -> str:
        """Run a block that keeps running, and wait until it says how to stop it."""
        output = self.folder / f"server-{len(self.servers)}"
        with output.open("w") as file:
            command = ["bash", "-ec", self.script(block)]
            server = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=file, stderr=file, text=True
            )
        self.servers.append((server, output))
        deadline = time.monotonic() + 30
        while "Ctrl-C" not in output.read_text():
            assert server.poll() is None, output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return output.read_text()

    def stop(self) -> None:
        """Press Ctrl-C in each server's shell."""
        for server, _ in self.servers:
            server.send_signal(signal.SIGINT)
            server.wait(20)


@pytest.fixture
def shells(tmp_path: Path) -> Iterator[Shells]:
    """Shells in an empty folder."""
    opened = Shells(tmp_path)
    yield opened
    opened.stop()


@pytest.mark.slow
@pytest.mark.step("blocks")
def test_every_command_works(shells: Shells) -> None:
    """From the emulator to a verified webhook and a resumed bulk run, each block does what the page says."""
    said = [
        shells.serve(block) if any(server in block for server in SERVERS) else shells.run(block)
        for block in BLOCK.findall(PAGE)
    ]
    everything = "\n".join(said)
    assert "reachable    healthy" in everything
    assert "refused, as expected" in everything
    assert "stopped: budget" in everything
    assert "4 executed (2 of them before), 0 failed" in everything
    rows = [line for line in said[-1].splitlines() if line.startswith("{")]
    assert ['"ok": true' in row for row in rows] == [True] * 4
    _, listener = shells.servers[1]
    assert "prompt.executed  evt_" in listener.read_text()
    assert "refused" in listener.read_text()
