"""Explanations of errors, which the Workbench shows next to a failed request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from enprompta.exchanges import Exchange
from enprompta.workbench.inspector import BY_STATUS, Explanation, explain

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def explained(status: int | None) -> Explanation | None:
    """Explain an exchange with a status."""
    return explain(Exchange(0, 0.0, "GET", "/api/v1/prompts", status=status))


def rows() -> dict[str, Explanation]:
    """Read the tables of the page on errors, without links: status, or class if there is none, and its row."""
    found: dict[str, Explanation] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).strip("|").split(" | ")]
        if line.startswith("|") and len(cells) in {3, 4}:
            found[cells[0].strip("`")] = Explanation(cells[-3].strip("`"), cells[-2], cells[-1])
    return found


def test_explanations_are_those_of_the_documentation() -> None:
    """Each row by status of the page on errors, and each explanation, is in both, word for word."""
    table = rows()
    assert {int(status): row for status, row in table.items() if re.fullmatch(r"\d+", status)} == BY_STATUS
    for status, row in (
        (None, "APIConnectionError"),
        (302, "3xx"),
        (413, "413, other 4xx"),
        (405, "413, other 4xx"),
        (503, "5xx"),
        *((status, str(status)) for status in BY_STATUS),
    ):
        assert explained(status) == table[row]


@pytest.mark.parametrize("status", [101, 200, 204, 299])
def test_a_success_has_no_explanation(status: int) -> None:
    """Only failures are explained."""
    assert explained(status) is None
