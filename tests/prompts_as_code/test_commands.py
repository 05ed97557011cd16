"""`pull`, `push`, `diff` and `check` against an emulator."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import NotFoundError
from enprompta.cli import options
from enprompta.cli.prompts_as_code import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from enprompta import Enprompta
    from enprompta.emulator import Emulator

    Run = Callable[..., Result]

PIECES = [
    "\r\n", "\r", "\n", " \n", "\t", "---\n", "---", "😀", "\ufeff", "\x01\x1b[2J\x7f", "\u2028", "\x85", "{{ topic }}",
    "id: pmt_1\n", "word ", "  ", "é", "漢字", "\\", '"', "'", "#",
]  # fmt: skip


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and modification time."""
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in directory.iterdir()}


def write(directory: Path, name: str, content: str, front: str = "title: T\n") -> Path:
    """Write a prompt file by hand."""
    path = directory / f"{name}.prompt.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"---\n{front}---\n{content}\n".encode())
    return path


def edit(path: Path, old: str, new: str) -> None:
    """Change a file by hand."""
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::enprompta.TemplateWarning")
def test_hostile_prompts_round_trip(run: Run, client: Enprompta, directory: Path) -> None:
    """Pull, push and pull again: byte-identical, and nothing is written anywhere when nothing has changed."""
    dice = random.Random(6)
    texts = {}
    count = 1_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 150
    for number in range(count):
        text = "".join(dice.choices(PIECES, k=dice.randint(1, 30)))
        title = "".join(dice.choices([*PIECES, "con", "T"], k=3)).strip() or "T"
        variables: Any = [{"name": "topic", "type": "text", "default": text}] if number % 3 == 0 else []
        prompt = client.prompts.create(
            title=title, content=text, description=text, tags=[text[:100]], variables=variables
        )
        texts[prompt.id] = text
    began = time.perf_counter()
    assert run("pull", directory).output.endswith(f"{count:,} written\n")
    assert time.perf_counter() - began < 20
    pulled = contents(directory)
    assert len(pulled) == count + 2  # with the lock and the git attributes
    found = {one.document.id: one.document.fields["content"] for one in files.read_directory(directory)}
    assert found == texts
    before = {prompt.id: prompt for prompt in client.prompts.list(limit=100)}
    assert run("push", directory).output == f"{count:,} unchanged\n"
    assert run("check", directory).stdout == f"{count:,} prompts, all the same.\n"
    assert run("pull", directory).output == f"{count:,} unchanged\n"
    assert contents(directory) == pulled
    assert {prompt.id: prompt for prompt in client.prompts.list(limit=100)} == before
    names = {name.casefold() for name in pulled}
    assert len(names) == len(pulled)
    assert all(name.isascii() and len(name) < 90 for name in pulled)


def test_a_directory_is_pushed_to_an_empty_service(run: Run, client: Enprompta, directory: Path) -> None:
    """New files become prompts, the files learn their ids, and nothing is left to do."""
    write(directory, "sub/first", "Hello {{name}} \r\n", "title: First # a comment\ntags: [a]\n")
    write(directory, "second", "Bye", "title: Second\nvisibility: PRIVATE\n")
    assert run("check", directory, status=1).output.count("new here") == 2
    done = run("push", directory, "--yes").output
    assert done.splitlines()[-3:] == ["created  second.prompt.md", "created  sub/first.prompt.md", "2 created"]
    prompts = {prompt.title: prompt for prompt in client.prompts.list()}
    assert prompts["First"].content == "Hello {{name}} \r\n"
    text = (directory / "sub/first.prompt.md").read_bytes().decode()
    identity = f"---\nid: {prompts['First'].id}\n"
    assert text == f"{identity}title: First # a comment\ntags: [a]\nversion: 1\n---\nHello {{{{name}}}} \r\n\n"
    for command in (("check",), ("push",), ("pull",)):
        run(*command, directory)
    assert (directory / "sub/first.prompt.md").read_bytes().decode() == text


def test_only_what_has_changed_is_sent(run: Run, client: Enprompta, directory: Path) -> None:
    """A new title creates no new version; a new text does, and the file records it."""
    prompt = client.prompts.create(title="Old", content="Hello {{name}}", description="x", category="c")
    run("pull", directory)
    path = directory / "old.prompt.md"
    edit(path, "title: Old\ndescription: x\n", "title: New\n")
    assert "title, description" in run("push", directory, "--yes").output
    after = client.prompts.get(prompt.id)
    assert (after.title, after.description, after.category, after.version) == ("New", None, "c", 1)
    edit(path, "Hello {{name}}", "Hello {{name}} and {{other}}")
    run("push", directory, "--yes")
    assert "version: 2" in path.read_text()
    assert "name: other" in path.read_text()  # the service declared it
    run("check", directory)
    assert run("push", directory).output == "1 unchanged\n"


