"""The types that users see in editors hold in three type checkers, and every public name has a declared type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PINNED = sorted(path for path in HERE.glob("*.py") if path != Path(__file__))
pytestmark = [pytest.mark.slow, pytest.mark.step("types")]


def run(*command: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a checker of this environment with this environment's packages."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", **environ}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False, env=environ
    )


def test_mypy_strict() -> None:
    """Under mypy --strict, every `assert_type` holds and every marked line is an error."""
    pytest.importorskip("mypy")
    done = run("mypy", "--strict", "--follow-imports=silent", *map(str, PINNED))
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_strict() -> None:
    """Under strict pyright, every `assert_type` holds and every marked line is an error."""
    pytest.importorskip("pyright")
    done = run("pyright", "--project", str(HERE), "--pythonpath", sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyrefly_strict() -> None:
    """Under strict pyrefly, which ignores the marks, exactly the marked lines are errors.

    A line marked `pyrefly alone` may be an error too: pyrefly lets no open TypedDict be unpacked into keywords.
    """
    pytest.importorskip("pyrefly")
    options = ["--config", str(HERE / "pyrefly.toml"), "--search-path", str(ROOT), "--python-interpreter-path"]
    done = run(
        "pyrefly", "check", *options, sys.executable, "--output-format=json", "--summary=none", *map(str, PINNED)
    )
    found = {
        (Path(error["path"]).name, error["line"]): error["description"] for error in json.loads(done.stdout)["errors"]
    }
    marked = {
        (path.name, number)
        for path in PINNED
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "# type: ignore[" in line or "# pyrefly alone" in line
    }
    assert {where: text for where, text in found.items() if where not in marked} == {}
    assert marked - set(found) == set()


def test_every_public_name_has_a_type(tmp_path: Path) -> None:
    """Every public name has a declared type, so that all checkers infer the same: type completeness is 100 %.

    The package is checked as installed, by a checker that does not see this checkout.
    """
    pytest.importorskip("pyright")
    shutil.copytree(ROOT / "enprompta", tmp_path / "enprompta")
    options = ["--verifytypes", "enprompta", "--ignoreexternal", "--outputjson"]
    done = run("pyright", *options, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    completeness = json.loads(done.stdout)["typeCompleteness"]
    lacking = {
        symbol["name"]: [one["message"] for one in symbol["diagnostics"] if one["severity"] == "error"]
        for symbol in completeness["symbols"]
        if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]
    }
    assert lacking == {}
    assert completeness["completenessScore"] == 1
    assert completeness["exportedSymbolCounts"]["withKnownType"] > 2000, "the package itself was not found"
