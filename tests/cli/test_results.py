"""The output file of `execute-many` never contains half a line and never replaces earlier results with nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from enprompta.batch import CheckpointError
from enprompta.cli.app import app
from enprompta.cli.results_file import ResultsFile
from enprompta.errors import ConfigurationError, EnpromptaError
from tests.cli.test_broken_output import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from enprompta import Enprompta
    from enprompta.emulator import Emulator

    Run = Callable[..., Result]


@pytest.fixture
def prompt(client: Enprompta) -> str:
    """A prompt with one variable."""
    return client.prompts.create(title="Bulk", content="Hi {{name}}").id


@pytest.fixture
def run(client: Enprompta, prompt: str, tmp_path: Path) -> Run:
    """Run the rows of a file into `out.jsonl` or a given file."""
    environment = {"ENPROMPTA_API_KEY": str(client._arguments()["api_key"]), "ENPROMPTA_BASE_URL": client.base_url}

    def invoke(*arguments: object, status: int = 0) -> Result:
        given = [str(one) for one in arguments]
        output = [] if "-o" in given else ["-o", str(tmp_path / "out.jsonl")]
        command = ["prompts", "execute-many", prompt, *output, *given]
        result = CliRunner().invoke(app, command, env={**environment, "COLUMNS": "300"})
        assert result.exit_code == status, result.output
        return result

    return invoke


def rows(path: Path, *names: str) -> Path:
    """Write rows with one column."""
    path.write_text("name\n" + "".join(f"{name}\n" for name in names))
    return path


def outputs(path: Path) -> list[str]:
    """Read the outputs in order."""
    return [json.loads(line)["output"] for line in path.read_text().splitlines()]


def test_each_file_is_for_one_purpose(run: Run, client: Enprompta, prompt: str, tmp_path: Path) -> None:
    """Results into the file of rows or the checkpoint, under any name, are refused first."""
    source, link = rows(tmp_path / "rows.csv", "Ada"), tmp_path / "link.csv"
    link.symlink_to(source)
    for arguments, told in [
        (("-i", source, "-o", source), "rows.csv is also --input"),
        (("-i", source, "-o", link), "link.csv is also --input"),
        (("-i", source, "-o", tmp_path / "new", "--checkpoint", tmp_path / "new"), "new is also --output"),
        (("-i", source, "--checkpoint", source), "rows.csv is also --input"),
    ]:
        assert told in run(*arguments, "--force", status=2).output
    assert source.read_text() == "name\nAda\n"
    assert client.prompts.get(prompt).usage_count == 0


def test_a_run_that_is_refused_leaves_the_results_there(run: Run, tmp_path: Path) -> None:
    """If the rows do not match the checkpoint, earlier results are kept."""
    source = rows(tmp_path / "rows.csv", "Ada", "Bob", "Eve")
    run("-i", source, "--max-credits", 2, status=1)
    rows(source, "Ada", "Rob", "Eve")
    assert "is of other rows: row 1 differs" in run("-i", source, status=1).output
    assert outputs(tmp_path / "out.jsonl") == ["Hi Ada", "Hi Bob"]
    rows(source, "Ada", "Bob", "Eve")
    run("-i", source)
    assert outputs(tmp_path / "out.jsonl") == ["Hi Ada", "Hi Bob", "Hi Eve"]
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "out.jsonl"}


def test_a_file_of_no_known_format(run: Run, tmp_path: Path) -> None:
    """Formats depend on the file name, so the error lists the supported extensions."""
    told = run("-i", rows(tmp_path / "rows.txt", "Ada"), status=2).output
    assert "rows.txt: rename the file to .csv, .jsonl or .parquet" in told
    assert "format=" not in told


def test_an_error_names_the_command_that_resumes(run: Run, service: Emulator, tmp_path: Path) -> None:
    """An error that ends the run names the command that resumes it, not a Python call."""
    source = rows(tmp_path / "rows.csv", "Ada", "Bob", "Eve")
    service.faults.add("/prompts/*/execute", status=402, times=1)
    told = run("-i", source, "--concurrency", 1, status=1).output
    assert "rows have ended; run the same command again to resume" in told
    assert "checkpoint=" not in told
    run("-i", source)
    assert outputs(tmp_path / "out.jsonl") == ["Hi Ada", "Hi Bob", "Hi Eve"]


def test_half_a_pair_of_letters_is_a_row_that_fails(run: Run, tmp_path: Path) -> None:
    """A row with invalid text is reported as failed in valid JSON, and the other rows continue."""
    source = tmp_path / "rows.jsonl"
    source.write_text('{"name": "\\ud800"}\n{"name": "Ada"}\n')
    assert "1 executed, 1 failed" in run("-i", source, status=1).output
    first, second = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert (first["variables"], first["ok"]) == ({"name": "\ud800"}, False)
    assert second["output"] == "Hi Ada"


def test_a_full_disk(run: Run, client: Enprompta, prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is reported in one line, the old file stays, and after a retry nothing is charged twice."""
    output = tmp_path / "out.jsonl"
    output.write_text("older\n")
    source = rows(tmp_path / "rows.csv", "Ada", "Bob")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("enprompta.cli.results_file.os.fsync", full)
        told = run("-i", source, "--force", status=1).output
    assert "out.jsonl cannot be written and was left unchanged: No space left on device." in told
    assert output.read_text() == "older\n"
    run("-i", source)
    assert outputs(output) == ["Hi Ada", "Hi Bob"]
    assert client.prompts.get(prompt).usage_count == 2


