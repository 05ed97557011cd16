"""Push: update the service from the directory, without undoing changes that others made in the meantime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from enprompta.cli.prompts_as_code import service
from enprompta.cli.prompts_as_code.document import render, with_identity
from enprompta.cli.prompts_as_code.files import write_text
from enprompta.cli.prompts_as_code.plan import PlannedChange, State
from enprompta.cli.prompts_as_code.pull import agree
from enprompta.errors import APIStatusError, AuthenticationError, EnpromptaError, InternalServerError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from enprompta import Enprompta
    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.files import PromptFile
    from enprompta.cli.prompts_as_code.lock import Lock

CREATE, UPDATE, DELETE = "create", "update", "delete"
_REFUSED = {
    State.MOVED: "has changed at the service since the pull",
    State.CONFLICT: "has changed here and at the service",
    State.GONE: "is gone from the service",
}
_ACTIONS = {State.NEW_HERE: CREATE, State.CHANGED_HERE: UPDATE}
_FORCED = {State.MOVED: UPDATE, State.CONFLICT: UPDATE, State.GONE: CREATE}
# Errors that the next prompt would meet too. Any other status concerns a single prompt.
_FATAL_ERRORS = (AuthenticationError, RateLimitError, InternalServerError)


class MovedError(EnpromptaError):
    """The service has changed since the last pull; nothing was sent."""


def actions(entries: Sequence[PlannedChange], *, force: bool, prune: bool) -> list[tuple[str, PlannedChange]]:
    """List the actions of a push, in order.

    Raises:
        MovedError: Changes of others would be undone, and `force` is not given.
    """
    refused = [entry for entry in entries if entry.state in _REFUSED and entry.file]
    if refused and not force:
        listed = "\n".join(f"  {entry.file.name} {_REFUSED[entry.state]}" for entry in refused if entry.file)
        raise MovedError(
            f"{listed}\nNothing was sent. Pull first, or use --force to overwrite the service with the files"
        )
    chosen: dict[State, str] = {**_ACTIONS, **(_FORCED if force else {})}
    if prune:
        chosen[State.DELETED_HERE] = DELETE
    return [(chosen[entry.state], entry) for entry in entries if entry.state in chosen]


@dataclass(frozen=True, slots=True)
class Push:
    """One push."""

    client: Enprompta
    directory: Path
    lock: Lock
    """The lock, which is updated and written."""
    report: Callable[[str, PlannedChange, EnpromptaError | None], object]
    """Called for each prompt with the action and its error, if any."""

    def run(self, todo: Sequence[tuple[str, PlannedChange]]) -> bool:
        """Push one prompt after the other; after an interruption, a new push continues with the rest.

        Returns:
            True if every action succeeded.

        Raises:
            EnpromptaError: The service cannot be reached or used, or a file cannot be written; the rest was skipped.
        """
        failed = False
        name = self.lock.begin_push(self.directory)
        try:
            for action, entry in todo:
                try:
                    self._do(action, entry, name)
                except APIStatusError as error:
                    if isinstance(error, _FATAL_ERRORS):
                        raise
                    failed = True
                    self.report(action, entry, error)
                else:
                    self.report(action, entry, None)
            if not failed:
                self.lock.push = None
        finally:
            self.lock.write(self.directory)
        return not failed

    def _do(self, action: str, entry: PlannedChange, name: str) -> None:
        if action == DELETE:
            service.delete(self.client, str(entry.id))
            del self.lock.prompts[str(entry.id)]
            return
        # Only deletions have no file.
        file, wanted = cast("PromptFile", entry.file), cast("Document", entry.wanted)
        made = entry.remote or wanted
        if action == CREATE:
            made = service.create(self.client, replace(wanted, id=None), name, f"{file.name} {entry.id}")
            self.lock.prompts.pop(str(entry.id), None)
        elif entry.changes:  # otherwise only fields absent from the file have changed
            made = service.update(self.client, wanted, made, name)
        agree(self.lock, file.name, _write_back(file, made), made)


def _write_back(file: PromptFile, made: Document) -> Document:
    """Write the prompt's new id and version to its file, and return the file's content."""
    document = file.document
    if document.differs_from(made):  # the service changed it, such as by declaring a new variable
        write_text(file.path, render(replace(made, output=document.output)))
        return made
    if (document.id, document.version) != (made.id, made.version):
        write_text(file.path, with_identity(document, str(made.id), made.version))
    return document
