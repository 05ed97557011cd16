"""Results as JSON Lines, CSV and Parquet, by file extension, without losing or running model output."""

from __future__ import annotations

import csv
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from enprompta.cli.app import app
from enprompta.cli.results_file import ResultsFile, writer_for
from enprompta.errors import ConfigurationError, EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from enprompta import Enprompta

    Run = Callable[..., Result]

COLUMNS = ["index", "ok", "variables.name", "variables.n", "output", "executionId", "model", "tokens", "cost", "error"]
HOSTILE = [
    "=cmd|'/c calc'!A1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "a\nb", 'a"b,c', "\x00", "\ud800", "é",
]  # fmt: skip


def record(**fields: Any) -> dict[str, Any]:
    """Build a record of `execute-many`."""
    usual = {"index": 0, "ok": True, "variables": {"name": "Ada", "n": 1}, "output": "Hi", "executionId": "exe_1"}
    return {**usual, "model": "m", "tokens": 5, "cost": 0.5, "error": None, **fields}


def written(path: Path, *records: dict[str, Any]) -> Path:
    """Write records to a file."""
    with ResultsFile(path, ["name", "n"]) as file:
        for each in records:
            file.write(each)
    return path


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv(tmp_path: Path) -> None:
    """One column per variable, one row per result; texts that a spreadsheet would run get an apostrophe."""
    rows = [record(output=text, error=text, variables={"name": text, "n": None}) for text in HOSTILE]
    path = written(
        tmp_path / "a.csv", *rows, record(output="-1.5", cost=-1.0, ok=False, variables={"name": [1], "n": True})
    )
    *hostile, last = read(path)
    assert list(last) == COLUMNS
    for text, row in zip(HOSTILE, hostile, strict=True):
        shielded = text.encode(errors="backslashreplace").decode()
        shielded = f"'{shielded}" if text[0] in "=+-@\t\r\uff1d" else shielded
        assert row["output"] == row["error"] == row["variables.name"] == shielded
    assert (last["output"], last["cost"], last["ok"], last["variables.name"]) == ("-1.5", "-1.0", "false", "[1]")
    assert (last["variables.n"], hostile[0]["variables.n"]) == ("true", "")


def test_parquet(tmp_path: Path) -> None:
    """Columns are typed whatever the rows; numbers out of range are empty; texts are unchanged."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [record(index=number, output="=1") for number in range(1_001)]
    path = written(tmp_path / "a.parquet", *rows, record(index=1_001, output="\ud800", tokens=2**70, cost=None))
    table = parquet.read_table(path)
    assert table.column_names == COLUMNS
    assert [str(field.type) for field in table.schema] == (
        ["int64", "bool", "string", "string", "string", "string", "string", "int64", "double", "string"]
    )
    *_, before, last = table.to_pylist()
    assert (before["index"], before["output"], before["tokens"]) == (1_000, "=1", 5)
    assert (last["output"], last["tokens"], last["cost"]) == ("\\ud800", None, None)
    assert parquet.read_table(written(tmp_path / "none.parquet")).schema == table.schema


def test_endings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown extension lists the known ones; none means JSON Lines; Parquet needs its package."""
    with pytest.raises(ConfigurationError, match=r"a\.xlsx ends in \.xlsx: results are written as \.jsonl, \.csv or"):
        ResultsFile(tmp_path / "a.xlsx")
    for name in ("a", "a.JSONL", "a.ndjson"):
        assert json.loads(written(tmp_path / name, record()).read_text()) == record()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigurationError, match="pip install pyarrow"):
        writer_for(tmp_path / "a.parquet")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_full_disk_in_any_format(tmp_path: Path, ending: str) -> None:
    """One error, at the latest on closing the file, names the file."""
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"full.{ending}"
    path.symlink_to("/dev/full")
    with pytest.raises(EnpromptaError, match=rf"full\.{ending} cannot be written and was left unchanged: "):
        written(path, *[record(output="x" * 10_000)] * 50)
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def run(client: Enprompta) -> Run:
    """Run the command line."""
    environment = {"ENPROMPTA_API_KEY": str(client._arguments()["api_key"]), "ENPROMPTA_BASE_URL": client.base_url}

    def invoke(*arguments: object, status: int = 0, stdin: bytes | None = None) -> Result:
        command = [str(one) for one in arguments]
        result = CliRunner().invoke(app, command, env={**environment, "COLUMNS": "300"}, input=stdin)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def prompt(client: Enprompta) -> Any:
    """A prompt with a required and an optional variable."""
    variables: Any = [
        {"name": "name", "type": "text", "required": True},
        {"name": "n", "type": "text", "required": False},
    ]
    return client.prompts.create(title="Bulk", content="Hi {{name}}{{n}}", variables=variables)


