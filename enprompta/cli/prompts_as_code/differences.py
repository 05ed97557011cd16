"""Line-by-line differences between a file and the service."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from enprompta.cli.prompts_as_code.document import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.plan import PlannedChange

_NAMES = 2  # lines with the names of both sides
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def unified(entry: PlannedChange) -> Iterator[tuple[str, str]]:
    """Yield the lines of a unified diff from the service to the file, each with its style."""
    name = entry.file.name if entry.file else entry.lost or f"{entry.title} ({entry.id})"
    output = entry.file.document.output if entry.file else None  # the service has no such field
    before, after = _lines(entry.remote, output), _lines(entry.wanted if entry.file else None, output)
    there = f"service/{name}" if entry.remote else "/dev/null"
    here = f"here/{name}" if entry.file else "/dev/null"
    for number, text in enumerate(difflib.unified_diff(before, after, there, here, lineterm="")):
        heading = number < _NAMES
        yield text, "bold" if heading else _STYLES.get(text[:1], "")


def _lines(document: Document | None, output: str | None) -> list[str]:
    # The service assigns the version, so it is not a difference.
    return (
        []
        if document is None
        else render(replace(document, version=None, output=output)).removesuffix("\n").split("\n")
    )
