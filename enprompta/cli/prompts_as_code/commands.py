"""`enprompta pull`, `push`, `diff`, `check` and `codegen`: prompts as files, and as typed Python functions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enprompta._common.text_files import open_regular
from enprompta.cli import options
from enprompta.cli import prompts_as_code as code
from enprompta.cli.console import line, out
from enprompta.cli.error_handling import FAILED, connected, show_error
from enprompta.cli.prompts_as_code.files import SUFFIX, read_directory, write_text
from enprompta.cli.prompts_as_code.plan import PlannedChange, State, compare, unified
from enprompta.cli.template_checks import warn_of_files

if TYPE_CHECKING:
    from enprompta import Enprompta
    from enprompta.cli.prompts_as_code.lock import Lock
    from enprompta.errors import EnpromptaError

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help=f"Directory of the *{SUFFIX} files.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]

_STYLES = {"create": "green", "update": "yellow", "delete": "red"}
_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_DONE = {"create": "created", "update": "updated", "delete": "deleted"}
_STATES = {
    State.NEW_HERE: ("+", "green", "new here"),
    State.CHANGED_HERE: ("~", "yellow", "changed here"),
    State.MOVED: ("~", "cyan", "changed at the service"),
    State.CONFLICT: ("!", "bold red", "changed here and at the service"),
    State.GONE: ("!", "red", "gone from the service"),
    State.DELETED_HERE: ("-", "red", "file deleted here"),
    State.NEW_THERE: ("+", "cyan", "new at the service"),
}
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The Python module to write.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if FILE is out of date.")]


def pull(
    directory: Directory,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were changed locally.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete files whose prompts no longer exist.")] = False,
) -> None:
    """Write every prompt of the service to a file in DIR; keep files that were changed locally."""
    with connected() as client:
        entries, lock = _compare(client, directory, new=True)
    done: Counter[str] = Counter()

    def report(what: str, name: str, title: str) -> None:
        done[what] += 1
        out.print(line((f"{what:<14}", "dim" if what.startswith("kept") else "green"), name, ("  " + title, "dim")))

    code.pull.pull(directory, entries, lock, force=force, prune=prune, report=report)
    same = sum(entry.state is State.SAME for entry in entries) - done["version only"]
    out.print(line(_counted({**done, "unchanged": same})))


def push(
    directory: Directory,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite prompts that have changed at the service since the last pull.")
    ] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete prompts whose files were deleted locally.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Create and update prompts at the service from the files in DIR, after showing the plan."""
    with connected() as client:
        entries, lock = _compare(client, directory, resolved=True)
        todo = code.push.actions(entries, force=force, prune=prune)
        _show_plan(todo, entries, prune=prune)
        if dry_run or not todo:
            if not dry_run:
                _settle(directory, entries, lock)
            return
        if not yes:
            instead = ", or --dry-run to only show the plan"
            options.confirm("Continue?", yes=False, instead=instead, kept="nothing was sent")
            # A prompt may have changed while the question was open.
            entries, lock = _compare(client, directory, resolved=True)
            if code.push.actions(entries, force=force, prune=prune) != todo:
                show_error("Prompts changed in the meantime; nothing was sent. Run the command again")
                raise typer.Exit(FAILED)
        done: Counter[str] = Counter()

        def report(action: str, entry: PlannedChange, error: EnpromptaError | None) -> None:
            done[_DONE[action] if error is None else "failed"] += 1
            name = _name(entry)
            if error is None:
                out.print(line((f"{_DONE[action]:<9}", _STYLES[action]), name))
            else:
                out.print(line((f"{'failed':<9}", "bold red"), name, f"  {error}"))

        try:
            complete = code.push.Push(client, directory, lock, report).run(todo)
        finally:
            left = len(todo) - sum(done.values())
            out.print(line(_counted({**done, "not tried": left})))
            if left or done["failed"]:
                out.print(line("Run the command again to continue: finished changes are not repeated."))
        if not complete:
            raise typer.Exit(FAILED)


def diff(directory: Directory) -> None:
    """Show how the files in DIR differ from the service, as a unified diff; + marks lines of the file."""
    with connected() as client:
        entries, _ = _compare(client, directory)
    for entry in entries:
        if entry.state is not State.SAME:
            for text, style in unified(entry):
                out.print(line((text, style)))