def test_a_push_refuses_to_undo_what_others_did(run: Run, client: Enprompta, directory: Path) -> None:
    """A prompt that changed at the service is refused, without sending, until it is pulled or --force is given."""
    mine = client.prompts.create(title="Mine", content="1")
    theirs = client.prompts.create(title="Theirs", content="1")
    run("pull", directory)
    client.prompts.update(theirs.id, content="2")
    edit(directory / "mine.prompt.md", "\n1\n", "\nchanged\n")
    refused = run("push", directory, "--yes", status=1).output
    assert "theirs.prompt.md has changed at the service since the pull" in refused
    assert "Nothing was sent. Pull first, or use --force" in refused
    assert client.prompts.get(mine.id).content == "1"
    assert run("pull", directory).output.splitlines()[-1] == "1 kept, changed here, 1 updated"
    run("push", directory, "--yes")
    assert client.prompts.get(mine.id).content == "changed"
    assert client.prompts.get(theirs.id).content == "2"
    client.prompts.update(theirs.id, content="3")
    run("push", directory, "--yes", "--force")
    assert client.prompts.get(theirs.id).content == "2"
    run("check", directory)


def test_a_conflict_is_refused_both_ways(run: Run, client: Enprompta, directory: Path) -> None:
    """A prompt that changed on both sides is overwritten on neither side without --force."""
    prompt = client.prompts.create(title="Both", content="1")
    run("pull", directory)
    path = directory / "both.prompt.md"
    for forced in ("push", "pull"):
        client.prompts.update(prompt.id, content=f"there {forced}")
        text = path.read_text()
        path.write_text(text[: text.rindex("---\n")] + f"---\nhere {forced}\n")
        for command in (("push", directory, "--yes"), ("pull", directory)):
            assert "both.prompt.md" in run(*command, status=1).output
        assert "changed here and at the service (content)" in run("check", directory, status=1).output
        assert (client.prompts.get(prompt.id).content, f"here {forced}" in path.read_text()) == (
            f"there {forced}",
            True,
        )
        run(forced, directory, "--force", *(["--yes"] if forced == "push" else []))
        assert client.prompts.get(prompt.id).content == ("here push" if forced == "push" else "there pull")
        run("check", directory)


def test_without_a_lock_a_difference_is_a_conflict(run: Run, client: Enprompta, directory: Path) -> None:
    """Without a lock, differing prompts are conflicts, so no change is lost; equal ones are recorded again."""
    prompt = client.prompts.create(title="One", content="1")
    run("pull", directory)
    (directory / ".enprompta.lock").unlink()
    run("push", directory)
    (directory / ".enprompta.lock").unlink()
    client.prompts.update(prompt.id, content="2")
    run("push", directory, "--yes", status=1)
    run("pull", directory, status=1)


def test_deleting(run: Run, client: Enprompta, directory: Path) -> None:
    """A prompt is deleted only with --prune, only when its file was here; a file only with --prune, when unchanged."""
    prompts = [client.prompts.create(title=title, content="1") for title in ("A", "B", "C", "D")]
    run("pull", directory)
    stranger = client.prompts.create(title="Stranger", content="1")
    (directory / "a.prompt.md").unlink()
    shown = run("push", directory).output
    assert shown == "3 unchanged, 1 only at the service, 1 deleted here (--prune deletes them at the service)\n"
    assert "A (" in run("check", directory, status=1).output
    assert "deleted  A (" in run("push", directory, "--prune", "--yes").output
    with pytest.raises(NotFoundError):
        client.prompts.get(prompts[0].id)
    assert client.prompts.get(stranger.id).id == stranger.id
    for prompt in prompts[1:3]:
        client.prompts.delete(prompt.id)
    edit(directory / "c.prompt.md", "\n1\n", "\nmine\n")
    assert "gone from the service" in run("push", directory, "--yes", status=1).output
    run("pull", directory)
    assert (directory / "b.prompt.md").exists()
    run("pull", directory, "--prune")
    assert {path.name for path in directory.glob("*.md")} == {"c.prompt.md", "d.prompt.md", "stranger.prompt.md"}
    run("push", directory, "--yes", "--force")  # creates it again
    assert "mine" in [prompt.content for prompt in client.prompts.list()]
    run("check", directory)
    (directory / "d.prompt.md").unlink()
    assert "written       d.prompt.md" in run("pull", directory).output


