"""Process output: UTF-8 everywhere, one line if it cannot be written, 130 on Ctrl-C."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta._common import streams
from enprompta.cli.console import line, out
from enprompta.cli.output import write_json, write_text

if TYPE_CHECKING:
    from enprompta import Enprompta

COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]
TEXT = "Grüße 茶 \U0001f600 \x1b]0;x\x07 \x1b]52;c;eA==\x1b\\ \u202e \x9b31m \r end"
LOCALES = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "utf-16"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


def process(environment: dict[str, str], *arguments: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a separate process."""
    variables = {**os.environ, **environment}
    return subprocess.run([*COMMAND, *arguments], env=variables, capture_output=not how, check=False, timeout=60, **how)


@pytest.mark.parametrize("locale", LOCALES, ids=lambda one: " ".join(f"{name}={value}" for name, value in one.items()))
def test_output_is_utf_8(client: Enprompta, environment: dict[str, str], locale: dict[str, str]) -> None:
    """For any locale encoding, JSON and tables are UTF-8 without replacements."""
    prompt = client.prompts.create(title=TEXT, content=TEXT)
    given = {**environment, **locale}
    shown = process(given, "prompts", "get", prompt.id, "--json")
    assert json.loads(shown.stdout.decode())["title"] == TEXT
    table = process(given, "prompts", "list", "--all").stdout.decode()
    assert "Grüße 茶 \U0001f600" in table
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", table)


