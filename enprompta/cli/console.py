"""The consoles of all commands: color on a terminal, none in a pipe or if NO_COLOR is set."""

from __future__ import annotations

import os
from typing import Literal

import typer
from rich.console import Console
from rich.text import Text

FAILED = 1
"""The exit status of a failure; typer itself exits with 2 on wrong usage."""

# With NO_COLOR, rich would still write the codes of bold and dim text.
_COLORS: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"


out: Console = Console(color_system=_COLORS, highlight=False, soft_wrap=True)
err: Console = Console(color_system=_COLORS, highlight=False, soft_wrap=True, stderr=True)


def line(*parts: str | tuple[str, str]) -> Text:
    """Build a line from texts and (text, style) pairs, with control characters escaped."""
    return Text.assemble(*((plain(part), "") if isinstance(part, str) else (plain(part[0]), part[1]) for part in parts))


def plain(text: str) -> str:
    """Escape control characters, so that a terminal does not interpret untrusted text."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def fail(message: str) -> typer.Exit:
    """Print why a command failed and return the exception to raise."""
    err.print(line(("error  ", "bold red"), message))
    return typer.Exit(FAILED)
