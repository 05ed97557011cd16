"""What all commands print with: colour on a terminal, none in a pipe or where NO_COLOR is set."""

from __future__ import annotations

import errno
import os
from typing import Literal, NoReturn

import typer
from rich.console import Console
from rich.text import Text

FAILED = 1
"""The exit status when something was refused or has failed; wrong usage is typer's own 2."""

# With NO_COLOR, rich would still write the codes of bold and dim text.
_COLOURS: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"


class _Output(Console):
    """A console that reports a closed pipe, as it reports a full disk; rich would end the process without a word."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise it.

        Raises:
            BrokenPipeError: Always.
        """
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


out: Console = _Output(color_system=_COLOURS, highlight=False, soft_wrap=True)
err: Console = Console(color_system=_COLOURS, highlight=False, soft_wrap=True, stderr=True)


def line(*parts: str | tuple[str, str]) -> Text:
    """Make a line of text and of pairs of text and style; control characters are shown, never obeyed."""
    return Text.assemble(*((plain(part), "") if isinstance(part, str) else (plain(part[0]), part[1]) for part in parts))


def plain(text: str) -> str:
    """Write text from elsewhere so that a terminal takes nothing in it for a command."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def fail(message: str) -> typer.Exit:
    """Say why a command failed; raise what this gives."""
    err.print(line(("error  ", "bold red"), message))
    return typer.Exit(FAILED)
