"""The plan: compare a directory, the service, and their last synchronized state. Pure.

=============  =====================================  ==============================  ================================
state          of the prompt                          push                            pull
=============  =====================================  ==============================  ================================
`same`         file and service are equal             nothing                         nothing
`new here`     the file has no id                     creates the prompt              leaves the file
`changed here` only the file has changed              updates the prompt              leaves the file
`moved`        only the service has changed           refuses (--force: overwrites)   writes the file
`conflict`     both have changed, or unknown          refuses (--force: overwrites)   refuses (--force: overwrites)
`gone`         it was deleted at the service          refuses (--force: creates it)   leaves the file (--prune: deletes)
`deleted here` its file was deleted                   nothing (--prune: deletes it)   writes the file again
`new there`    it never had a file                    nothing                         writes a file
=============  =====================================  ==============================  ================================
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from enprompta.cli.prompts_as_code.document import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.files import PromptFile
    from enprompta.cli.prompts_as_code.lock import SyncedVersion


_NAMES = 2  # lines with the names of both sides
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class State(Enum):
    """The relation between a file and the service."""

    SAME = "same"
    NEW_HERE = "new here"
    CHANGED_HERE = "changed here"
    MOVED = "moved"
    CONFLICT = "conflict"
    GONE = "gone"
    DELETED_HERE = "deleted here"
    NEW_THERE = "new there"


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One prompt, in the directory, at the service or both."""

    state: State
    file: PromptFile | None
    remote: Document | None
    changes: tuple[str, ...] = ()
    """Fields that differ between file and service."""
    lost: str | None = None
    """The name of the deleted file, for the state `deleted here`."""

    @property
    def id(self) -> str | None:
        """The prompt's id; None for a prompt that is new here."""
        document = self.remote or (self.file and self.file.document)
        return document.id if document else None

    @property
    def title(self) -> str:
        """The title in the file, or at the service if there is no file."""
        document = self.file.document if self.file else self.remote
        return document.title if document else ""

    @property
    def wanted(self) -> Document | None:
        """The prompt that the file describes; fields absent from the file are left unchanged."""
        if self.file is None or self.remote is None:
            return self.file and self.file.document
        return self.file.document.completed_by(self.remote)


def compare(
    files: Iterable[PromptFile], remote: Mapping[str, Document], agreed: Mapping[str, SyncedVersion]
) -> list[PlannedChange]:
    """Compare files and service; files come first, sorted by name, then prompts that only the service has."""
    entries = [_entry(file, remote, agreed) for file in files]
    here = {entry.file.document.id for entry in entries if entry.file}
    for prompt_id, document in remote.items():
        if prompt_id not in here:
            known = agreed.get(prompt_id)
            state = State.DELETED_HERE if known else State.NEW_THERE
            entries.append(PlannedChange(state, None, document, lost=known and known.file))
    return entries


def _entry(file: PromptFile, remote: Mapping[str, Document], agreed: Mapping[str, SyncedVersion]) -> PlannedChange:
    document = file.document
    if document.id is None:
        return PlannedChange(State.NEW_HERE, file, None)
    theirs = remote.get(document.id)
    if theirs is None:
        return PlannedChange(State.GONE, file, None)
    known = agreed.get(document.id)
    changes = tuple(document.differs_from(theirs))
    changed_here = known is not None and known.local != document.digest()
    moved = known is not None and known.remote != theirs.digest()
    if not changes:
        # A file that leaves out optional fields is updated if they have changed at the service.
        is_behind = moved and not changed_here and document.digest() != theirs.digest()
        return PlannedChange(State.MOVED if is_behind else State.SAME, file, theirs)
    if known is None or (moved and changed_here):
        return PlannedChange(State.CONFLICT, file, theirs, changes)
    return PlannedChange(State.MOVED if moved else State.CHANGED_HERE, file, theirs, changes)


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
