"""The command groups of the resources, against an emulator."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from enprompta.cli.app import app
from enprompta.cli.commands.doctor import masked
from enprompta.emulator import Emulator
from tests.cli.conftest import objects

if TYPE_CHECKING:
    from enprompta import Enprompta
    from tests.cli.conftest import Run

COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]


def test_prompts(run: Run, tmp_path: Path) -> None:
    """A prompt is created, listed, read, updated, executed and deleted."""
    text = tmp_path / "text.txt"
    text.write_bytes(b"Hello {{name}}\r\n")
    made = objects(run("prompts", "create", "--title", "Life", "--file", text, "--tag", "a", "--tag", "b", "--json"))[0]
    assert (made["content"], made["tags"]) == ("Hello {{name}}\r\n", ["a", "b"])
    assert made["id"] in run("prompts", "list", "--search", "Life").output
    shown = run("prompts", "get", made["id"]).output
    assert "title        Life\n" in shown
    assert shown.endswith(("Hello {{name}}\n", "Hello {{name}}\r\n"))
    changed = objects(run("prompts", "update", made["id"], "--description", "x", "--clear", "tags", "--json"))[0]
    assert (changed["description"], changed["tags"], changed["version"]) == ("x", [], 1)
    done = run("prompts", "execute", made["id"], "--var", "name=Ada=1")
    assert done.stdout.startswith("Hello Ada=1")
    assert "tokens, $" in done.stderr
    values = json.dumps({"name": "file"})
    executed = objects(run("prompts", "execute", made["id"], "--vars", "-", "--json", stdin=values))[0]
    assert executed["variables"] == {"name": "file"}
    assert "Deleted" in run("prompts", "delete", made["id"], "--yes").output
    assert "404 Not Found" in run("prompts", "get", made["id"], status=1).output


def test_the_slug_that_is_shown_reads_the_live_prompt(run: Run) -> None:
    """`list` and `get` show the slug that `live` accepts."""
    made = objects(run("prompts", "create", "--title", "Slug shown", "--content", "Live text", "--json"))[0]
    slug = made["slug"]
    assert slug in run("prompts", "list", "--search", "Slug shown").output.split()
    assert f" {slug}\n" in run("prompts", "get", made["id"]).output
    assert "Live text" in run("prompts", "live", slug).output


def test_lists_stop_and_say_so(run: Run, client: Enprompta) -> None:
    """A list ends at its limit and says on standard error that there are more."""
    for number in range(5):
        client.prompts.create(title=f"Many {number}", content="x")
    some = run("prompts", "list", "--search", "Many", "--limit", 3, "--json")
    assert len(objects(some)) == 3
    assert "or --all to show them" in some.stderr
    every = run("prompts", "list", "--search", "Many", "--all", "--json")
    assert [one["title"] for one in objects(every)] == [f"Many {number}" for number in (4, 3, 2, 1, 0)]
    assert every.stderr == ""
    assert run("prompts", "list", "--search", "none such").output == "No results.\n"


def test_tables_fit_the_terminal(run: Run, client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, texts wrap and narrow rows become paragraphs; in a pipe a row is a line; nothing is cut."""
    title = "Wide " + "word " * 30
    prompt = client.prompts.create(title=title.strip(), content="x")
    command = ("prompts", "list", "--search", "Wide word")
    piped = run(*command, COLUMNS="20").output.splitlines()
    assert len(piped) == 2
    assert title.strip() in piped[1]
    monkeypatch.setattr("enprompta.cli.output.out", Console(color_system=None, force_terminal=True, width=80))
    folded = run(*command).output.splitlines()
    assert len(folded) > 5
    assert all(len(row) <= 80 for row in folded)
    assert " ".join(folded).replace("word-", "").replace("-word", "").count("word") >= 30
    monkeypatch.setattr("enprompta.cli.output.out", Console(color_system=None, force_terminal=True, width=40))
    assert run(*command).output.startswith(f"ID       {prompt.id}\nTITLE    Wide")


