"""Prompt files that anyone may have written: nothing in them runs, hangs, or leads out of the directory.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 10,000 files.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import Enprompta, EnpromptaError
from enprompta.cli.prompts_as_code import files as files_module
from enprompta.cli.prompts_as_code import frontmatter
from enprompta.cli.prompts_as_code.document import DocumentError, of_prompt, parse
from enprompta.cli.prompts_as_code.files import FilesError, may_be_restored, read_directory, write_text
from enprompta.cli.prompts_as_code.lock import Lock
from enprompta.cli.prompts_as_code.plan import PlannedChange, State
from enprompta.cli.prompts_as_code.pull import pull
from enprompta.models import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

FILES = 10_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 1_000


def prompt_file(directory: Path, name: str = "a", text: str = "---\ntitle: T\n---\nHi\n") -> Path:
    """Write a prompt file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.prompt.md"
    path.write_bytes(text.encode())
    return path


def test_fuzzed_files() -> None:
    """No file of thousands runs code, hangs, or raises anything but an `EnpromptaError`; many become functions."""
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), str(FILES), "20261129"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts: dict[str, Any] = json.loads(done.stdout)
    assert counts["executed"] == 0
    assert counts["imported"] + counts["refused"] == FILES
    assert min(counts["imported"], counts["refused"]) > FILES // 10
    assert counts["slowest"] < 5


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        (LAUGHS, "line 2: anchors and aliases"),
        ("a: &x 1\n", "line 2: anchors and aliases"),
        ("a: *x\n", "line 2: anchors and aliases"),
        ("a: &x\n  <<: *x\n", "line 2: anchors and aliases"),
        ("a: !!python/object/apply:os.system [id]\n", "line 2: tags such as 'tag:yaml.org,2002:python"),
        ("a: !!timestamp 2024-01-17\n", "line 2: tags such as"),
        ("a: !!binary aGk=\n", "line 2: tags such as"),
        ("!!set {a, b}\n", "line 2: tags such as"),
        ("%TAG ! tag:x,2000:\n--- \na: !b 1\n", "line 4: tags such as"),
        ("a: " + "[" * 33 + "]" * 33 + "\n", "line 2: lists and mappings are nested more than 32 deep"),
        ("- " * 100_000, "nested more than 32 deep"),
        ("a: " + "[" * 900_000, "nest"),
        ("a: " + "{a: " * 200_000, "nested more than 32 deep"),
        ("a: " + "9" * 5_000 + "\n", "line 2: a number of 5,000 digits is too long"),
        ("a: [" + "1," * 60_000 + "]\n", "line 2: there are more than 50,000 values"),
        ("# " + "x" * 1_000_000, "the front matter has 1,000,002 characters: the maximum is 1,000,000"),
        ("1: a\n", "line 2: a name must be text; put it in quotes"),
        ("true: a\n", "line 2: a name must be text; put it in quotes"),
        ("? [a]\n: b\n", "line 2: a name must be text; put it in quotes"),
        ("a: {b: 1, b: 2}\n", "line 2: 'b' is given twice"),
        ("a: 1\n...\n---\nb: 2\n", "line 4: "),
        ("a: '\ud800'\n", "surrogates not allowed"),
    ],
)
def test_yaml_that_json_does_not_have_is_refused(yaml: str, says: str) -> None:
    """Aliases, tags, deep nesting, large numbers and doubled names are each an error with its line, within a second."""
    started = time.perf_counter()
    with pytest.raises(frontmatter.FrontMatterError) as caught:
        frontmatter.load(yaml)
    assert says in str(caught.value)
    assert time.perf_counter() - started < 1


def test_yaml_traps_are_read_as_people_mean_them() -> None:
    """Merge keys and YAML 1.1 booleans are text, and infinity and NaN are numbers, as YAML 1.2 has them."""
    read = frontmatter.load("<<: {a: no}\nb: on\nc: -.inf\nd: 1e400\ne: .NaN\nf: '.inf'\ng: .infx\nh: +.INF\n")
    assert repr(read) == repr(
        {"<<": {"a": "no"}, "b": "on", "c": float("-inf"), "d": float("inf"), "e": float("nan"), "f": ".inf"}
        | {"g": ".infx", "h": float("inf")}
    )
    assert repr(frontmatter.load(frontmatter.dump(read))) == repr(read)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("{name: a, type: [x]}", "variable 'a': type must be text"),
        ("{name: a, required: 'no'}", "variable 'a': required must be true or false"),
        ("{name: a, description: 5}", "variable 'a': description must be text; put it in quotes"),
        ("{name: a, options: x}", "variable 'a': options must be a list"),
        ("5", "each of the variables must have a name"),
    ],
)
def test_declarations_have_their_types(declared: str, says: str) -> None:
    """A declaration whose parts are of another type is refused, so that no command has to guess."""
    with pytest.raises(DocumentError, match=says):
        parse(f"---\ntitle: T\nvariables: [{declared}]\n---\n", "a.prompt.md")


