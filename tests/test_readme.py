"""Every Python block of README and docs runs, and every file they link to is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def blocks() -> Iterator[object]:
    """Every Python block, named by its page and number."""
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text()), 1):
            yield pytest.param(match[1], id=f"{page.relative_to(ROOT)}-{number}")


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """One emulator with room for every block."""
    with Emulator(limits={"team": (100_000, 1_000_000)}) as emulator:
        yield emulator


@pytest.mark.slow
@pytest.mark.parametrize("block", list(blocks()))
def test_block_runs(block: str, service: Emulator, tmp_path: Path) -> None:
    """A reader who pastes the block into a file and runs it sees no error."""
    script = tmp_path / "block.py"
    script.write_text(block)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ENPROMPTA_")},
        "ENPROMPTA_API_KEY": service.keys.team,
        "ENPROMPTA_BASE_URL": service.url,
    }
    done = subprocess.run(
        [sys.executable, script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of this repository leads to one that is there."""
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert dead == []


def test_both_commands_are_one_line_each() -> None:
    """README gives one line that runs the quickstart and one that runs the tests, each making its own environment."""
    commands = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("examples/quickstart.py")
    assert commands[1].endswith("-m pytest")