class Full:
    """A stream without space."""

    def write(self, _: str) -> None:
        """Fail."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the real stream."""
        return getattr(self.real, name)

    def __init__(self, real: Any) -> None:
        self.real = real


def test_a_line_that_was_not_written_whole_is_not_shown(tmp_path: Path) -> None:
    """A disk that fills up within a line leaves neither the line nor the temporary file."""
    path = tmp_path / "out.jsonl"
    path.write_text("older\n")

    def fill() -> None:
        with ResultsFile(path) as file:
            file.write({"first": 1})
            file._writer._stream = Full(file._stream)  # type: ignore[attr-defined]
            file.write({"second": 2})

    with pytest.raises(EnpromptaError, match="was left unchanged"):
        fill()
    assert path.read_text() == "older\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "lines", "left"),
    [
        (KeyboardInterrupt(), 2, "0\n1\n"),
        (KeyboardInterrupt(), 0, "older\n"),
        (CheckpointError("of other rows"), 2, "older\n"),
        (EnpromptaError("no such prompt"), 1, "0\n"),
    ],
    ids=["interrupted", "before the first line", "refused", "ended by an error"],
)
def test_what_a_run_that_is_broken_off_leaves(tmp_path: Path, error: BaseException, lines: int, left: str) -> None:
    """New results replace the old file if there are any, and contain only this run."""
    path = tmp_path / "out.jsonl"
    path.write_text("older\n")

    def break_off() -> None:
        with ResultsFile(path) as file:
            for number in range(lines):
                file.write(number)  # type: ignore[arg-type]
            raise error

    with pytest.raises(type(error)):
        break_off()
    assert path.read_text() == left
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The results replace the file that a link leads to."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.jsonl"
    link.symlink_to("there/results.jsonl")
    for _ in range(2):  # at first the file does not exist
        with ResultsFile(link) as file:
            file.write({"a": 1})
        assert link.is_symlink()
        assert (tmp_path / "there" / "results.jsonl").read_text() == '{"a": 1}\n'
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["results.jsonl"]


@pytest.mark.parametrize("to_file", [True, False], ids=["a file", "a pipe"])
def test_standard_output_has_results_alone(service: Emulator, client: Enprompta, tmp_path: Path, to_file: bool) -> None:  # noqa: FBT001
    """The summary goes to stderr; a file that is appended to keeps its start."""
    prompt = client.prompts.create(title="Bulk", content="Hi {{name}}").id
    given = rows(tmp_path / "rows.csv", "Ada", "Bob")
    environment = {**os.environ, "ENPROMPTA_API_KEY": service.keys.enterprise, "ENPROMPTA_BASE_URL": service.url}
    command = [*COMMAND, "prompts", "execute-many", prompt, "-i", given, "-o", "/dev/stdout"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--checkpoint FILE" in refused.stderr
    shown = tmp_path / "shown.jsonl"
    shown.write_text("first\n")
    with shown.open("a") as end:
        done = subprocess.run(
            [*command, "--checkpoint", tmp_path / "kept"], env=environment, check=False,
            stdout=end if to_file else subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    first, *lines = shown.read_text().splitlines() if to_file else ["first", *done.stdout.splitlines()]
    assert first == "first"
    assert [json.loads(line)["variables"]["name"] for line in lines] == ["Ada", "Bob"]
    assert "2 executed, 0 failed" in done.stderr


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    """A pipe receives lines as they arrive and still exists afterwards; a missing folder is reported."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with ResultsFile(pipe) as file:
        file.write({"a": 1})
    assert os.read(reader, 100) == b'{"a": 1}\n'
    os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(ConfigurationError, match="cannot be written: No such file or directory"):
        ResultsFile(tmp_path / "missing" / "out.jsonl")