def special(kind: str, path: Path) -> None:
    """Put something that is not a regular file in a prompt file's place."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            before = Path.cwd()
            os.chdir(path.parent)  # a socket's path must be short
            server.bind(path.name)
            os.chdir(before)
    elif kind == "large":
        with path.open("wb") as stream:
            stream.truncate(10_000_001)
    else:
        path.symlink_to({"zero": "/dev/zero", "loop": path, "outside": path.parent.parent / "secret"}[kind])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pipe", "cannot be read: Not a regular file"),
        ("socket", "cannot be read: "),
        ("large", "cannot be read: Larger than 10 MB"),
        ("zero", "cannot be read: Not a regular file"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
        ("outside", "cannot be read: A symbolic link leads out of the directory"),
    ],
)
def test_only_regular_files_in_the_directory_are_read(run: Run, directory: Path, kind: str, says: str) -> None:
    """A pipe, a socket, a device, a huge file or a link that leads out is named at once, in the lock's place too."""
    directory.mkdir()
    (directory.parent / "secret").write_text("---\ntitle: T\n---\nsecret\n")
    special(kind, directory / "a.prompt.md")
    for command in (("check", directory), ("codegen", directory, "-o", directory.parent / "x.py"), ("push", directory)):
        assert f"a.prompt.md {says}" in run(*command, status=1).output
    (directory / "a.prompt.md").rename(directory / ".enprompta.lock")
    if kind != "loop":  # a link to itself cannot be moved
        assert f".enprompta.lock {says}" in run("check", directory, status=1).output


def test_links_in_the_directory_are_followed(tmp_path: Path) -> None:
    """A link to another file of the directory is read, and writing replaces the link, never the file it leads to."""
    target = prompt_file(tmp_path / "in", "target")
    link = tmp_path / "in" / "link.prompt.md"
    link.symlink_to(target)
    (tmp_path / "in" / "sub").symlink_to(tmp_path)  # a directory: not followed
    assert [file.name for file in read_directory(tmp_path / "in")] == ["link.prompt.md", "target.prompt.md"]
    write_text(link, "new")
    assert (link.read_text(), link.is_symlink(), target.read_text()) == ("new", False, "---\ntitle: T\n---\nHi\n")


def test_a_link_exchanged_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that led out when it was opened is refused, even if it leads inside when that is checked."""
    directory = tmp_path / "in"
    inside = prompt_file(directory, "b")
    (tmp_path / "secret").write_text("---\ntitle: T\n---\nsecret\n")
    link = directory / "a.prompt.md"
    link.symlink_to(tmp_path / "secret")
    opened = os.fstat

    def exchange(descriptor: int) -> os.stat_result:
        link.unlink()
        link.symlink_to(inside)
        return opened(descriptor)

    monkeypatch.setattr("enprompta._common.text_files.os.fstat", exchange)
    with pytest.raises(FilesError, match=r"a.prompt.md cannot be read: A symbolic link leads out"):
        read_directory(directory)


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passing it over would make `push --prune` delete the prompts in it."""
    prompt_file(tmp_path / "sub")
    scan = os.scandir

    def refuse(path: Path) -> Any:
        if path == tmp_path / "sub":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(files_module.os, "scandir", refuse)
    with pytest.raises(FilesError, match="sub cannot be read: Permission denied"):
        read_directory(tmp_path)


def test_a_deep_tree_and_unusual_names(tmp_path: Path) -> None:
    """Directories nested a thousand deep are walked, and a name that is not UTF-8 is refused."""
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1_100):
            Path("d").mkdir()
            os.chdir("d")
        prompt_file(Path.cwd().relative_to(Path.cwd()))
    finally:
        os.chdir(before)
    assert len(read_directory(tmp_path)) == 1
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # too deep for pytest to remove
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.prompt.md")).write_text("---\ntitle: T\n---\n")
    with pytest.raises(FilesError, match="is not UTF-8"):
        read_directory(tmp_path)


