"""`.enprompta.lock`: what the service and the file said of each prompt when they last agreed.

It is how a push knows that somebody else has changed a prompt meanwhile, so it belongs into version control with the
files: one line a prompt, in a fixed order, so that two branches rarely touch the same line.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from enprompta.cli.prompts_as_code.files import write_text
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from pathlib import Path

NAME = ".enprompta.lock"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Agreed:
    """Where a file and the service met."""

    file: str
    """The file, below the directory, with `/`; to tell which one it was when it is gone."""
    local: str
    """The digest of what the file said."""
    remote: str
    """The digest of what the service said."""


@dataclass(slots=True)
class Lock:
    """The lock of a directory."""

    prompts: dict[str, Agreed] = field(default_factory=dict[str, Agreed])
    """By the prompt's id."""
    push: str | None = None
    """Names the push that is under way, or was broken off: its requests are sent again under the same keys."""
    _written: str | None = None

    @classmethod
    def read(cls, directory: Path) -> Lock:
        """Read a directory's lock; an empty one when there is none.

        Raises:
            EnpromptaError: It cannot be read.
        """
        path = directory / NAME
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as error:
            raise EnpromptaError(f"{path} cannot be read: {error}") from None
        try:
            known = cast("dict[str, Any]", json.loads(text))
            if known["format"] != _FORMAT:
                raise EnpromptaError(f"{path} was written by another version of enprompta, in format {known['format']}")
            prompts = {name: Agreed(one["file"], one["local"], one["remote"]) for name, one in known["prompts"].items()}
            return cls(prompts, known.get("push"), text)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EnpromptaError(
                f"{path} is not readable (a merge that was not finished?): restore it from version control, or delete "
                "it and pull again"
            ) from None

    def write(self, directory: Path) -> None:
        """Write it, unless it is there already just so."""
        text = self._text()
        if text != self._written and (self.prompts or self.push or self._written is not None):
            write_text(directory / NAME, text)
            self._written = text

    def begin_push(self, directory: Path) -> str:
        """Give the name of the push, the one that was broken off or a new one; it is on the disk when this returns."""
        if self.push is None:
            self.push = secrets.token_hex(16)
            self.write(directory)
        return self.push

    def _text(self) -> str:
        lines = [f"  {json.dumps(key)}: {_line(self.prompts[key])}" for key in sorted(self.prompts)]
        push = f' "push": {json.dumps(self.push)},\n' if self.push else ""
        return f'{{\n "format": {_FORMAT},\n{push} "prompts": {{\n' + ",\n".join(lines) + "\n }\n}\n"


def _line(agreed: Agreed) -> str:
    return json.dumps({"file": agreed.file, "local": agreed.local, "remote": agreed.remote}, ensure_ascii=False)
