"""What users see in their editors of bulk execution holds under both type checkers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TYPED = str(HERE / "typed.py")


def check(*command: str) -> None:
    """Run a checker and show all it says when it is not content."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
def test_mypy_strict() -> None:
    """Every `assert_type` holds, and every line marked as an error is one, under mypy --strict."""
    check("mypy", "--strict", "--follow-imports=silent", TYPED)


@pytest.mark.skipif(not importlib.util.find_spec("pyright"), reason="pyright is not installed")
def test_pyright_strict() -> None:
    """The same under pyright, by the settings of this project."""
    check("pyright", "--pythonpath", sys.executable, TYPED)
