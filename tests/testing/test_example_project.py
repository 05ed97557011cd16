"""The example project of docs/testing.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.step("blocks")]  # many processes, or thousands of calls

PROJECT = Path(__file__).resolve().parents[2] / "examples" / "testing_project"


def test_its_tests_pass() -> None:
    """The example's own suite passes, run as its README says, with warnings as errors."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
