"""Standard output that cannot be written causes one line and a status, in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from enprompta.emulator import Emulator

COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]


def run(service: Emulator, *arguments: str, **streams: Any) -> tuple[int, str]:
    """Run a command with a given standard output; return its status and standard error."""
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
def test_a_closed_pipe(service: Emulator, client: Any, arguments: tuple[str, ...]) -> None:
    """A closed `| head` is one line and status 1, however the text is written."""
    prompt = client.prompts.create(title="Long", content="x\n" * 40_000)
    reading, writing = os.pipe()
    os.close(reading)
    status, said = run(service, *(one.replace("PROMPT", prompt.id) for one in arguments), stdout=writing)
    os.close(writing)
    assert (status, said) == (1, "error  Standard output cannot be written: Broken pipe\n")


def test_a_closed_standard_output(service: Emulator) -> None:
    """`>&-` is detected before anything is done."""
    status, said = run(service, "prompts", "list", preexec_fn=lambda: os.close(1))
    assert (status, said) == (1, "error  Standard output cannot be written: It is closed\n")
