"""Standard output that cannot be written is one line and a status, in processes of their own."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.cli import app as app_module
from enprompta.cli import console, error_handling

if TYPE_CHECKING:
    from enprompta.emulator import Emulator

COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]


def run(service: Emulator, *arguments: str, **streams: Any) -> tuple[int, str]:
    """Run a command with a standard output that is given, and return its status and what it said of errors."""
    environment = {**os.environ, "ENPROMPTA_API_KEY": service.keys.enterprise, "ENPROMPTA_BASE_URL": service.url}
    done = subprocess.run(
        [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, check=False, env=environment, **streams
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("prompts", "--help"), ("webhooks", "trigger", "--help")])
def test_a_full_disk_behind_standard_output(service: Emulator, arguments: tuple[str, ...]) -> None:
    """`> /dev/full` is one line and status 1."""
    with Path("/dev/full").open("w") as full:
        status, said = run(service, *arguments, stdout=full)
    assert (status, said) == (1, "error  Standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize("arguments", [("prompts", "get", "PROMPT"), ("prompts", "get", "PROMPT", "--json")])
def test_a_reader_that_has_gone(service: Emulator, client: Any, arguments: tuple[str, ...]) -> None:
    """`| head` that has ended is one line and status 1, however the text is written."""
    prompt = client.prompts.create(title="Long", content="x\n" * 40_000)
    reading, writing = os.pipe()
    os.close(reading)
    status, said = run(service, *(one.replace("PROMPT", prompt.id) for one in arguments), stdout=writing)
    os.close(writing)
    assert (status, said) == (1, "error  Standard output cannot be written: Broken pipe\n")


def test_a_closed_standard_output(service: Emulator) -> None:
    """`>&-` is found out before anything is done."""
    status, said = run(service, "prompts", "list", preexec_fn=lambda: os.close(1))
    assert (status, said) == (1, "error  Standard output cannot be written: It is closed\n")


def test_a_file_that_an_error_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Another file than standard output is named."""
    assert error_handling.output_failed(OSError(28, "No space left on device", "/x/y")) == 1
    assert "/x/y cannot be written: No space left" in capsys.readouterr().err


class Broken(io.StringIO):
    """A standard output that cannot be written."""

    def write(self, _: str, /) -> int:
        """Fail."""
        raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))


@pytest.mark.parametrize(
    ("stream", "says"), [(Broken(), "Broken pipe"), (None, "It is closed")], ids=["broken", "closed"]
)
def test_whatever_fails_is_reported_once(
    stream: Any, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: one line, and the status of a failure."""
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "argv", ["enprompta", "--version"])
    with pytest.raises(SystemExit) as caught:
        app_module.run()
    assert caught.value.code == 1
    if stream is None:  # a broken pipe there is typer's own
        assert capsys.readouterr().err == f"error  Standard output cannot be written: {says}\n"


def test_a_command_that_cannot_print(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A closed pipe reaches the guard of the commands, which says so."""
    monkeypatch.setattr(sys, "argv", ["enprompta", "codegen", "/missing", "-o", "x"])
    monkeypatch.setattr("enprompta.cli.prompts_as_code.files.read_directory", lambda _: console.out.on_broken_pipe())
    with pytest.raises(SystemExit) as caught:
        app_module.run()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error  Standard output cannot be written: Broken pipe\n"
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        full.write("x")
        assert error_handling.output_failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == 1
