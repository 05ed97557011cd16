"""What is to be done: a directory, the service, and what they agreed on last, compared. Pure.

=============  =====================================  ==============================  ================================
state          of the prompt                          push                            pull
=============  =====================================  ==============================  ================================
`same`         file and service say the same          nothing                         nothing
`new here`     the file has no id                     creates the prompt              leaves the file
`changed here` only the file has changed              updates the prompt              leaves the file
`moved`        only the service has changed           refuses (--force: overwrites)   writes the file
`conflict`     both have, or nobody knows             refuses (--force: overwrites)   refuses (--force: overwrites)
`gone`         the service has it no longer           refuses (--force: creates it)   leaves the file (--prune: deletes)
`deleted here` its file is gone                       nothing (--prune: deletes it)   writes the file again
`new there`    there never was a file                 nothing                         writes a file
=============  =====================================  ==============================  ================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.files import PromptFile
    from enprompta.cli.prompts_as_code.lock import SyncedVersion


class State(Enum):
    """How a file and the service stand to one another."""

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
    """One prompt, here, there or both."""

    state: State
    file: PromptFile | None
    remote: Document | None
    changes: tuple[str, ...] = ()
    """Fields in which file and service differ."""
    lost: str | None = None
    """The file that was there, for one that is `deleted here`."""

    @property
    def id(self) -> str | None:
        """The prompt's id; None for one that is new here."""
        document = self.remote or (self.file and self.file.document)
        return document.id if document else None

    @property
    def title(self) -> str:
        """What people find it by; the file's when there is one."""
        document = self.file.document if self.file else self.remote
        return document.title if document else ""

    @property
    def wanted(self) -> Document | None:
        """All that the prompt is to be by its file: what that does not speak of stays as it is at the service."""
        if self.file is None or self.remote is None:
            return self.file and self.file.document
        return self.file.document.completed_by(self.remote)


def compare(
    files: Iterable[PromptFile], remote: Mapping[str, Document], agreed: Mapping[str, SyncedVersion]
) -> list[PlannedChange]:
    """Compare, giving files in the order of their names, then what only the service has, in the service's order.

    Args:
        files: What the directory holds.
        remote: What the service holds, by id.
        agreed: What both said when they last agreed, by id.
    """
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
        # A file that leaves, say, its variables to the service is brought up to date when those have changed there.
        is_behind = moved and not changed_here and document.digest() != theirs.digest()
        return PlannedChange(State.MOVED if is_behind else State.SAME, file, theirs)
    if known is None or (moved and changed_here):
        return PlannedChange(State.CONFLICT, file, theirs, changes)
    return PlannedChange(State.MOVED if moved else State.CHANGED_HERE, file, theirs, changes)
