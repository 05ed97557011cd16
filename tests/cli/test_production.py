"""Typed outputs, expected versions and template checks on the command line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import objects

if TYPE_CHECKING:
    from pathlib import Path

    from enprompta import Enprompta
    from tests.cli.conftest import Run

SCHEMA = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/n"}, "items": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
    "$defs": {"n": {"type": "integer"}},
}


@pytest.fixture(scope="module")
def prompt(client: Enprompta) -> str:
    """The id of a prompt whose output is JSON in prose."""
    return client.prompts.create(title="Answer", content='Sure: {"a": {{n}}} ').id


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """A JSON Schema in a file."""
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return path


def test_an_output_is_printed_as_json(run: Run, prompt: str, schema: Path) -> None:
    """Only the JSON, which another program can read; --json has it as a field, and --quiet the id alone."""
    command = ("prompts", "execute", prompt, "--var", "n=1", "--output-schema", schema)
    assert json.loads(run(*command, "--expect-version", "v1").stdout) == {"a": 1}
    (found,) = objects(run(*command, "--json"))
    assert found["parsed"] == {"a": 1}
    assert found["executionIds"] == [found["id"]]
    assert found["totalCost"] == found["cost"]
    assert run(*command, "--quiet").stdout.startswith("exe_")


def test_a_schema_can_come_from_standard_input(run: Run, prompt: str) -> None:
    """`-` reads it."""
    done = run("prompts", "execute", prompt, "--var", "n=2", "--output-schema", "-", stdin=json.dumps(SCHEMA))
    assert json.loads(done.stdout) == {"a": 2}


def test_an_invalid_output_is_a_failure(run: Run, prompt: str, schema: Path) -> None:
    """The error has the execution and the place; --repair executes once more, and says what was charged."""
    command = ("prompts", "execute", prompt, "--output-schema", schema, "--var", 'n="x"')
    failed = run(*command, status=1)
    assert "was charged, but the output does not match" in failed.stderr
    assert "at a: 'x' is not of type 'integer'" in failed.stderr
    assert failed.stdout == ""
    assert "2 executions were charged" in run(*command, "--repair", "1", status=1).stderr
    long = ("--var", "n=" + json.dumps("x" * 500))
    assert "…" in run(*command[:5], *long, status=1).stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ('{"type": "objekt"}', "is not a JSON Schema: $.type"),
        ('{"$ref": "http://127.0.0.1:1/x"}', "refers to 'http://127.0.0.1:1/x', which is not in it"),
        ('{"allOf": [{"$ref": "#/$defs/none"}]}', "refers to '#/$defs/none'"),
        ('{"$dynamicRef": "#none"}', "refers to '#none'"),
        ('{"$ref": "#"}', "refers to itself without end"),
        ('{"not":' * 400 + "{}" + "}" * 400, "is nested too deeply"),
        ('{"$schema": 5}', "is not a JSON Schema: $['$schema']: 5 is not of type 'string'"),
    ],
)
def test_what_is_no_schema_is_wrong_usage(run: Run, prompt: str, tmp_path: Path, text: str, message: str) -> None:
    """Nothing is executed, and nothing is fetched."""
    path = tmp_path / "schema.json"
    path.write_text(text)
    done = run("prompts", "execute", prompt, "--var", "n=1", "--output-schema", path, status=2, COLUMNS="400")
    assert message in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"default": {"$ref": "x"}}}, "enum": [{"a": 1}, {"$ref": "y"}]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "#n"}],
         "definitions": {"n": {"$id": "#n", "type": "object"}}},
        {"$id": "https://example.com/root", "$ref": "/in/a",
         "$defs": {"a": {"$id": "/in/a", "$ref": "b"}, "b": {"$id": "/in/b", "type": "object"}}},
    ],
    ids=["data", "draft-07", "nested ids"],
)  # fmt: skip
def test_references_inside_a_schema(run: Run, prompt: str, tmp_path: Path, schema: dict[str, Any]) -> None:
    """References are resolved as the schema's draft says, and a `$ref` in data is not one."""
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema))
    done = run("prompts", "execute", prompt, "--var", "n=1", "--output-schema", path)
    assert json.loads(done.stdout) == {"a": 1}


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_an_output_that_json_cannot_write(run: Run, prompt: str, schema: Path, number: str) -> None:
    """A number that is not finite does not match, because standard output would not be JSON."""
    schema.write_text("{}")
    done = run("prompts", "execute", prompt, "--output-schema", schema, "--var", f"n={number}", status=1)
    assert done.stdout == ""
    assert "a number is not finite" in done.output


def test_a_repair_needs_a_schema(run: Run, prompt: str) -> None:
    """Without one, every output is accepted."""
    assert "--output-schema" in run("prompts", "execute", prompt, "--var", "n=1", "--repair", "1", status=2).stderr


