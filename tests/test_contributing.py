"""The worked example of docs/contributing.md is a change that works, and so do the names of steps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import STEPS

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("enprompta", "tests", "docs", "pyproject.toml", "CHANGELOG.md")


def test_no_step_is_named_like_a_folder() -> None:
    """`pytest --step NAME` would search a folder of that name for `conftest.py`; `site` holds the built site."""
    assert not {path.name for path in ROOT.iterdir()} & STEPS.keys()
    assert "site" not in STEPS


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("patch"), reason="the program patch is not installed")
@pytest.mark.step("blocks")
def test_the_endpoint_of_the_example_works(tmp_path: Path) -> None:
    """The diff applies to this tree, and with it client, emulator and document agree on the new operation."""
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\S+ -m pytest -q -n 2 ((?:.*\\\n)*.*)$", page, re.MULTILINE)
    (diff,) = re.findall(r"^```diff\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    if "def duplicate" in (ROOT / "enprompta" / "resources" / "prompts.py").read_text(encoding="utf-8"):
        pytest.skip("the example is applied to this tree")
    for part in PARTS:
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules", ".venv"))
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
    # Only the tests of the new operation, and those that would miss it somewhere.
    chosen = (
        "duplicate or copy or every_operation or every_method or templates_are_those or contract or rule or prompts"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "-k",
            chosen,
            *command.replace("\\\n", "").split(),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "test_requests_are_as_documented[prompts.duplicate-minimal]",
        "test_every_method_has_one_operation[AsyncEnprompta]",
        "test_a_keyed_write_happens_once[prompts.duplicate]",
        "test_it_has_a_command[prompts.duplicate]",
        "test_it_is_in_the_changelog[prompts.duplicate]",
        "test_its_command_is_in_the_documentation[prompts duplicate]",
        "test_a_stranger_finds_nothing[prompts.duplicate]",
        "test_a_viewer_only_reads[prompts.duplicate]",
        "test_the_prepared_request_succeeds[prompts.duplicate]",
        "test_each_method_sends_its_request[sync-POST /prompts/p/duplicate]",
        "test_a_copy_of_a_prompt",
        "test_prompts",
    ):
        assert f"{name} PASSED" in done.stdout