def test_executions_templates_usage(run: Run, client: Enprompta) -> None:
    """Executions are listed, shown and summed up; templates are shown and forked."""
    prompt = client.prompts.create(title="Sum", content="Hi")
    execution = client.prompts.execute(prompt.id)
    assert execution.id in run("executions", "list", "--prompt", prompt.id).output
    assert run("executions", "get", execution.id).output.endswith("Hi\n")
    assert objects(run("executions", "stats", "--by", "prompt", "--json"))[0].keys() >= {"key", "tokens", "cost"}
    template = objects(run("templates", "list", "--limit", 1, "--json"))[0]
    assert template["content"] in run("templates", "get", template["id"]).output
    assert "pmt_" in run("templates", "fork", template["id"], "--title", "Mine").output
    chart = run("usage").output
    assert re.search(r"^credits     \d+ used, no limit$", chart, re.MULTILINE)
    assert "plan        enterprise" in chart
    assert "█" in chart
    assert objects(run("usage", "--json"))[0]["days"]
    assert "MODEL" in run("usage", "history", "--by", "model").output
    assert "enterprise" in run("usage", "billing").output
    run("usage", "invoices")


def test_teams(run: Run) -> None:
    """A team and its members are managed."""
    team = objects(run("teams", "create", "--name", "Crew", "--json"))[0]
    assert "Crew" in run("teams", "list").output
    assert "other" in run("teams", "update", team["id"], "--name", "other").output
    member = objects(
        run("teams", "add-member", team["id"], "--email", "pro@example.com", "--role", "VIEWER", "--json")
    )[0]
    assert "pro@example.com" in run("teams", "members", team["id"]).output
    assert "ADMIN" in run("teams", "update-member", team["id"], member["userId"], "--role", "ADMIN").output
    run("teams", "remove-member", team["id"], member["userId"], "--yes")
    run("teams", "leave", team["id"], "--yes", status=1)
    run("teams", "get", team["id"])
    run("teams", "delete", team["id"], "--yes")


def test_workflows(run: Run, client: Enprompta, tmp_path: Path) -> None:
    """A workflow is created from a file, run and waited for; its runs are listed and shown."""
    prompt = client.prompts.create(title="Step", content="Say {{word}}")
    steps = [{"id": "one", "promptId": prompt.id, "variables": {"word": "{{input.word}}"}}]
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps({"name": "Chain", "steps": steps}))
    made = objects(run("workflows", "create", "--file", file, "--json"))[0]
    assert "Chain" in run("workflows", "list").output
    assert prompt.id in run("workflows", "get", made["id"]).output
    done = run("workflows", "execute", made["id"], "--var", "word=yes", "--wait")
    assert done.stdout.endswith("Say yes\n")
    started = objects(run("workflows", "execute", made["id"], "--var", "word=yes", "--json"))[0]
    assert started["id"] in run("workflows", "runs", made["id"]).output
    assert started["id"] in run("workflows", "run", made["id"], started["id"]).output
    file.write_text(json.dumps({"description": "new"}))
    assert "new" in run("workflows", "update", made["id"], "--file", file).output
    file.write_text(json.dumps({"nmae": "new"}))
    refused = run("workflows", "update", made["id"], "--file", file, status=2, COLUMNS="300").output
    assert "unknown field 'nmae'" in refused
    run("workflows", "delete", made["id"], "--yes")


