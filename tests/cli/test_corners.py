"""Commands with incomplete responses, failed calls, and users who decline."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from enprompta.cli import options
from enprompta.cli.app import app
from enprompta.cli.results_file import ResultsFile
from tests.cli.conftest import objects

if TYPE_CHECKING:
    from pathlib import Path

    from enprompta import Enprompta
    from enprompta.emulator import Emulator
    from enprompta.emulator.serving.faults import Faults
    from tests.cli.conftest import Run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write output to a narrow terminal."""
    monkeypatch.setattr("enprompta.cli.output.out", Console(color_system=None, force_terminal=True, width=40))


def says(faults: Faults, path: str, data: object, status: int = 200, **how: Any) -> None:
    """Make the service answer with the given data."""
    faults.add(path, status=status, body={"success": True, "data": data}, **how)


def test_the_doctor_with_few_fields(run: Run, faults: Faults) -> None:
    """Missing fields cause no failure; an unreadable clock is a warning."""
    faults.add("/health", status=200, headers={"Date": "soon"}, body={"status": "healthy"})
    says(faults, "/usage", {"requestsPerMinute": {"remaining": 3}})
    shown = run("doctor").output
    assert "warn  clock        the service sent no Date header to compare with" in shown
    assert "plan unknown" in shown
    assert "credits" not in shown
    assert "requests left" not in shown


def test_the_doctor_of_a_failing_service(run: Run, faults: Faults) -> None:
    """The failing part of usage is reported beside the working ones."""
    faults.add("/usage", status=500)
    shown = run("doctor", status=1).output
    assert "healthy in" in shown
    assert "fail  account" in shown
    assert "500 Internal Server Error" in shown


def test_the_doctor_of_credentials_that_lack_a_scope(run: Run, faults: Faults) -> None:
    """Refused usage alone is a warning; refused prompts too are a failure."""
    faults.add("/usage", status=403)
    assert (
        "warn  account      usage cannot be read with these credentials: GET /usage returned 403"
        in run("doctor").output
    )
    faults.add("/prompts", status=500)
    assert "fail  account      GET /prompts returned 500" in run("doctor", status=1).output


def test_an_account_without_usage(run: Run, faults: Faults) -> None:
    """Without usage no chart is drawn; missing fields are left out."""
    says(faults, "/usage", {"requestsPerDay": {}})
    says(faults, "/usage/history", [])
    shown = run("usage").output
    assert shown == "plan        unknown\nexecutions  0\n\nNo usage in these days.\n"