def test_names_are_kept(run: Run, client: Enprompta, directory: Path) -> None:
    """A file that was renamed or moved stays that prompt's, whatever its title becomes."""
    prompt = client.prompts.create(title="First", content="1")
    run("pull", directory)
    (directory / "mails").mkdir()
    (directory / "first.prompt.md").rename(directory / "mails/other.prompt.md")
    client.prompts.update(prompt.id, title="Second")
    assert "updated       mails/other.prompt.md" in run("pull", directory).output
    assert [path.name for path in directory.rglob("*.md")] == ["other.prompt.md"]


def test_a_push_continues_after_a_refused_prompt(run: Run, client: Enprompta, directory: Path) -> None:
    """An error of one prompt is shown next to its name; the others are pushed, and the exit status is 1."""
    write(directory, "a", "", "title: A\n")
    write(directory, "b", "fine", "title: B\n")
    told = run("push", directory, "--yes", status=1).output
    assert "failed   a.prompt.md" in told
    assert "created  b.prompt.md" in told
    assert "1 failed, 1 created" in told
    assert "Run the command again" in told
    assert [prompt.title for prompt in client.prompts.list()] == ["B"]


def test_an_interrupted_push_resumes(run: Run, client: Enprompta, directory: Path, service: Emulator) -> None:
    """The service does its work and the answer is lost: run again, nothing is there twice."""
    for number in range(5):
        write(directory, f"p{number}", "x", f"title: P{number}\n")
    environment = {"ENPROMPTA_MAX_RETRIES": "0"}
    service.faults.add("/prompts", method="POST", drop="after", times=1)
    told = run("push", directory, "--yes", status=1, **environment).output
    assert "5 not tried" in told
    run("push", directory, "--yes", **environment)
    assert sorted(prompt.title for prompt in client.prompts.list()) == [f"P{number}" for number in range(5)]
    run("check", directory)
    assert '"push"' not in (directory / ".enprompta.lock").read_text()