def test_webhook_secrets_are_not_shown(run: Run, tmp_path: Path) -> None:
    """A new secret goes into a new file that only the user can read; it is printed only for `-`."""
    file = tmp_path / "secret"
    create = ("webhooks", "create", "--name", "Hook", "--url", "http://127.0.0.1:9/", "--event", "prompt.executed")
    made = run(*create, "--secret-file", file, "--json")
    secret = file.read_text().strip()
    assert len(secret) > 16
    assert secret not in made.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused = run(*create, "--secret-file", file, status=2, COLUMNS="300").output
    assert "secret already exists" in refused
    missing = run(*create, "--secret-file", tmp_path / "missing" / "secret", status=2, COLUMNS="300").output
    assert "missing is not a writable directory" in missing
    webhook = objects(made)[0]["id"]
    assert "Hook" in run("webhooks", "list").output
    assert secret not in run("webhooks", "get", webhook, "--json").output
    assert run("webhooks", "rotate-secret", webhook, "--secret-file", "-").stdout.count("\n") == 1
    assert "is_active      no" in run("webhooks", "update", webhook, "--disable").output
    run("webhooks", "update", webhook, "--enable")
    delivery = objects(run("webhooks", "test", webhook, "--json"))[0]
    assert delivery["id"] in run("webhooks", "deliveries", webhook).output
    run("webhooks", "retry", webhook, delivery["id"], "--json")
    run("webhooks", "delete", webhook, "--yes")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_secret_without_a_place_is_not_created(
    run: Run, service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is reserved before the service makes a secret, and leaves nothing when that fails."""
    file, opened = tmp_path / "secret", os.open
    create = ("webhooks", "create", "--name", "Lost", "--event", "prompt.executed", "--secret-file", file)
    with monkeypatch.context() as patch:

        def full(path: str, *rest: Any) -> int:
            descriptor = opened(path, *rest)
            if str(path) == str(file):
                os.dup2(disk, descriptor)
            return descriptor

        disk = opened("/dev/full", os.O_WRONLY)
        patch.setattr(os, "open", full)
        shown = run(*create, "--url", "http://127.0.0.1:9/", status=1)
        os.close(disk)
    assert shown.output == f"error  {file} cannot be written: No space left on device\n"
    assert "Lost" not in run("webhooks", "list").output
    assert "400 Bad Request" in run(*create, "--url", "ftp://x", status=1).output
    hurry = {"ENPROMPTA_TIMEOUT": "0.2", "ENPROMPTA_MAX_RETRIES": "0"}
    service.faults.add("/webhooks", latency=1.0, status=503)
    assert "cannot be written" not in run(*create, "--url", "http://127.0.0.1:9/", status=1, **hurry).output
    service.faults.clear()
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "shown"),
    [
        (("prompts", "get", "nope"), 1, "404 Not Found"),
        (("prompts", "get", ""), 2, "is empty"),
        (("prompts", "create", "--title", "x"), 2, "--content or"),
        (("prompts", "create", "--title", "x", "--content", "a", "--file", "b"), 2, "not both"),
        (("prompts", "create", "--title", "x", "--file", "/none/such"), 2, "cannot be read"),
        (("prompts", "execute", "p", "--var", "x"), 2, "NAME=VALUE"),
        (("prompts", "execute", "p", "--vars", "-"), 2, "JSON"),
        (("prompts", "update", "p"), 2, "at least one field"),
        (("prompts", "delete", "p"), 2, "pass --yes to continue"),
        (("prompts", "list", "--visibility", "nobody"), 2, "nobody"),
        (("teams", "update", "t"), 2, "at least one field"),
        (("webhooks", "update", "t"), 2, "at least one field"),
        (("executions", "list", "--since", "yesterday"), 2, "ISO 8601"),
    ],
)
def test_errors_are_one_line_and_a_status(run: Run, arguments: tuple[str, ...], status: int, shown: str) -> None:
    """1 for an API error, 2 for wrong usage; standard output stays empty."""
    result = run(*arguments, status=status)
    assert result.stdout == ""
    assert shown in result.stderr.replace("\n", " ").replace("│ ", "").replace("  ", " ")
    if status == 1:
        assert result.stderr.count("\n") == 1


def test_no_key_is_3(run: Run) -> None:
    """Without a key, one line says what to set; `--debug` shows the origin of an error."""
    assert "ENPROMPTA_API_KEY" in run("prompts", "list", status=3, ENPROMPTA_API_KEY="").stderr
    assert run("doctor", status=3, ENPROMPTA_API_KEY="").output.count("fail") == 1
    debugged = CliRunner().invoke(app, ["--debug", "prompts", "list"], env={"ENPROMPTA_API_KEY": ""})
    assert type(debugged.exception).__name__ == "SetupError"


def test_doctor(run: Run, service: Emulator) -> None:
    """`doctor` reports everything relevant, with the key abbreviated."""
    shown = run("doctor").output
    for part in ("ep_…rise, from ENPROMPTA_API_KEY", service.url, "healthy in", "clock agrees with", "plan enterprise"):
        assert part in shown
    assert objects(run("doctor", "--json"))[0]["ok"] is True
    assert re.search(r"^ok    credits      \d+ used, no limit$", shown, re.MULTILINE)
    shown = run("doctor", status=1, ENPROMPTA_API_KEY="ep_wrong").output
    assert "refuses the credentials" in shown
    assert "store a valid key with `enprompta login`" in shown
    shown = run("doctor", status=1, ENPROMPTA_API_KEY=service.keys.free).output
    assert "fail  account      neither usage nor prompts can be read with these credentials: " in shown
    shown = run("doctor", status=1, ENPROMPTA_BASE_URL=service.url.removesuffix("/api/v1")).output
    assert "the base URL must end in /api/v1 (see ENPROMPTA_BASE_URL)" in shown
    assert "fail  reachable" in run("doctor", status=1, ENPROMPTA_BASE_URL="http://127.0.0.1:9/api/v1").output
    oauth = {"ENPROMPTA_API_KEY": "", "ENPROMPTA_CLIENT_ID": service.clients.pro.client_id}
    shown = run("doctor", **oauth, ENPROMPTA_CLIENT_SECRET=service.clients.pro.client_secret).output
    assert "ENPROMPTA_CLIENT_SECRET is set" in shown
    assert service.clients.pro.client_secret not in shown
    assert (masked("ep_0123456789abcdef"), masked("ep_short"), masked("other-0123456789")) == (
        "ep_…cdef",
        "ep_…",
        "…6789",
    )


def test_a_wrong_clock_is_reported(environment: dict[str, str]) -> None:
    """The doctor reports by how much this machine's clock is off."""
    with Emulator(clock=lambda: time.time() + 600) as ahead:
        variables = {**environment, "ENPROMPTA_BASE_URL": ahead.url}
        shown = CliRunner().invoke(app, ["doctor"], env=variables)
    assert shown.exit_code == 0
    assert "s behind the service: correct it" in shown.output


def test_execute_many(run: Run, client: Enprompta, tmp_path: Path) -> None:
    """Each row of the file is executed once, at its place in the output; unknown columns are ignored.

    Executing all of them again needs an option.
    """
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}")
    rows, results = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    rows.write_text("id,name\n" + "".join(f"{number},N{number}\n" for number in range(50)))
    command = ("prompts", "execute-many", prompt.id, "--input", rows, "--output", results)
    assert "50 executed, 0 failed" in run(*command).output
    written = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(one["index"], one["output"]) for one in written] == [(number, f"Hi N{number}") for number in range(50)]
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "out.jsonl"}
    refused = run(*command, status=2, COLUMNS="300").output
    assert "--force overwrites it: every row is executed and charged again" in refused
    assert "50 executed, 0 failed" in run(*command, "--force").output
    assert client.prompts.get(prompt.id).usage_count == 100


