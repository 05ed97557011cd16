"""`.enprompta.lock`: the last synchronized state of each prompt, in its file and at the service.

A push uses it to detect changes that others made in the meantime, so commit it together with the files. It has one line
per prompt, in a fixed order, so that merge conflicts are rare.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from enprompta._common.text_files import NotTextError, decode, read_regular
from enprompta.cli.prompts_as_code.document import conflict_in
from enprompta.cli.prompts_as_code.files import FilesError, write_text
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from enprompta.cli.prompts_as_code.files import PromptFile

NAME = ".enprompta.lock"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SyncedVersion:
    """The last synchronized state of a file and the service."""

    file: str
    """The path relative to the directory, with `/`; names the file after it was deleted."""
    local: str
    """The digest of the file's content."""
    remote: str
    """The digest of the prompt at the service."""


@dataclass(slots=True)
class Lock:
    """The lock of a directory."""

    prompts: dict[str, SyncedVersion] = field(default_factory=dict[str, SyncedVersion])
    """The synchronized states, by prompt id."""
    push: str | None = None
    """The id of an unfinished push, whose requests are repeated with the same idempotency keys; else None."""
    _written: str | None = None

    @classmethod
    def read(cls, directory: Path) -> Lock:
        """Read a directory's lock; returns an empty lock if the file does not exist.

        Raises:
            EnpromptaError: It cannot be read.
        """
        path = directory / NAME
        try:
            text = decode(read_regular(path, inside=directory))
        except FileNotFoundError:
            return cls()
        except NotTextError as error:
            raise EnpromptaError(f"{path} {error}") from None
        except OSError as error:
            raise EnpromptaError(f"{path} cannot be read: {error.strerror or error}") from None
        try:
            known = json.loads(text)
            if known["format"] != _FORMAT:
                raise EnpromptaError(f"{path} was written by another version of enprompta, in format {known['format']}")
            keys = ("file", "local", "remote")
            prompts = {
                _text(name): SyncedVersion(*(_text(one[key]) for key in keys)) for name, one in known["prompts"].items()
            }
            push = known.get("push")
            return cls(prompts, None if push is None else _text(push), text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise EnpromptaError(
                f"{path} is damaged, possibly by an unfinished merge: restore it from version control, or delete "
                "it and pull again"
            ) from None

    def refuse_conflicts(self, files: Iterable[PromptFile]) -> None:
        """Refuse files with conflict markers, unless the prompt at the service contains them too.

        Raises:
            FilesError: A file contains markers and has changed since the last pull or push.
        """
        problems: list[str] = []
        for file in files:
            document = file.document
            known = self.prompts.get(document.id or "")
            marked = document.conflict_line
            if marked is not None and (known is None or known.local != document.digest()):
                problems.append(conflict_in(file.name, marked))
        if problems:
            raise FilesError("\n".join(problems))

    def write(self, directory: Path) -> None:
        """Write the lock file if it has changed."""
        text = self._text()
        if text != self._written and (self.prompts or self.push or self._written is not None):
            write_text(directory / NAME, text)
            self._written = text

    def begin_push(self, directory: Path) -> str:
        """Return the id of the interrupted push or of a new one; it is on disk when this returns."""
        if self.push is None:
            self.push = secrets.token_hex(16)
            self.write(directory)
        return self.push

    def _text(self) -> str:
        synced = sorted(self.prompts.items())
        lines = [f"  {json.dumps(key)}: {json.dumps(asdict(one), ensure_ascii=False)}" for key, one in synced]
        push = f' "push": {json.dumps(self.push)},\n' if self.push else ""
        return f'{{\n "format": {_FORMAT},\n{push} "prompts": {{\n' + ",\n".join(lines) + "\n }\n}\n"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate could not be written back
    return value
