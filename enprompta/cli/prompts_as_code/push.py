"""Push: make the service hold what the directory holds, refusing to undo what others did there meanwhile."""

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
# The next prompt would fare no better: a wrong key, a spent budget, a service that is unwell. Any other status is about
# the one prompt it came for.
_HOPELESS = (AuthenticationError, RateLimitError, InternalServerError)


class MovedError(EnpromptaError):
    """The service has changed since the pull; nothing was sent."""


def actions(entries: Sequence[PlannedChange], *, force: bool, prune: bool) -> list[tuple[str, PlannedChange]]:
    """Tell what a push has to do, in order.

    Raises:
        MovedError: Something would be undone that the directory knows nothing of, and `force` is not given.
    """
    refused = [entry for entry in entries if entry.state in _REFUSED and entry.file]
    if refused and not force:
        listed = "\n".join(f"  {entry.file.name} {_REFUSED[entry.state]}" for entry in refused if entry.file)
        raise MovedError(f"{listed}\nNothing was sent. Pull first; --force makes the service hold what the files say")
    chosen: dict[State, str] = {**_ACTIONS, **(_FORCED if force else {})}
    if prune:
        chosen[State.DELETED_HERE] = DELETE
    return [(chosen[entry.state], entry) for entry in entries if entry.state in chosen]


@dataclass(frozen=True, slots=True)
class Push:
    """A push under way."""

    client: Enprompta
    directory: Path
    lock: Lock
    """What file and service agreed on; it is brought up to date and written."""
    report: Callable[[str, PlannedChange, EnpromptaError | None], object]
    """Told of each prompt what was done, or why it was not."""

    def run(self, todo: Sequence[tuple[str, PlannedChange]]) -> bool:
        """Do it, one prompt after the other; what was done stays done, and running again goes on with the rest.

        Returns:
            Whether all was done.

        Raises:
            EnpromptaError: The service cannot be reached or used, or a file cannot be written; the rest was not tried.
        """
        failed = False
        name = self.lock.begin_push(self.directory)
        try:
            for action, entry in todo:
                try:
                    self._do(action, entry, name)
                except APIStatusError as error:
                    if isinstance(error, _HOPELESS):
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
        # Only what is deleted has no file.
        file, wanted = cast("PromptFile", entry.file), cast("Document", entry.wanted)
        made = entry.remote or wanted
        if action == CREATE:
            made = service.create(self.client, replace(wanted, id=None), name, f"{file.name} {entry.id}")
            self.lock.prompts.pop(str(entry.id), None)
        elif entry.changes:  # else it has moved in what the file leaves to the service
            made = service.update(self.client, wanted, made, name)
        agree(self.lock, file.name, _write_back(file, made), made)


def _write_back(file: PromptFile, made: Document) -> Document:
    """Write into a file the id and version that its prompt has got, and give what the file then says."""
    document = file.document
    if document.differs_from(made):  # the service has made something else of it, such as declared a new variable
        write_text(file.path, render(made))
        return made
    if (document.id, document.version) != (made.id, made.version):
        write_text(file.path, with_identity(document, str(made.id), made.version))
    return document
