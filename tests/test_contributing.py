"""The worked example of docs/contributing.md is a change that works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("enprompta", "tests", "docs/openapi.yaml", "pyproject.toml")
TESTS = ("tests/conformance/test_client.py", "tests/hooks/test_otel.py", "tests/test_openapi.py")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("patch"), reason="the program patch is not installed")
@pytest.mark.step("examples")
def test_the_endpoint_of_the_example_works(tmp_path: Path) -> None:
    """The diff applies to this tree, and with it client, emulator and document agree on the new operation."""
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    (diff,) = re.findall(r"^```diff\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for part in PARTS:
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    patched = subprocess.run(
        ["patch", "-p1", "--no-backup-if-mismatch"],
        cwd=tmp_path,
        input=diff,
        capture_output=True,
        text=True,
        check=False,
    )
    assert patched.returncode == 0, patched.stdout + patched.stderr
    # What is about the new operation, and what would miss it somewhere; the copy comes before what is installed.
    chosen = "duplicate or every_operation or every_method or templates_are_those or paths or contract"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", chosen, *TESTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("prompts.duplicate-minimal]", "test_every_method_has_one_operation[AsyncEnprompta]"):
        assert f"{name} PASSED" in done.stdout