def test_texts_and_errors_are_utf_8(client: Enprompta, environment: dict[str, str]) -> None:
    """So are texts, errors and help."""
    prompt = client.prompts.create(title=TEXT, content=TEXT)
    given = {**environment, "PYTHONIOENCODING": "ascii"}
    assert process(given, "prompts", "get", prompt.id).stdout.decode().endswith(f"\n\n{TEXT}\n")
    failed = process({**given, "LC_ALL": "C.UTF-8"}, "prompts", "list", "--profile", "Grüße 茶")
    assert (failed.returncode, failed.stdout) == (3, b"")
    assert "Profile 'Grüße 茶' does not exist" in failed.stderr.decode()
    assert "─" in process(given, "prompts", "--help").stdout.decode()


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "ascii"])
def test_lone_surrogates_are_printed(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """A lone surrogate is escaped as in JSON and crashes no command."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors="strict"))
    streams.use_utf8()
    write_json({"half": "a\ud800b", "whole": "\U0001f600"})
    write_text("text \udfff")
    out.print(line("cell \udfff"))
    sys.stdout.flush()
    data, *rest = written.getvalue().decode().splitlines()
    assert json.loads(data) == {"half": "a\ud800b", "whole": "\U0001f600"}
    assert rest == ["text \\udfff", "cell \\udfff"]


def test_a_terminal_obeys_nothing(client: Enprompta, environment: dict[str, str]) -> None:
    """On a terminal, control characters of a prompt are escaped in tables, fields and texts."""
    prompt = client.prompts.create(title=TEXT, content=TEXT)
    for arguments in (["list", "--all"], ["get", prompt.id]):
        ours, theirs = pty.openpty()
        given = {**os.environ, **environment, "NO_COLOR": "1", "TERM": "xterm"}
        with subprocess.Popen([*COMMAND, "prompts", *arguments], env=given, stdout=theirs, stderr=theirs) as running:
            os.close(theirs)
            seen = b""
            while chunk := _read(ours):
                seen += chunk
        assert running.returncode == 0
        os.close(ours)
        text = seen.decode().replace("\r\n", "\n")
        assert "Grüße" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux: the other side is closed
        return b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", [["--version"], ["prompts", "list", "--json"]])
def test_a_full_disk_is_one_line(client: Enprompta, environment: dict[str, str], arguments: list[str]) -> None:
    """Standard output that cannot be written is one line with status 1."""
    client.prompts.create(title="full", content="full")
    with Path("/dev/full").open("wb") as full:
        done = process(environment, *arguments, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"error  Standard output cannot be written: No space left on device\n")


def test_a_closed_output(environment: dict[str, str]) -> None:
    """A command without a standard output or reader prints one line and exits with 1."""
    shell = f"exec {sys.executable} -c 'import sys; from enprompta.cli import main; sys.exit(main())' prompts list"
    for closing, said in (("", b"error  Standard output cannot be written: It is closed\n"), ("2>&-", b"")):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{shell} >&- {closing}"],
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "--version",
        "prompts --help",
        "prompts get --help",
        "emulator --help",
        "emulator --version",
        "emulator --port 0",
        "--show-completion",
    ],
)
@pytest.mark.parametrize("is_stderr_closed", [False, True])
@pytest.mark.parametrize("buffering", ["", "1"])
def test_a_pipe_without_a_reader(
    environment: dict[str, str], arguments: str, buffering: str, *, is_stderr_closed: bool
) -> None:
    """`| head -c0` causes status 1 and one line on standard error, if that is open, for help texts too."""
    ours, theirs = os.pipe()
    os.close(ours)
    errors = theirs if is_stderr_closed else subprocess.PIPE
    given = {**environment, "SHELL": "/bin/bash", "PYTHONUNBUFFERED": buffering}
    done = process(given, *arguments.split(), stdout=theirs, stderr=errors)
    os.close(theirs)
    expected = None if is_stderr_closed else b"error  Standard output cannot be written: Broken pipe\n"
    assert (done.returncode, done.stderr) == (1, expected)


@pytest.mark.parametrize("arguments", ["login", "prompts delete pmt_1", "webhooks verify --signature s --secret s"])
def test_a_closed_input(environment: dict[str, str], arguments: str) -> None:
    """`<&-` is an empty input, not a crash."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.join(COMMAND)} {arguments} <&-"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "prompts list",
        "doctor",
        "login",
        "pull prompts",
        "prompts execute-many pmt_1 -i rows.csv -o results.csv",
        "webhooks trigger prompt.executed --secret s --to URL",
    ],
    ids=lambda arguments: " ".join(arguments.split()[:2]),
)
def test_ctrl_c_while_waiting(environment: dict[str, str], arguments: str, tmp_path: Path) -> None:
    """Ctrl-C during a request exits with 130 and prints nothing."""
    (tmp_path / "rows.csv").write_text("name\nAda\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1"
        given = {**os.environ, **environment, "ENPROMPTA_BASE_URL": url, "XDG_CONFIG_HOME": str(tmp_path)}
        command = [*COMMAND, *arguments.replace("URL", url).split()]
        with subprocess.Popen(command, env=given, cwd=tmp_path, stdin=-1, stdout=-1, stderr=-1) as running:
            assert running.stdin is not None
            running.stdin.write(b"ep_test_enterprise")  # for login
            running.stdin.close()
            running.stdin = None
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                time.sleep(0.2)  # a signal just before the system call that waits is handled after it
                running.send_signal(signal.SIGINT)
                _, errors = running.communicate(timeout=30)
    assert (running.returncode, errors) == (130, b"")


def test_ctrl_c_while_importing(tmp_path: Path) -> None:
    """Ctrl-C during imports exits with 130 too."""
    (tmp_path / "typer.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(30)\n")
    given = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([*COMMAND, "--help"], env=given, stdout=-1, stderr=-1) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"importing\n"
        time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    assert (running.returncode, errors) == (130, b"")


@pytest.mark.parametrize(
    ("arguments", "question", "key", "status"),
    [
        ("prompts delete pmt_1", b"[y/N]", b"\x03", 130),
        ("prompts delete pmt_1", b"[y/N]", b"\x04", 1),
        ("prompts delete pmt_1", b"[y/N]", b"n\n", 1),
        ("login --base-url http://127.0.0.1:1", b"API key", b"\x03", 130),
        ("login --base-url http://127.0.0.1:1", b"API key", b"\x04", 1),
        ("webhooks verify --signature s --secret s", b"Ctrl-D", b"\x03", 130),
        ("webhooks verify --signature s --secret s", b"Ctrl-D", b"\x04", 1),
    ],
)
def test_an_answer_that_is_a_key(
    environment: dict[str, str], arguments: str, question: bytes, key: bytes, status: int
) -> None:
    """Ctrl-C at a prompt exits with 130; Ctrl-D means no."""
    ours, theirs = pty.openpty()
    given = {**os.environ, **environment, "TERM": "dumb"}
    command = [*COMMAND, *arguments.split()]
    with subprocess.Popen(
        command,
        env=given,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 (it takes no lock)
    ) as running:
        os.close(theirs)
        seen = b""
        while question not in seen:
            seen += _read(ours)
        time.sleep(0.1)  # until it reads
        os.write(ours, key)
        while chunk := _read(ours):
            seen += chunk
    os.close(ours)
    assert running.returncode == status
    assert b"Traceback" not in seen


def _take_terminal() -> None:
    """Make standard input the controlling terminal, which sends Ctrl-C as a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 1, "error  Standard output cannot be written: Broken pipe\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "error  Standard output cannot be written: No space left on device\n",
        ),
        (PermissionError(13, "Permission denied", "a.txt"), 1, "error  a.txt: Permission denied\n"),
        (OSError("odd"), 1, "error  Standard output cannot be written: odd\n"),
    ],
)
def test_what_ends_a_command(error: BaseException, status: int, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is 130; output that cannot be written is 1."""
    with pytest.raises(SystemExit) as ended, streams.guarded():
        raise error
    assert ended.value.code == status
    sys.stdout.flush()
    assert capfd.readouterr().err == said


def test_no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without either stream a command exits with 1."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    streams.use_utf8()  # opens a standard error that discards
    with sys.stderr, pytest.raises(SystemExit) as ended, streams.guarded():
        pytest.fail("not reached")
    assert ended.value.code == 1


def test_a_closed_input_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process started with `<&-` has no standard input."""
    monkeypatch.setattr(sys, "stdin", None)
    streams.use_utf8()
    with sys.stdin as empty:
        assert empty.read() == ""


def test_a_silent_exit_after_a_broken_pipe_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """Click exits without a word then."""

    def leave() -> None:
        end = SystemExit(1)
        end.__context__ = BrokenPipeError(32, "Broken pipe")
        raise end

    with pytest.raises(SystemExit), streams.guarded():
        leave()
    sys.stdout.flush()
    assert capfd.readouterr().err == "error  Standard output cannot be written: Broken pipe\n"


def test_an_error_that_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is the command's all the same."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with pytest.raises(SystemExit) as ended, streams.guarded():
        raise PermissionError(13, "Permission denied", "a.txt")
    assert ended.value.code == 1