def test_a_killed_push_resumes(client: Enprompta, directory: Path, service: Emulator) -> None:
    """Killed at any moment and run again, each file is one prompt and the directory is whole."""
    for number in range(40):
        write(directory, f"p{number}", "x", f"title: P{number}\n")
    environment = {**os.environ, "ENPROMPTA_API_KEY": service.keys.enterprise, "ENPROMPTA_BASE_URL": service.url}
    command = [sys.executable, "-c", "from enprompta.cli import main; main()"]
    again = [*command, "push", str(directory), "--yes"]
    push = subprocess.Popen(again, env=environment, stdout=subprocess.PIPE)
    assert push.stdout is not None
    for line in push.stdout:
        if line.startswith(b"created  p2"):
            push.send_signal(signal.SIGKILL)
            break
    push.communicate()
    done = subprocess.run(again, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    assert sorted(prompt.title for prompt in client.prompts.list()) == sorted(f"P{number}" for number in range(40))
    assert subprocess.run([*command, "check", str(directory)], env=environment, check=False).returncode == 0


def test_asking(run: Run, client: Enprompta, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal nothing is sent; a no sends nothing; a change during the question is detected."""
    path = write(directory, "a", "x")
    assert "pass --yes to continue" in run("push", directory, status=2).output
    assert run("push", directory, "--dry-run").output == "+ create  a.prompt.md\n1 create\n"
    monkeypatch.setattr(options, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr("typer.confirm", lambda _: False)
    assert run("push", directory, status=1).output.endswith("Cancelled; nothing was sent.\n")

    def changes_meanwhile(_: str) -> bool:
        path.write_text(path.read_text() + "more")
        return True

    monkeypatch.setattr("typer.confirm", changes_meanwhile)
    assert "changed in the meantime" in run("push", directory, status=1).output
    assert not list(client.prompts.list())
    monkeypatch.setattr("typer.confirm", lambda _: True)
    run("push", directory)
    assert len(list(client.prompts.list())) == 1


def test_diff(run: Run, client: Enprompta, directory: Path) -> None:
    """Lines of the file are +, lines of the service are -; control characters are escaped."""
    for title in ("Changed", "Gone", "Deleted"):
        client.prompts.create(title=title, content="one\r\n\x1b[31m")
    run("pull", directory)
    assert run("diff", directory).output == ""
    edit(directory / "changed.prompt.md", "one\r", "two ")
    client.prompts.delete(next(prompt.id for prompt in client.prompts.list() if prompt.title == "Gone"))
    (directory / "deleted.prompt.md").unlink()
    client.prompts.create(title="New", content="x")
    shown = run("diff", directory).output.splitlines()
    assert shown[:2] == ["--- service/changed.prompt.md", "+++ here/changed.prompt.md"]
    assert shown[-1 - shown[::-1].index("-one\\r") :] != []
    assert {"-one\\r", "+two ", " \\x1b[31m", "--- service/deleted.prompt.md", "--- /dev/null"} <= set(shown)
    assert "+++ here/gone.prompt.md" in shown
    assert any(line.startswith("--- service/New (pmt_") for line in shown)


def test_colour_is_for_terminals(client: Enprompta, directory: Path, service: Emulator) -> None:
    """A diff on a terminal has colours, with NO_COLOR it has none; `run` holds that a pipe has none."""
    import pty

    write(directory, "a", "x")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        environment = {**os.environ, "TERM": "xterm", "ENPROMPTA_BASE_URL": service.url, **variables}
        environment["ENPROMPTA_API_KEY"] = service.keys.enterprise
        ours, theirs = pty.openpty()
        command = [sys.executable, "-c", "from enprompta.cli import main; main()", "diff", str(directory)]
        done = subprocess.run(command, env=environment, stdout=theirs, check=False)
        os.close(theirs)
        shown = os.read(ours, 65_536)
        os.close(ours)
        assert done.returncode == 0
        assert (b"\x1b[32m+title: T" in shown) is coloured
        assert (b"\x1b" in shown) is coloured


def test_there_is_no_key(run: Run, directory: Path) -> None:
    """Without a key the exit status is 3 and the line says what to set."""
    told = run("pull", directory, status=3, ENPROMPTA_API_KEY="")
    assert "ENPROMPTA_API_KEY" in told.output
    assert not directory.exists()


def test_variables_declared_at_the_service_are_written_to_the_file(
    run: Run, client: Enprompta, directory: Path
) -> None:
    """Variables declared at the service after the pull are written to a file that has none."""
    write(directory, "a", "Hi {{name}}")
    run("push", directory, "--yes")
    prompt = next(iter(client.prompts.list()))
    client.prompts.update(prompt.id, variables=[{"name": "name", "type": "text", "default": "you"}])
    assert "changed at the service" in run("check", directory, status=1).output
    run("push", directory, "--yes", status=1)
    run("push", directory, "--yes", "--force")
    client.prompts.update(prompt.id, variables=[{"name": "name", "type": "text", "default": "all"}])
    run("pull", directory)
    assert "default: all" in (directory / "a.prompt.md").read_text()
    run("check", directory)


def test_a_later_version_with_the_same_text(run: Run, client: Enprompta, directory: Path) -> None:
    """A text that was changed there and back again is the same text in a later version: the file learns its number."""
    prompt = client.prompts.create(title="One", content="1")
    run("pull", directory)
    for content in ("2", "1"):
        client.prompts.update(prompt.id, content=content)
    assert run("pull", directory).output == "version only  one.prompt.md  One\n1 version only\n"
    assert "version: 3" in (directory / "one.prompt.md").read_text()
    assert run("pull", directory).output == "1 unchanged\n"


def test_a_push_ends_where_it_is_hopeless(run: Run, client: Enprompta, directory: Path, service: Emulator) -> None:
    """A service that is unwell is not asked for the rest; once it is well, nothing was lost."""
    for name in ("a", "b"):
        write(directory, name, "x", f"title: {name}\n")
    fault = service.faults.add("/prompts", method="POST", status=500, times=1)
    told = run("push", directory, "--yes", status=1, ENPROMPTA_MAX_RETRIES="0").output
    assert "2 not tried" in told
    assert len(fault.hits) == 1
    run("push", directory, "--yes")
    assert sorted(prompt.title for prompt in client.prompts.list()) == ["a", "b"]


def test_a_prompt_that_is_deleted_at_the_same_moment(
    run: Run, client: Enprompta, directory: Path, service: Emulator
) -> None:
    """Deleting a prompt that was deleted in the meantime succeeds."""
    client.prompts.create(title="One", content="1")
    run("pull", directory)
    (directory / "one.prompt.md").unlink()
    service.faults.add("/prompts/*", method="DELETE", status=404, times=1)
    assert "1 deleted" in run("push", directory, "--prune", "--yes").output