def check(directory: Directory) -> None:
    """Check that DIR and the service have the same prompts, for example in CI; exits with 1 if they differ."""
    with connected() as client:
        entries, _ = _compare(client, directory, resolved=True)
    warn_of_files((entry.file for entry in entries if entry.file), directory)
    drifted = [entry for entry in entries if entry.state is not State.SAME]
    for entry in drifted:
        sign, style, what = _STATES[entry.state]
        fields = f" ({', '.join(entry.changes)})" if entry.changes else ""
        out.print(line((f"{sign} ", style), _name(entry), (f"  {what}{fields}", "dim")))
    if drifted:
        out.print(line(f"{len(drifted)} of {len(entries)} differ; `enprompta diff` shows the differences."))
        raise typer.Exit(FAILED)
    out.print(line(f"{len(entries):,} prompt{'' if len(entries) == 1 else 's'}, all the same."))


def codegen(directory: Directory, *, output: Output, check: Check = False) -> None:
    """Generate a Python module with a typed function for each prompt in DIR; works offline, without credentials."""
    files = read_directory(directory)
    code.lock.Lock.read(directory).refuse_conflicts(files)
    warn_of_files(files, directory)
    text = code.generate.module(files)
    is_current = _holds(output, text.encode())
    if check and not is_current:
        show_error(f"{output} is out of date: run `enprompta codegen {directory} -o {output}`")
        raise typer.Exit(FAILED)
    if not is_current:
        write_text(output, text)
    out.print(line(f"{output} {'is up to date' if is_current else 'written'}: {len(files):,} functions."))


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    epilog = "Exit status: 0 success, {}, 2 wrong usage, 3 no credentials."
    panel = "Prompts as code"
    app.command(rich_help_panel=panel, epilog=epilog.format("1 refused or failed"))(pull)
    app.command(rich_help_panel=panel, epilog=epilog.format("1 refused or failed"))(push)
    app.command(rich_help_panel=panel, epilog=epilog.format("1 failed"))(diff)
    app.command(
        rich_help_panel=panel,
        epilog="Exit status: 0 no differences, 1 differences or failure, 2 wrong usage, 3 no credentials.",
    )(check)
    app.command(
        rich_help_panel=panel,
        epilog="Exit status: 0 written or up to date, 1 out of date or an invalid prompt file, 2 wrong usage.",
    )(codegen)


def _compare(
    client: Enprompta, directory: Path, *, new: bool = False, resolved: bool = False
) -> tuple[list[PlannedChange], Lock]:
    files = [] if new and not directory.exists() else read_directory(directory)
    lock = code.lock.Lock.read(directory)
    if resolved:
        lock.refuse_conflicts(files)
    remote = code.service.fetch(client, [file.document.id for file in files if file.document.id])
    return compare(files, remote, lock.prompts), lock


def _settle(directory: Path, entries: list[PlannedChange], lock: Lock) -> None:
    """Record in the lock where file and service agree, and that no push is unfinished."""
    for entry in entries:
        if entry.state is State.SAME and entry.file and entry.remote:
            code.pull.agree(lock, entry.file.name, entry.file.document, entry.remote)
    lock.push = None
    lock.write(directory)


def _show_plan(todo: list[tuple[str, PlannedChange]], entries: list[PlannedChange], *, prune: bool) -> None:
    for action, entry in todo:
        fields = f"  {', '.join(entry.changes)}" if entry.changes else ""
        out.print(line((f"{_SIGNS[action]} {action:<8}", _STYLES[action]), _name(entry), (fields, "dim")))
    states = Counter(entry.state for entry in entries)
    counts = {**Counter(action for action, _ in todo), "unchanged": states[State.SAME]}
    counts["only at the service"] = states[State.NEW_THERE]
    if not prune:
        counts["deleted here (--prune deletes them at the service)"] = states[State.DELETED_HERE]
    out.print(line(_counted(counts)))


def _name(entry: PlannedChange) -> str:
    if entry.file:
        return entry.file.name
    return f"{entry.title} ({entry.id})"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.items() if number) or "Nothing to do."


def _holds(path: Path, data: bytes) -> bool:
    try:
        with open_regular(path) as stream:
            return stream.read(len(data) + 1) == data
    except OSError:  # writing reports the error
        return False
