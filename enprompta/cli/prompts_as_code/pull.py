"""Pull: update the directory from the service, without losing local changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from enprompta.cli.prompts_as_code.document import DocumentError, parse, render, with_identity
from enprompta.cli.prompts_as_code.files import FilesError, keep_line_ends, may_be_restored, new_names, write_text
from enprompta.cli.prompts_as_code.lock import SyncedVersion
from enprompta.cli.prompts_as_code.plan import PlannedChange, State
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.lock import Lock

_WRITTEN = {State.MOVED: "updated", State.NEW_THERE: "written", State.DELETED_HERE: "written"}
_KEPT = {State.NEW_HERE: "kept, new here", State.CHANGED_HERE: "kept, changed here"}


class ConflictError(EnpromptaError):
    """Files and the service have both changed; nothing was written."""


def pull(
    directory: Path,
    entries: Sequence[PlannedChange],
    lock: Lock,
    *,
    force: bool,
    prune: bool,
    report: Callable[[str, str, str], object],
) -> None:
    """Write the changes of the service to files.

    Unless it is forced, it overwrites no file that was changed locally. Pruning deletes files whose prompts no longer
    exist, unless they were changed locally. Each file is reported with the action, its name and the title.

    Raises:
        ConflictError: Files were changed here and at the service, and `force` is not given.
        FilesError: A file cannot be written; those before it are. Or prompts cannot be kept in files; all others are.
    """
    conflicts = [entry for entry in entries if entry.state is State.CONFLICT]
    if conflicts and not force:
        listed = "\n".join(f"  {entry.file.name}: {', '.join(entry.changes)}" for entry in conflicts if entry.file)
        raise ConflictError(
            f"Changed here and at the service:\n{listed}\nNothing was written. See `enprompta diff`; --force "
            "overwrites these files with the service's versions"
        )
    fresh = [entry for entry in entries if entry.file is None]
    taken = [entry.file.name for entry in entries if entry.file]
    names = _names_of_lost(fresh, taken, directory)
    unnamed = [(str(entry.id), entry.title) for entry in fresh if entry.id not in names]
    names |= new_names(unnamed, [*taken, *names.values()])
    problems: list[str] = []
    alive = {str(entry.id) for entry in entries}
    lock.prompts = {prompt_id: agreed for prompt_id, agreed in lock.prompts.items() if prompt_id in alive}
    try:
        if not lock.prompts and not taken:
            directory.mkdir(parents=True, exist_ok=True)
            keep_line_ends(directory)
        for entry in entries:
            try:
                _pull_one(directory, entry, names, lock, force=force, prune=prune, report=report)
            except DocumentError as error:
                problems.append(f"{entry.title} ({entry.id}) cannot be kept in a file: {error.message}")
    except OSError as error:
        raise FilesError(f"{directory} cannot be written to: {error.strerror or error}") from None
    finally:
        lock.write(directory)
    if problems:
        raise FilesError("\n".join(problems))


def _readable(document: Document, name: str) -> str:
    """Return the text of a prompt's file, after checking that it can be read back.

    Raises:
        DocumentError: It contains something that a file cannot, such as a lone surrogate.
    """
    text = render(document)
    try:
        parse(text.encode().decode(), name)
    except UnicodeEncodeError:
        raise DocumentError("its text contains a lone surrogate, which UTF-8 lacks") from None
    return text


def _names_of_lost(fresh: Sequence[PlannedChange], taken: Sequence[str], directory: Path) -> dict[str, str]:
    """Return the names of deleted files from the lock, by id; the lock is untrusted."""
    used = {name.casefold() for name in taken}
    names: dict[str, str] = {}
    for entry in fresh:
        if entry.lost and entry.lost.casefold() not in used and may_be_restored(entry.lost, directory):
            used.add(entry.lost.casefold())
            names[str(entry.id)] = entry.lost
    return names


def _pull_one(
    directory: Path,
    entry: PlannedChange,
    names: dict[str, str],
    lock: Lock,
    *,
    force: bool,
    prune: bool,
    report: Callable[[str, str, str], object],
) -> None:
    file, remote = entry.file, entry.remote
    name = file.name if file else names[str(entry.id)]
    overwritten = force and entry.state in {State.CONFLICT, State.CHANGED_HERE}
    if remote is not None and (entry.state in _WRITTEN or overwritten):
        output = file.document.output if file else None
        write_text(directory / name, _readable(replace(remote, output=output), name))
        agree(lock, name, remote, remote)
        report("overwritten" if overwritten else _WRITTEN[entry.state], name, remote.title)
    elif file is not None and remote is not None and entry.state is State.SAME:
        if file.document.version != remote.version:
            write_text(file.path, with_identity(file.document, str(remote.id), remote.version))
            report("version only", name, entry.title)
        agree(lock, name, file.document, remote)
    elif file is not None and entry.state is State.GONE:
        known = lock.prompts.get(str(entry.id))
        unchanged = known is not None and known.local == file.document.digest()
        if prune and (unchanged or force):
            file.path.unlink()
            lock.prompts.pop(str(entry.id), None)
        report("deleted" if prune and (unchanged or force) else "kept, gone there", name, entry.title)
    else:
        report(_KEPT[entry.state], name, entry.title)


def agree(lock: Lock, name: str, local: Document, remote: Document) -> None:
    """Record that a file and the service are in sync."""
    lock.prompts[str(remote.id)] = SyncedVersion(name, local.digest(), remote.digest())
