"""The commands in README, docs and examples exist, with their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from enprompta.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^ *```(?:bash|text|yaml)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[=(]|\brun: )\s*(?:\w+=\S+ )?enprompta ((?:[a-z-]+)\b.*)$")


def commands() -> Iterator[Any]:
    """Every `enprompta` command line in a shell block, without shell syntax."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if found := COMMAND.search(line):
                    yield pytest.param(found[1], id=f"{page.name}: {found[1]}")


@pytest.mark.parametrize("command", list(commands()))
def test_command_is_there(command: str) -> None:
    """With `--help` added, the command line accepts the command and each option."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = "#"
    arguments: list[str] = []
    for word in words:
        if set(word) <= set("|<>&;()"):  # from here on it is the shell's
            break
        arguments.append(word)
    done = CliRunner().invoke(app, [*arguments, "--help"])
    assert done.exit_code == 0, done.output


def test_there_are_some() -> None:
    """The search finds the commands of pages with many."""
    found = [parameter.id for parameter in commands()]
    assert {"quickstart.md", "cli.md", "webhooks.md", "prompts-as-code.md"} <= {name.split(":")[0] for name in found}