def test_a_budget_is_of_the_whole_run(run: Run, client: Enprompta, tmp_path: Path) -> None:
    """A run that its budget stopped says how to resume: with a higher budget or none, because the same stops it again.

    Earlier executions are counted separately and not charged again, even with --force.
    """
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}")
    rows, results = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    rows.write_text("name\n" + "".join(f"N{number}\n" for number in range(20)))
    command = ("prompts", "execute-many", prompt.id, "--input", rows, "--output", results)
    first = run(*command, "--max-credits", 5, status=1)
    assert "Resuming from" not in first.stderr
    assert first.stdout.startswith("5 executed, 0 failed")
    assert "To resume, raise or remove --max-credits or --max-usd" in first.stderr
    assert "the same command" not in first.stderr
    again = run(*command, "--max-credits", 5, status=1)
    assert "out.jsonl.checkpoint: rows that it contains are not executed again" in again.stderr
    assert again.stdout.startswith("5 executed (5 of them before), 0 failed")
    assert run(*command, "--max-credits", 8, status=1).stdout.startswith("8 executed (5 of them before), 0 failed")
    assert run(*command, "--force").stdout.startswith("20 executed (8 of them before), 0 failed")
    assert client.prompts.get(prompt.id).usage_count == 20


def test_a_missing_column_is_reported_before_anything_is_sent(run: Run, client: Enprompta, tmp_path: Path) -> None:
    """File, line and column are named; nothing is executed or written."""
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}")
    rows = tmp_path / "rows.csv"
    rows.write_text("id,nmae\n1,Ada\n")
    shown = run("prompts", "execute-many", prompt.id, "-i", rows, "-o", tmp_path / "out.jsonl", status=1).output
    assert "rows.csv, line 2: there is no column 'name'" in shown
    assert client.prompts.get(prompt.id).usage_count == 0
    assert not (tmp_path / "out.jsonl").exists()


