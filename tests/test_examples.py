"""Every example runs as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enprompta.emulator import Emulator

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


def run(example: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one example with no settings but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENPROMPTA_")}
    command = [sys.executable, "-W", "error", str(example)]
    return subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_runs_without_a_key(example: Path) -> None:
    """Without a key an example brings its own emulator, and ends well without a warning."""
    done = run(example)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["quickstart", "async_quickstart"])
def test_runs_with_a_key(name: str) -> None:
    """With a key an example talks to the API that the settings name."""
    example = next(one for one in EXAMPLES if one.stem == name)
    with Emulator() as emulator:
        done = run(example, ENPROMPTA_API_KEY=emulator.keys.team, ENPROMPTA_BASE_URL=emulator.url)
    assert done.returncode == 0, done.stderr
    assert "emulator" not in done.stdout


def test_quickstart_shows_the_rendered_prompt() -> None:
    """The quickstart creates, lists and executes a prompt, and prints the result."""
    done = run(next(one for one in EXAMPLES if one.stem == "quickstart"))
    assert "Write a release note about faster search for administrators." in done.stdout
