"""Spectral and Redocly, which check API descriptions, find no error in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.spec_tools.tools import DOCUMENT, npm_tool, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.step("spec_tools")]


def spectral(document: Path, directory: Path) -> tuple[int, str]:
    """Lint a document with Spectral's rules for OpenAPI, none of them changed."""
    ruleset = directory / "spectral.yaml"
    ruleset.write_text('extends: ["spectral:oas"]\n')
    done = run(npm_tool("spectral"), "lint", "--ruleset", str(ruleset), str(document))
    return done.returncode, done.stdout


def redocly(document: Path, directory: Path) -> tuple[int, str]:
    """Lint a document with Redocly's recommended rules, none of them changed."""
    done = run(npm_tool("redocly"), "lint", "--extends", "recommended", str(document), cwd=directory)
    return done.returncode, done.stdout


@pytest.mark.parametrize("lint", [spectral, redocly])
def test_linter_finds_no_error(lint: Callable[[Path, Path], tuple[int, str]], tmp_path: Path) -> None:
    """The linter passes the document, and fails the same document with one reference broken."""
    code, printed = lint(DOCUMENT, tmp_path)
    assert code == 0, printed
    broken = tmp_path / "broken.yaml"
    broken.write_text(DOCUMENT.read_text("utf-8").replace("schemas/TeamRole'", "schemas/NoRole'", 1), "utf-8")
    assert lint(broken, tmp_path)[0] != 0