def test_ctrl_c_leaves_a_checkpoint(
    client: Enprompta, service: Emulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """An interrupted run exits with 130 and says how to resume; then each row is done and charged once."""
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}")
    rows, results = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(json.dumps({"name": f"N{number}"}) + "\n" for number in range(600)))
    arguments = ["prompts", "execute-many", prompt.id, "-i", str(rows), "-o", str(results), "--concurrency", "4"]
    variables = {**os.environ, **environment}
    first = subprocess.Popen([*COMMAND, *arguments], env=variables, stderr=subprocess.PIPE, text=True)
    while (client.prompts.get(prompt.id).usage_count or 0) < 20:
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, shown = first.communicate(timeout=30)
    assert first.returncode == 130
    assert "Run the same command again to resume: no row is charged twice." in shown
    assert "Traceback" not in shown
    second = subprocess.run([*COMMAND, *arguments], env=variables, capture_output=True, text=True, check=False)
    assert second.returncode == 0
    assert re.match(r"600 executed \(\d+ of them before\), 0 failed", second.stdout)
    assert len({json.loads(line)["executionId"] for line in results.read_text().splitlines()}) == 600
    assert client.prompts.get(prompt.id).usage_count == 600


def test_the_emulator_is_a_command() -> None:
    """`enprompta emulator` serves until Ctrl-C, with the options of the emulator's command."""
    command = [*COMMAND, "emulator", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "Enprompta emulator" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 130
    shown = subprocess.run([*COMMAND, "emulator", "--prot", "1"], capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert "--prot" in shown.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("enprompta prom", ["prompts"]),
        ("enprompta prompts exec", ["execute", "execute-many"]),
        ("enprompta usage history --b", ["--by"]),
    ],
)
def test_completion(words: str, found: list[str]) -> None:
    """Shell completion completes groups, commands and options; its script is printed."""
    variables = {"_ENPROMPTA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(COMMAND, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == found
    variables = {"_ENPROMPTA_COMPLETE": "source_bash"}
    taught = subprocess.run(COMMAND, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert "complete -o default -F _enprompta_completion enprompta" in taught.stdout
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


def test_a_pipe_that_closes_is_no_error(environment: dict[str, str]) -> None:
    """`enprompta … | head -1` prints no traceback."""
    command = f"{sys.executable} -c 'from enprompta.cli import main; main()' templates list --all --json | head -1"
    done = subprocess.run(
        command, shell=True, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
