"""The files of a directory: their names, reading and writing them, and the lock beside them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from enprompta.cli.prompts_as_code import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from enprompta import Enprompta

    Run = Callable[..., Result]


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and the time it was written."""
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in directory.iterdir()}


def write(directory: Path, name: str, content: str, front: str = "title: T\n") -> Path:
    """Write a prompt file by hand."""
    path = directory / f"{name}.prompt.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"---\n{front}---\n{content}\n".encode())
    return path


def test_new_names() -> None:
    """Names are ASCII, no device's, never one that is taken in whatever case; the first comer's is the short one."""
    titles = [
        ("1", "Héllo, World!"),
        ("2", "hello world"),
        ("3", "漢字"),
        ("4", "NUL"),
        ("5", "x" * 300),
        ("6", "../../etc"),
    ]
    names = files.new_names(titles, ["Etc.prompt.md"])
    assert names["1"] == "hello-world.prompt.md"
    assert names["5"] == "x" * 60 + ".prompt.md"
    for number, start in (("2", "hello-world-"), ("3", "prompt-"), ("4", "nul-"), ("6", "etc-")):
        assert names[number].startswith(start)
        assert len(names[number]) == len(start) + 8 + len(".prompt.md")
    assert files.new_names([("2", "hello world")], [])["2"] == "hello-world.prompt.md"
    assert len(files.new_names([("1", "a")], ["a.prompt.md", "a-6b86b273.prompt.md"])["1"]) == len("a-.prompt.md") + 16


def test_unreadable_files_are_reported_together(run: Run, directory: Path) -> None:
    """All files that are no prompts are named together, and nothing is asked of the service for them."""
    write(directory, "good", "x", "id: pmt_1\ntitle: T\n")
    write(directory, "twin", "x", "id: pmt_1\ntitle: T\n")
    write(directory, "typo", "x", "titel: T\n")
    (directory / "binary.prompt.md").write_bytes(b"---\ntitle: T\n---\n\xff")
    (directory / ".hidden").mkdir()
    write(directory / ".hidden", "no", "x", "no: T\n")
    told = run("check", directory, status=1).output
    assert "binary.prompt.md is not UTF-8: byte 17 is 0xff" in told
    assert "typo.prompt.md has the unknown field 'titel'" in told
    assert "good.prompt.md and twin.prompt.md have the same id" in told
    assert "hidden" not in told


@pytest.mark.parametrize(
    "text",
    ["<<<<<<< HEAD", "[]", '{"format": 1}', '{"format": 2, "prompts": {}}', '{"format": 1, "prompts": {"a": {}}}'],
)
def test_a_broken_lock_is_reported(run: Run, directory: Path, text: str) -> None:
    """An unfinished merge of the lock is no empty lock."""
    directory.mkdir()
    (directory / ".enprompta.lock").write_text(text)
    assert ".enprompta.lock" in run("check", directory, status=1).output


def test_a_lock_leads_nowhere_else(run: Run, client: Enprompta, directory: Path) -> None:
    """A file's name in the lock is no way out of the directory."""
    prompt = client.prompts.create(title="One", content="1")
    run("pull", directory)
    lock = directory / ".enprompta.lock"
    lock.write_text(lock.read_text().replace("one.prompt.md", "../out.prompt.md"))
    (directory / "one.prompt.md").unlink()
    run("pull", directory)
    assert (directory / "one.prompt.md").exists()
    assert not (directory.parent / "out.prompt.md").exists()
    assert prompt.id in lock.read_text()


def test_a_full_disk_loses_nothing(
    run: Run, client: Enprompta, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file stays as it was, nothing half written is left, and the error says which file."""
    prompt = client.prompts.create(title="One", content="1")
    run("pull", directory)
    before = contents(directory)
    client.prompts.update(prompt.id, content="2")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        assert "was left unchanged: No space left on device" in run("pull", directory, status=1).output
        assert contents(directory) == before
    run("pull", directory)
    assert "version: 2" in (directory / "one.prompt.md").read_text()


def test_existing_git_attributes_are_kept(run: Run, client: Enprompta, directory: Path) -> None:
    """A directory that already has git attributes keeps them."""
    client.prompts.create(title="One", content="1")
    directory.mkdir()
    (directory / ".gitattributes").write_text("* text\n")
    run("pull", directory)
    assert (directory / ".gitattributes").read_text() == "* text\n"


def test_a_file_that_leads_nowhere(run: Run, directory: Path) -> None:
    """A link to a file that is gone is named, with the reason."""
    directory.mkdir()
    (directory / "lost.prompt.md").symlink_to(directory / "gone")
    assert "lost.prompt.md cannot be read: No such file or directory" in run("check", directory, status=1).output


def test_a_lock_that_cannot_be_read(run: Run, directory: Path) -> None:
    """An unreadable directory is an error, and not treated as empty."""
    (directory / ".enprompta.lock").mkdir(parents=True)
    assert ".enprompta.lock cannot be read: " in run("check", directory, status=1).output


def test_a_directory_that_cannot_be_made(run: Run, directory: Path) -> None:
    """A link to nowhere stands in its place: that is said in one line."""
    directory.symlink_to(directory.parent / "gone")
    told = run("pull", directory, status=1, COLUMNS="300").output
    assert told == f"error  {directory} cannot be written to: File exists\n"
