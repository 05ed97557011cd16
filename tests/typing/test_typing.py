"""What users see in their editors holds under both type checkers."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def check(*command: str) -> None:
    """Run a checker and show all it says when it is not content."""
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            *command,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
@pytest.mark.slow
def test_mypy_strict() -> None:
    """Every `assert_type` holds, and every line marked as an error is one, under mypy --strict."""
    check("mypy", "--strict", "--follow-imports=silent", str(HERE / "blocking.py"), str(HERE / "awaited.py"))


@pytest.mark.skipif(not importlib.util.find_spec("pyright"), reason="pyright is not installed")
@pytest.mark.slow
def test_pyright_strict() -> None:
    """The same under pyright, in its strict mode."""
    check("pyright", "--project", str(HERE), "--pythonpath", sys.executable)