@pytest.mark.parametrize("place", ["front", "text", "carriage returns"])
@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", ">>>>>>> theirs", "<<<<<<<"])
def test_conflict_markers_stop_every_command_that_uses_the_text(
    run: Run, client: Enprompta, directory: Path, place: str, marker: str
) -> None:
    """`push`, `check` and `codegen` name the file and the line, and nothing is sent."""
    text = {
        "front": f"---\n{marker}\ntitle: T\n---\nHi\n",
        "text": f"---\ntitle: T\n---\nHi\n{marker}\n",
        "carriage returns": f"---\r\ntitle: T\r\n---\r\n{marker}\r\n",
    }[place]
    prompt_file(directory, "a", text)
    line = {"front": 2, "text": 5, "carriage returns": 4}[place]
    for command in (
        ("push", directory, "--yes", "--force"),
        ("check", directory),
        ("codegen", directory, "-o", "x.py"),
    ):
        assert f"a.prompt.md, line {line} is a conflict marker: finish the merge" in run(*command, status=1).output
    assert list(client.prompts.list()) == []


def test_markers_that_are_text(run: Run, client: Enprompta, directory: Path) -> None:
    """Markers in the service's own text are no conflict until the file changes; shorter and longer ones never are."""
    client.prompts.create(title="Merge", content="Resolve:\n<<<<<<< HEAD\n=======\n>>>>>>> x\n")
    client.prompts.create(title="Other", content="=======\n<<<<<<\n<<<<<<<<\n >>>>>>> x\na <<<<<<< b")
    run("pull", directory)
    run("check", directory)
    run("codegen", directory, "-o", directory.parent / "prompts.py")
    path = directory / "merge.prompt.md"
    path.write_text(path.read_text() + "more\n")
    assert "merge.prompt.md, line " in run("push", directory, status=1).output
    run("pull", directory)  # keeps the file, which it does not use


@pytest.mark.parametrize(
    "name",
    [
        "../a.prompt.md", "/tmp/a.prompt.md", "a/../../a.prompt.md", "a/../a.prompt.md", "./a.prompt.md",
        ".git/a.prompt.md", ".a.prompt.md", "a.md", "", ".prompt.md", "con.prompt.md", "sub/NUL/a.prompt.md",
        "a\x00.prompt.md", "out/a.prompt.md", "..\\a.prompt.md", "a//b.prompt.md",
        "there.prompt.md", "dangling.prompt.md",
    ],
)  # fmt: skip
def test_names_from_the_lock_stay_inside(tmp_path: Path, name: str) -> None:
    """A name that leads out, through a link or by itself, that is hidden, a device's, or taken, is not used."""
    directory = tmp_path / "in"
    prompt_file(directory, "there")
    (directory / "out").symlink_to(tmp_path)
    (directory / "dangling.prompt.md").symlink_to(tmp_path / "gone")
    assert not may_be_restored(name, directory)
    assert may_be_restored("sub/a.b.prompt.md", directory)


def test_a_lock_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """The lock may have a byte order mark, and must be UTF-8."""
    (tmp_path / ".enprompta.lock").write_bytes('\ufeff{"format": 1, "prompts": {}, "push": "x"}'.encode())
    assert Lock.read(tmp_path).push == "x"
    (tmp_path / ".enprompta.lock").write_bytes("{}".encode("utf-16"))
    with pytest.raises(EnpromptaError, match=r"\.enprompta\.lock is UTF-16 or UTF-32, not UTF-8"):
        Lock.read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 1, "prompts": {"a": {"file": 5, "local": "", "remote": ""}}}',
        '{"format": 1, "prompts": {"a": {"file": "x", "local": null, "remote": ""}}}',
        '{"format": 1, "prompts": {"a": {"file": "\\ud800", "local": "", "remote": ""}}}',
        '{"format": 1, "prompts": {"\\ud800": {"file": "", "local": "", "remote": ""}}}',
        '{"format": 1, "prompts": {}, "push": 5}',
        '{"format": 1, "prompts": []}',
        "[" * 100_000,
    ],
)
def test_a_lock_of_wrong_types_is_refused(tmp_path: Path, text: str) -> None:
    """A lock that was written by hand, or to do harm, is one error that names the file."""
    (tmp_path / ".enprompta.lock").write_text(text)
    with pytest.raises(EnpromptaError, match=r"\.enprompta\.lock is damaged"):
        Lock.read(tmp_path)


