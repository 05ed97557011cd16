"""Every Python block of README and docs runs, and every file they link to exists."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import traceback
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```python[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
PRELOADED = [
    "enprompta",
    "enprompta._client.async_client",
    "enprompta._client.sync_client",
    "enprompta.emulator",
    "enprompta.testing",
    "enprompta.models",
    "asyncio",
]
SECONDS = 60


def blocks() -> Iterator[object]:
    """Every Python block, named by its page and number."""
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1):
            indent, text = match.groups()
            code = re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
            marks = () if page.name == "README.md" else (pytest.mark.step("blocks"),)
            yield pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}", marks=marks)


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """One emulator with room for every block."""
    with Emulator(limits={"team": (100_000, 1_000_000)}) as emulator:
        yield emulator


def run_block(script: Path, environment: dict[str, str], errors: Path) -> None:
    """Run a block as `python script` would, in a process that has the package loaded already."""
    for name in [name for name in os.environ if name.startswith("ENPROMPTA_")]:
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(script.parent)
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    sys.argv = [str(script)]
    sys.path[0:0] = [str(script.parent)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    except BaseException:
        traceback.print_exc()
        raise


@pytest.mark.slow
@pytest.mark.parametrize("block", list(blocks()))
def test_block_runs(block: str, service: Emulator, tmp_path: Path) -> None:
    """A reader who pastes the block into a file and runs it, with pytest if it has tests, sees no error."""
    script, errors = tmp_path / "block.py", tmp_path / "errors.txt"
    script.write_text(block, encoding="utf-8")
    environment = {"ENPROMPTA_API_KEY": service.keys.team, "ENPROMPTA_BASE_URL": service.url}
    is_test = "\ndef test_" in block
    if is_test or "__main__" in block or "distributed" in block:  # needs a process that is its own
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENPROMPTA_")}
        done = subprocess.run(
            [sys.executable, *(["-m", "pytest", "-q", "-p", "no:asyncio"] if is_test else []), script],
            env=clean | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=run_block, args=(script, environment, errors))
    process.start()
    process.join(SECONDS)
    process.kill()
    process.join()
    assert process.exitcode == 0, errors.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of this repository leads to one that exists."""
    dead = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert dead == []


def test_both_commands_are_one_line_each() -> None:
    """README has one line that runs the quickstart and one that runs the tests; each makes its environment."""
    commands = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "-m venv" in line]
    assert len(commands) == 2
    assert commands[0].endswith("examples/quickstart.py")
    assert commands[1].endswith("-m pytest -n auto")
