"""Find and start the installed tools; skip the test, with the reason, where one is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "openapi.yaml"
START_SECONDS = 60.0
# No tool reports its use or looks for updates: the tests talk to this machine only.
_ENVIRONMENT = {
    "NO_COLOR": "1",
    "NO_UPDATE_NOTIFIER": "1",
    "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    "REDOCLY_TELEMETRY": "off",
    "SCARF_ANALYTICS": "false",
}


def npm_tool(name: str) -> str:
    """Return the path of a tool that npm installed."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    path = HERE / "node_modules" / ".bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed: run tests/spec_tools/install")
    return str(path)


def python_tool(name: str) -> str:
    """Return the path of a tool of the separate Python environment."""
    path = HERE / ".venv" / "bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed: run tests/spec_tools/install")
    return str(path)


def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end and return its exit code and everything it printed."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **_ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@contextmanager
def prism(log: Path, *arguments: str) -> Iterator[str]:
    """Run Prism on a free port of this machine, and return the URL of its root once it accepts connections."""
    tool = npm_tool("prism")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [tool, arguments[0], str(DOCUMENT), *arguments[1:], "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **_ENVIRONMENT},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            _wait(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"Prism did not start:\n{log.read_text()}")
