"""`enprompta workbench` and `enprompta emulator --workbench`: addresses, modes, errors and Ctrl-C."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import Enprompta
from tests.workbench.visits import found

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.step("workbench")
STAT = Path("/proc/self/stat")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Press Ctrl-C; return the exit status and what is on standard error."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_without_a_key_it_starts_an_emulator_with_sample_data(start: Any) -> None:
    """Within 4 seconds the link opens, the emulator has data, and programs can report; Ctrl-C exits with 130."""
    process, printed = start("workbench", "--no-open", "--port", "0")
    if STAT.exists():
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        assert (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") < 4  # processor time until it is ready
    link = found(r"open it +(\S+)", printed)
    base_url = found(r"ENPROMPTA_BASE_URL=(\S+)", printed)
    with httpx.Client() as browser:
        assert browser.get(link).status_code == 200
        assert "Enprompta Workbench" in browser.get(link.partition("?")[0]).text
    with Enprompta(api_key="ep_test_team", base_url=base_url) as client:
        assert client.prompts.list().pagination.total_count >= 3
    assert httpx.post(found(r"ENPROMPTA_WORKBENCH=(\S+)", printed), json=[]).status_code == 204
    assert ended(process) == (130, "")


def test_a_port_in_use_is_reported(start: Any) -> None:
    """The port that is asked for must be free; without one, another is taken."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        process, _ = start("workbench", "--no-open", "--port", str(taken.getsockname()[1]))
        assert "cannot listen on port" in process.communicate(timeout=60)[1]
        assert process.returncode == 2


def test_the_emulator_starts_the_workbench_with_it(start: Any) -> None:
    """--workbench prints the link too; the emulator's page leads to the Workbench without its token."""
    process, printed = start("emulator", "--port", "0", "--workbench")
    link = found(r"workbench (\S+)", printed.partition("inspect")[2].partition("\n")[2])
    origin = found(r"ENPROMPTA_BASE_URL=(\S+)/api/v1", printed)
    answer = httpx.get(origin)
    assert answer.headers["location"] == link.partition("?")[0]
    with httpx.Client() as browser:
        assert browser.get(link).status_code == 200
    assert ended(process) == (130, "")


def test_without_the_extra_one_line_says_what_to_install(start: Any, tmp_path: Path) -> None:
    """A missing package is named with the install command, and the exit status is 1."""
    (tmp_path / "nicegui.py").write_text("raise ModuleNotFoundError(\"No module named 'nicegui'\", name='nicegui')")
    process, _ = start("workbench", PYTHONPATH=str(tmp_path))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'pip install "enprompta[workbench]"' in " ".join(errors.split())