def test_without_jsonschema_the_extra_is_named(
    run: Run, prompt: str, schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is in the extra `schema`."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    done = run("prompts", "execute", prompt, "--var", "n=1", "--output-schema", schema, status=2)
    assert 'pip install "enprompta[schema]"' in " ".join(done.stderr.split())


def test_another_version_is_refused(run: Run, prompt: str, client: Enprompta) -> None:
    """Status 1, and nothing is executed."""
    before = len(client.executions.list(prompt_id=prompt).data)
    done = run("prompts", "execute", prompt, "--var", "n=1", "--expect-version", "7", status=1)
    assert "is version 1 now, not 7" in done.stderr
    assert "--expect-version" in run("prompts", "execute", prompt, "--expect-version", "", status=2).stderr
    assert len(client.executions.list(prompt_id=prompt).data) == before


def test_rows_have_parsed_outputs(run: Run, prompt: str, schema: Path, tmp_path: Path) -> None:
    """The results have the JSON alone; a misfit is a failed row, which says how to resume."""
    rows, results = tmp_path / "rows.jsonl", tmp_path / "results.jsonl"
    rows.write_text('{"n": "1"}\n{"n": "\\"x\\""}\n')
    command = ("prompts", "execute-many", prompt, "-i", rows, "-o", results, "--output-schema", schema)
    done = run(*command, "--expect-version", "1", status=1)
    assert "change the schema, or use --repair" in " ".join(done.stderr.split())
    good, bad = (json.loads(line) for line in results.read_text().splitlines())
    assert (good["parsed"], good["output"]) == ({"a": 1}, '{"a": 1}')
    assert "does not match" in bad["error"]
    assert "parsed" not in bad
    schema.write_text("{}")  # the type has changed: rows are read again, from the checkpoint
    assert "(2 of them before)" in run(*command).output
    assert "version 1 now, not 2" in run(*command, "--force", "--expect-version", "2", status=1).stderr


FILE = "---\ntitle: T\nvariables:\n  - name: unused\n---\nx\n {{#if a}} {{open\n"


def test_files_are_checked_offline(run: Run, tmp_path: Path) -> None:
    """Prompt files, directories, other texts and standard input; places are those of the file."""
    path = tmp_path / "prompts" / "a.prompt.md"
    path.parent.mkdir()
    path.write_text(FILE)
    offline = {"ENPROMPTA_API_KEY": "", "COLUMNS": "300"}
    for target in (path, path.parent):
        lines = run("prompts", "check", target, status=1, **offline).stdout.splitlines()
        assert lines[0].startswith(f"{path}:7:2: {{{{#if a}}}} stays in the text")
        assert lines[1].startswith(f"{path}:7:12: {{{{open is not closed")
        assert lines[2] == f"{path}: the variable 'unused' is declared, and the text does not use it"
        assert len(lines) == 3
    text = tmp_path / "text.txt"
    text.write_text("fine {{a}}\n")
    assert run("prompts", "check", text, **offline).stdout == "No problems.\n"
    found = objects(run("prompts", "check", "-", "--json", status=1, stdin="{{a b}}", **offline))
    assert found == [{"place": "-:1:1", "message": found[0]["message"]}]
    assert run("prompts", "check", text, "--json", **offline).stdout == ""
    assert "cannot be read" in run("prompts", "check", tmp_path / "b.prompt.md", status=2, **offline).output


def test_prompts_of_the_service_are_checked(run: Run, client: Enprompta) -> None:
    """By their id; creating one shows the same as a warning in one line."""
    done = run("prompts", "create", "--title", "T", "--content", "{{! note }}", "--quiet", COLUMNS="300")
    assert done.stderr.startswith("warning  the prompt's text has problems")
    assert done.stderr.count("\n") == 1
    prompt_id = done.stdout.strip()
    assert f"{prompt_id}:1:1: {{{{! note }}}}" in run("prompts", "check", prompt_id, status=1, COLUMNS="300").stdout


def test_other_warnings_are_shown_as_python_shows_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those about templates are rewritten."""
    import warnings

    from enprompta.cli.commands import prompts

    def warned(_: str) -> Any:
        warnings.showwarning("other", UserWarning, "file.py", 1)
        return iter(())

    monkeypatch.setattr(prompts, "of_target", warned)
    with pytest.warns(UserWarning, match="other"):
        assert run("prompts", "check", "x").stdout == "No problems.\n"


def test_codegen_and_check_warn(run: Run, tmp_path: Path) -> None:
    """Both name the place on standard error, and continue; push shows it for what it sends."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "a.prompt.md").write_text("---\ntitle: Template problems\n---\n{{>header}}\n")
    done = run("codegen", folder, "-o", tmp_path / "out.py", COLUMNS="300")
    assert "written: 1 functions" in done.stdout
    assert done.stderr.startswith(f"warning  {folder / 'a.prompt.md'}:4:1: {{{{>header}}}} stays in the text")
    assert "warning  the prompt's text has problems" in run("push", folder, "--yes", COLUMNS="300").stderr
    assert "a.prompt.md:6:1" in run("check", folder, status=1, COLUMNS="300").stderr
