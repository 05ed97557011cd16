"""A local server, the three kinds of client, and programs that run in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.flavours import FLAVOURS
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return request.param


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve faults, and good responses otherwise."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., str]:
    """Run a program from a file with warnings as errors, and return its output; standard error must be empty."""

    def run(text: str, *arguments: str) -> str:
        file = tmp_path / "program.py"
        file.write_text(text, encoding="utf-8")
        # Python 3.12 and later warn of any fork beside threads: that one works here is what such a test is about.
        command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", str(file), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def as_most_programs(without_httpx: None) -> None:
    """Own clients send without httpx."""