def test_bars_where_blocks_cannot_be_drawn(run: Run, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ASCII terminal gets ASCII bars; an empty day gets none."""
    days = [{"key": "2024-01-17", "tokens": 4, "cost": 0.0}, {"key": "2024-01-18", "tokens": 1, "cost": 0.0}]
    says(faults, "/usage/history", days)
    monkeypatch.setattr("enprompta.cli.commands.usage.out", Console(file=io.TextIOWrapper(io.BytesIO(), "ascii")))
    chart = run("usage").output.splitlines()
    assert [row.count("#") for row in chart] == [0, 24, 6]


def test_a_live_prompt(run: Run, client: Enprompta) -> None:
    """Its version and text are shown."""
    prompt = client.prompts.create(title="Live one", content="Hello\n{{name}}")
    shown = run("prompts", "live", prompt.id).output
    assert '"number": 1' in shown
    assert shown.endswith("\n\nHello\n{{name}}\n")


def test_an_execution_that_fails(run: Run, faults: Faults) -> None:
    """Standard error shows the reason, and the exit status is 1."""
    says(faults, "/prompts/*/execute", {"id": "exe_1", "status": "failed", "error": "the model is gone"}, 201)
    result = run("prompts", "execute", "p", status=1)
    assert (result.stdout, result.stderr) == ("", "error  Execution exe_1 failed: the model is gone\n")


@pytest.mark.usefixtures("terminal")
def test_paragraphs_are_apart(run: Run, client: Enprompta) -> None:
    """On a terminal too narrow for a table, rows are separated by an empty line."""
    first, second = [client.prompts.create(title=f"Narrow {name}", content="x") for name in ("a", "b")]
    shown = run("prompts", "list", "--search", "Narrow").output
    assert shown.startswith(f"ID       {second.id}\nTITLE    Narrow b\n")
    assert f"\n\nID       {first.id}\n" in shown


@pytest.mark.usefixtures("terminal")
def test_a_text_on_a_terminal_is_no_command(run: Run, client: Enprompta) -> None:
    """Control characters of a prompt's text are escaped; lines and indentation stay."""
    prompt = client.prompts.create(title="Evil", content="a\x1b[31m\n\tb\x07")
    assert run("prompts", "get", prompt.id).output.endswith("\na\\x1b[31m\n    b\\x07\n")


def test_a_table_fits_the_terminal(run: Run, client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long cells are folded within the width of the terminal."""
    terminal = Console(color_system=None, force_terminal=True, width=90)
    monkeypatch.setattr("enprompta.cli.output.out", terminal)
    client.teams.create(name="A team with a name that does not fit into one line of a terminal, however it is cut")
    head, *lines = run("teams", "list").output.splitlines()
    assert head.startswith("ID")
    assert len(lines) > 1
    assert max(map(len, lines)) <= 90


def test_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted command prints nothing and exits with 130."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("enprompta.cli.commands.teams.connected", interrupted)
    assert run("teams", "list", status=130).output == ""


def test_ctrl_c_while_options_are_read_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints nothing either."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.core.TyperGroup.make_context", interrupted)
    assert run("teams", "list", status=130).output == ""


def test_a_question_without_an_answer_is_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-D at a prompt ends the command."""

    def aborted() -> None:
        raise typer.Abort

    monkeypatch.setattr("enprompta.cli.commands.teams.connected", aborted)
    run("teams", "list", status=1)


def test_values_are_an_object(run: Run) -> None:
    """Other JSON than an object gives no names."""
    shown = run("prompts", "execute", "p", "--vars", "-", status=2, stdin="[1]", COLUMNS="300").stderr
    assert "must hold a JSON object" in shown


def test_a_person_is_asked(run: Run, client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Irreversible commands need a confirmation."""

    class Terminal(ModuleType):
        stdin = io.TextIOWrapper(io.BytesIO())

    monkeypatch.setattr(Terminal.stdin, "isatty", lambda: True)
    monkeypatch.setattr(options, "sys", Terminal("sys"))
    team = client.teams.create(name="Asked")
    shown = run("teams", "delete", team.id, status=1, stdin="n\n").output
    assert shown.startswith(f"Delete {team.id}? [y/N]: ")
    assert shown.endswith("Cancelled; nothing was changed.\n")
    assert client.teams.get(team.id).name == "Asked"
    assert run("teams", "delete", team.id, stdin="y\n").output.endswith(f"Deleted {team.id}.\n")


def test_a_member_leaves(run: Run, client: Enprompta, service: Emulator) -> None:
    """A member who is not the owner can leave, and is no longer a member."""
    team = client.teams.create(name="Left")
    client.teams.add_member(team.id, email="pro@example.com", role="VIEWER")
    assert run("teams", "leave", team.id, "--yes", ENPROMPTA_API_KEY=service.keys.pro).output == f"Left {team.id}.\n"
    assert [member.email for member in client.teams.list_members(team.id)] == ["enterprise@example.com"]


def test_secrets_go_where_they_were_sent(run: Run, tmp_path: Path) -> None:
    """With `-` only the secret is printed, for pipes; otherwise it goes into its file and is not shown."""
    create = ("webhooks", "create", "--name", "Pipe", "--url", "http://127.0.0.1:9/", "--event", "prompt.executed")
    printed = run(*create, "--secret-file", "-").stdout
    assert len(printed.strip()) > 16
    assert printed.count("\n") == 1
    (webhook,) = [one["id"] for one in objects(run("webhooks", "list", "--json")) if one["name"] == "Pipe"]
    file = tmp_path / "fresh"
    shown = run("webhooks", "rotate-secret", webhook, "--secret-file", file, COLUMNS="300").output
    assert shown == f"{webhook} has a new secret, in {file}.\n"
    assert file.read_text() not in {printed, ""}


def test_a_workflow_as_json(run: Run, client: Enprompta, tmp_path: Path) -> None:
    """JSON output is one line with the steps; a definition without steps is refused unsent."""
    prompt = client.prompts.create(title="Step", content="x")
    made = client.workflows.create(name="Json", steps=[{"id": "one", "prompt_id": prompt.id}])
    (shown,) = objects(run("workflows", "get", made.id, "--json"))
    assert [step["promptId"] for step in shown["steps"]] == [prompt.id]
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps({"name": "No steps"}))
    shown = run("workflows", "create", "--file", file, status=2, COLUMNS="300").stderr
    assert "A new workflow needs a name and steps" in shown


def test_a_run_that_fails(run: Run, faults: Faults) -> None:
    """Standard error shows the failed step and the reason, and the exit status is 1."""
    steps = [{"stepId": "one", "status": "completed"}, {"stepId": "two", "status": "failed", "error": "no such prompt"}]
    says(faults, "/workflows/*/execute", {"id": "wfe_1", "status": "failed", "steps": steps}, 201)
    result = run("workflows", "execute", "w", status=1)
    assert "two   failed" in result.stdout
    assert result.stderr == "error  two: no such prompt\n"


def test_a_run_that_is_cancelled(run: Run, faults: Faults) -> None:
    """Cancelling sends one request and shows the state of the run, even before its first step."""
    fault = faults.add("/workflows/**", status=200, body={"data": {"id": "wfe_1", "status": "cancelled"}})
    assert run("workflows", "cancel", "w", "wfe_1").output == "id      wfe_1\nstatus  cancelled\ninput   {}\n"
    assert [hit.method for hit in fault.hits] == ["POST"]


def test_a_run_is_interrupted(run: Run, client: Enprompta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C stops a run gracefully: results are written, it says how to resume, and the handler is restored."""
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}")
    rows, results = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(json.dumps({"name": f"N{number}"}) + "\n" for number in range(2_000)))
    write, before = ResultsFile.write, signal.getsignal(signal.SIGINT)

    def press(self: ResultsFile, record: dict[str, Any]) -> None:
        write(self, record)
        if record["index"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ResultsFile, "write", press)
    command = ("prompts", "execute-many", prompt.id, "-i", rows, "-o", results, "--concurrency", 1)
    shown = run(*command, status=130).stderr
    assert "Run the same command again to resume: no row is charged twice." in shown
    written = [json.loads(line)["output"] for line in results.read_text().splitlines()]
    assert written[:3] == ["Hi N0", "Hi N1", "Hi N2"]
    assert len(written) == client.prompts.get(prompt.id).usage_count < 2_000
    assert signal.getsignal(signal.SIGINT) is before


def test_a_requested_checkpoint_is_kept(run: Run, client: Enprompta, tmp_path: Path) -> None:
    """The automatic checkpoint is deleted after success; a requested one is kept."""
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"name": "Ada"}\n')
    command = ("prompts", "execute-many", prompt.id, "-i", rows, "-o", tmp_path / "out", "--checkpoint")
    run(*command, tmp_path / "kept")
    assert (tmp_path / "kept").exists()