def test_two_prompts_that_the_lock_puts_in_one_file(run: Run, client: Enprompta, directory: Path) -> None:
    """A lock that names one file twice, in any case, does not make one prompt overwrite another."""
    for title in ("One", "Two"):
        client.prompts.create(title=title, content=title)
    run("pull", directory)
    lock = directory / ".enprompta.lock"
    lock.write_text(lock.read_text().replace("two.prompt.md", "ONE.prompt.md"))
    for path in directory.glob("*.prompt.md"):
        path.unlink()
    run("pull", directory)
    contents = {path.name: path.read_text().splitlines()[-1] for path in directory.glob("*.prompt.md")}
    assert sorted(contents.values()) == ["One", "Two"]
    assert len({name.casefold() for name in contents}) == 2


HOSTILE_TITLES = [
    "../../x", "..", "/etc/passwd", "CON", "nul.txt", "a\x00b", "C:\\x", "\u202ex", "x" * 999, "e\u0301", "\xe9", "E",
]  # fmt: skip


def serving(prompts: list[dict[str, Any]]) -> httpx.MockTransport:
    """A service that holds these prompts."""
    return httpx.MockTransport(
        lambda _: httpx.Response(200, json={"success": True, "data": prompts, "pagination": {"hasMore": False}})
    )


def test_a_hostile_service_writes_nothing_outside(directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever titles and ids a service has, `pull` writes one file each, in the directory, never through a link."""
    from enprompta.cli.prompts_as_code import commands

    prompts = [{"id": f"../../{title}", "title": title, "content": title} for title in HOSTILE_TITLES]
    prompts += [{"id": "deep", "title": "Deep", "content": "", "variables": [{"name": "a", "default": nested(40)}]}]
    outside = directory.parent / "outside"
    outside.write_text("as it was")
    directory.mkdir()
    for name in ("etc-passwd.prompt.md", ".gitattributes", ".enprompta.lock"):
        (directory / name).symlink_to(directory.parent / "gone")
    before = {path.name for path in directory.parent.iterdir()}
    with httpx.Client(transport=serving(prompts)) as http, Enprompta(api_key="ep_x", http_client=http) as client:
        monkeypatch.setattr(commands, "connected", lambda: client)
        (directory / "etc-passwd.prompt.md").unlink()
        said = run("pull", directory, status=1).output
        assert "Deep (deep) cannot be kept in a file: deep.prompt.md, line " in said
    assert {path.name for path in directory.parent.iterdir()} == before
    assert len(list(directory.glob("*.prompt.md"))) == len(HOSTILE_TITLES)
    assert not any(path.is_symlink() for path in directory.iterdir())
    read_directory(directory)


def test_half_a_surrogate_pair_is_pulled_into_no_file(tmp_path: Path) -> None:
    """A prompt whose text UTF-8 cannot hold is named, and the others are written."""
    documents = [of_prompt(Prompt(id=name, title=name, content=text)) for name, text in (("a", "\ud800"), ("b", "b"))]
    entries = [PlannedChange(State.NEW_THERE, None, document) for document in documents]
    with pytest.raises(FilesError, match=r"^a \(a\) cannot be kept in a file: its text contains a lone surrogate"):
        pull(tmp_path, entries, Lock(), force=False, prune=False, report=lambda *_: None)
    assert [file.name for file in read_directory(tmp_path)] == ["b.prompt.md"]


def nested(depth: int) -> Any:
    """A list in lists."""
    return [nested(depth - 1)] if depth else []


def test_output_that_is_not_a_file_is_left_alone(run: Run, directory: Path) -> None:
    """`codegen -o` to a pipe or a directory is one line, and does not replace it; `--check` reports it out of date."""
    prompt_file(directory)
    pipe = directory.parent / "pipe"
    os.mkfifo(pipe)
    assert (
        "pipe cannot be written and was left unchanged: Not a regular file"
        in run("codegen", directory, "-o", pipe, status=1).output
    )
    assert pipe.is_fifo()
    assert "was left unchanged" in run("codegen", directory, "-o", directory, status=1).output
    assert "out of date" in run("codegen", directory, "-o", directory, "--check", status=1).output
    with pytest.raises(FilesError, match="lone surrogate"):
        write_text(directory / "x", "\ud800")