def test_from_file_to_file(run: Run, prompt: Any, tmp_path: Path) -> None:
    """Files with a BOM, empty rows and missing optional values are executed into the format of the extension."""
    source = tmp_path / "rows.jsonl"
    source.write_text('\ufeff{"name": "Ada"}\n{"name": "Bob", "n": "!"}\n')
    run("prompts", "execute-many", prompt.id, "-i", source, "-o", tmp_path / "out.csv")
    assert [row["output"] for row in read(tmp_path / "out.csv")] == ["Hi Ada", "Hi Bob!"]
    table = tmp_path / "rows.csv"
    table.write_text("\ufeffname\nAda\n\nBob\n")
    said = run("prompts", "execute-many", prompt.id, "-i", table, "-o", tmp_path / "out.ndjson").output
    assert "Skipped 1 empty rows of" in said
    assert "2 executed" in said


def test_nothing_is_charged_for_files_that_cannot_work(
    run: Run, client: Enprompta, prompt: Any, tmp_path: Path
) -> None:
    """An unknown extension, an empty required value, no rows and broken Parquet are one line each, before any call."""
    source = tmp_path / "rows.csv"
    source.write_text("name\nAda\n")
    told = run("prompts", "execute-many", prompt.id, "-i", source, "-o", tmp_path / "a.xml", status=2).output
    assert "ends in .xml: results are written as .jsonl, .csv or .parquet" in told
    for text, says in [
        ("name\nAda\n  \nBob\n", None),
        ("name,n\n,x\n", "line 2, column 'name': the cell is empty, and the prompt requires a value"),
        ("name\n", "has no rows below the line with the column names"),
        ("name\ncaf\xe9\n", "line 2 is not UTF-8"),
    ]:
        if says is not None:
            source.write_bytes(text.encode("latin-1"))
            told = run("prompts", "execute-many", prompt.id, "-i", source, "-o", tmp_path / "a.csv", status=1).output
            assert says in told
            assert len(told.strip().splitlines()) == 1
    broken = tmp_path / "rows.parquet"
    broken.write_bytes(b"PAR1PAR1")
    told = run("prompts", "execute-many", prompt.id, "-i", broken, "-o", tmp_path / "a.csv", status=1).output
    assert "rows.parquet is not readable as Parquet: " in told
    assert client.prompts.get(prompt.id).usage_count == 0


def test_texts_and_values_are_read_without_a_mark(run: Run, client: Enprompta, prompt: Any, tmp_path: Path) -> None:
    """`--file`, `--vars` and standard input skip a byte order mark; other encodings and endless files are refused."""
    path = tmp_path / "text"
    path.write_bytes("\ufeffHi {{name}}\r\n".encode())
    made = json.loads(run("prompts", "create", "--title", "T", "--file", path, "--json").stdout)
    assert client.prompts.get(made["id"]).content == "Hi {{name}}\r\n"
    run("prompts", "update", made["id"], "--file", "-", stdin="\ufeffYo {{name}}".encode())
    assert client.prompts.get(made["id"]).content == "Yo {{name}}"
    path.write_bytes(b'\xef\xbb\xbf{"name": "Ada"}')
    assert run("prompts", "execute", made["id"], "--vars", path).stdout == "Yo Ada\n"
    assert run("prompts", "execute", made["id"], "--vars", "-", stdin=path.read_bytes()).stdout == "Yo Ada\n"
    for data, says in [
        ("{}".encode("utf-16"), "text is UTF-16 or UTF-32, not UTF-8. Save it as UTF-8"),
        (b"\xef\xbb\xbfa\n\xff", "text is not UTF-8: byte 5 is 0xff (line 2)"),
        (b"[" * 100_000, "text is not JSON"),
    ]:
        path.write_bytes(data)
        assert says in " ".join(run("prompts", "execute", made["id"], "--vars", path, status=2).output.split())
    for file, says in [("/dev/zero", "Larger than 10 MB"), (tmp_path, "Is a directory"), ("gone", "No such file")]:
        assert says in run("prompts", "update", made["id"], "--file", file, status=2).output
    assert (
        "standard input is not UTF-8"
        in run("prompts", "update", made["id"], "--file", "-", status=2, stdin=b"\xff").output
    )


def test_numbers_are_not_shielded() -> None:
    """Only what a spreadsheet reads as a number is left unchanged."""
    from enprompta.cli.results_file import _shielded

    assert [_shielded(text) for text in ("-1", "+1e5", "-", "-inf", "\t1", "")] == [
        "-1",
        "+1e5",
        "'-",
        "-inf",
        "'\t1",
        "",
    ]
    assert math.isinf(float("-inf"))