class Missing(ModuleType):
    """A module that cannot be imported."""

    def __init__(self, error: ImportError) -> None:
        super().__init__("missing")
        self.__dict__["error"] = error

    def __getattr__(self, name: str) -> Any:
        """Fail as its import would."""
        raise self.error


def test_the_emulator_that_is_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install; a broken installation is not relabeled."""
    shown = ImportError("The emulator needs uvicorn: install it")
    shown.__cause__ = broken = ModuleNotFoundError("No module named 'sqlite3'")
    monkeypatch.setitem(sys.modules, "enprompta.emulator.__main__", Missing(shown))
    assert run("emulator", status=1).stderr == "error  The emulator needs uvicorn: install it\n"
    monkeypatch.setitem(sys.modules, "enprompta.emulator.__main__", Missing(broken))
    assert CliRunner().invoke(app, ["emulator"]).exception is broken


class _FailingServer:
    """A Workbench that fails before or after it reports its addresses."""

    origin = "http://127.0.0.1:1"

    def __init__(self, session: object, *, is_late: bool = False) -> None:
        self.is_late = is_late
        self.session = session
        self.stopped = threading.Event()

    async def serve(self, started: Any, **_: object) -> None:
        """Fail."""
        if self.is_late:
            started(SimpleNamespace(url="u", report_url="r"))
            self.stopped.wait(10)
        raise OSError(98, "Address already in use")

    def stop(self) -> None:
        """Stop."""
        self.stopped.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_workbench_that_fails_ends_the_command(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Workbench that cannot start is the command's error; one that fails later does not end the emulator."""
    from enprompta.cli import workbench_session
    from enprompta.cli.commands import emulator

    monkeypatch.setattr(workbench_session, "emulator_session", lambda it: it)
    monkeypatch.setattr(workbench_session, "Server", _FailingServer)
    with pytest.raises(OSError, match="already in use"), emulator._workbench(service):
        pass
    monkeypatch.setattr(workbench_session, "Server", partial(_FailingServer, is_late=True))
    with emulator._workbench(service) as printed:
        assert "workbench u\n" in printed
    assert service.workbench_url == "http://127.0.0.1:1/"


def test_the_emulator_is_given_its_options(run: Run) -> None:
    """Options and exit status are those of the emulator's command; its help shows the name it was called by."""
    assert run("emulator", "--help").output.startswith("usage: enprompta emulator ")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert "between 0 and 65535" in run("emulator", "--port", "66000", status=1).stderr
        assert "--prot" in run("emulator", "--prot", "1", status=2).stderr
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
