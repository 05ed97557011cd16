"""A prompt file names the Python type of its output; generated functions return it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import AsyncEnprompta, Enprompta, OutputError
from enprompta.cli.prompts_as_code.document import DocumentError, parse, render
from enprompta.cli.prompts_as_code.files import PromptFile
from enprompta.cli.prompts_as_code.generate import module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from enprompta.emulator import Emulator

    Run = Callable[..., Result]

ANSWER = 'Sure: {"value": {{n}}}'


def file(name: str, output: str | None, content: str = ANSWER, front: str = "") -> PromptFile:
    """A prompt file."""
    line = "" if output is None else f"output: {output}\n"
    return PromptFile(None, name, parse(f"---\ntitle: T\n{front}{line}---\n{content}\n", name))  # type: ignore[arg-type] # no path is read


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the application, which can be imported."""
    (tmp_path / "app_models.py").write_text(
        "from pydantic import BaseModel\n\n\nclass Answer(BaseModel):\n    value: int\n\n\n"
        "class summary(Answer):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def load(text: str) -> dict[str, Any]:
    """Run a module."""
    names: dict[str, Any] = {}
    exec(compile(text, "prompts.py", "exec"), names)
    return names


def test_a_function_returns_its_model(models: Path, service: Emulator, client: Enprompta) -> None:
    """With both clients; a misfit is an error, and lists of models are types too."""
    prompt = client.prompts.create(title="T", content=ANSWER)
    many = client.prompts.create(title="T", content='[{"value": {{n}}}]')
    files = [
        file("one.prompt.md", "app_models:Answer", front=f"id: {prompt.id}\n"),
        file("many.prompt.md", "list[app_models:Answer]", '[{"value": {{n}}}]', f"id: {many.id}\n"),
        file("plain.prompt.md", None),
    ]
    names = load(module(files))
    call = names["one"](n="3")
    assert type(call.execute(client).parsed).__name__ == "Answer"
    assert call.execute(client, expect_version=1).parsed.value == 3
    assert [one.value for one in names["many"](n="4").execute(client).parsed] == [4]
    with pytest.raises(OutputError):
        names["one"](n='"x"').execute(client)
    assert type(names["plain"](n="1")).__name__ == "PromptCall"

    async def scenario() -> int:
        async with AsyncEnprompta(api_key=service.keys.enterprise, base_url=service.url) as aclient:
            return int((await call.aexecute(aclient, repair=0)).parsed.value)

    assert asyncio.run(scenario()) == 3


def test_names_of_types_and_functions_do_not_collide(models: Path) -> None:
    """Types of one name, functions named like a type, and variables named like one get other names."""
    files = [
        file("summary.prompt.md", "app_models:summary"),
        file("Answer.prompt.md", "app_models:Answer", "{{Answer}} {{list}}"),
        file("other.prompt.md", "list[other_models:Answer]"),
    ]
    (models / "other_models.py").write_text("class Answer:\n    pass\n")
    text = module(files)
    names = load(text)
    assert "from other_models import Answer as Answer_2" in text
    assert names["summary_2"](n="1").output is names["summary"]
    assert names["Answer_3"](Answer_3="a", list_2="b").variables == {"Answer": "a", "list": "b"}
    (listed,) = names["other"](n="1").output.__args__
    assert listed is names["Answer_2"]


def test_checkers_see_the_type(models: Path) -> None:
    """Under strict pyright, the value of a generated function is of the model."""
    pytest.importorskip("pyright")
    (models / "prompts.py").write_text(module([file("one.prompt.md", "app_models:Answer")]))
    (models / "use.py").write_text(
        "from app_models import Answer\nfrom enprompta import Enprompta\nfrom prompts import one\n"
        "from typing_extensions import assert_type\n\nassert_type(one(n='1').execute(Enprompta()).parsed, Answer)\n"
    )
    (models / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "use.py", "prompts.py"]
    done = subprocess.run(command, cwd=models, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


test_checkers_see_the_type = pytest.mark.slow(pytest.mark.step("types")(test_checkers_see_the_type))


@pytest.mark.parametrize(
    "output",
    [
        "Answer",
        "os.system",
        "app:Answer()",
        "'app:A; import os'",
        "list[app:A",
        "app:A]",
        "3",
        "app:class",
        "if:A",
        '"app:A\\nb"',
        "ą:A",
    ],
)
def test_only_a_type_is_accepted(output: str) -> None:
    """Nothing but a module and a name reaches generated code."""
    with pytest.raises(DocumentError, match="output must be a Python type"):
        file("a.prompt.md", output)


def test_the_type_stays_in_the_file(run: Run, client: Enprompta, directory: Path) -> None:
    """Push sends everything else, pull and rewriting keep it, and it is no difference."""
    directory.mkdir()
    path = directory / "typed.prompt.md"
    path.write_text("---\ntitle: Typed\noutput: app.models:Answer\n---\nHello {{n}}\n")
    run("push", directory, "--yes")
    assert "output: app.models:Answer" in path.read_text()
    prompt_id = str(parse(path.read_text(), "x").id)
    assert run("check", directory).stdout.endswith("all the same.\n")
    client.prompts.update(prompt_id, content="Changed {{n}}")
    assert not re.search("^[+-].*output", run("diff", directory).output, re.MULTILINE)
    run("pull", directory)
    document = parse(path.read_text(), "x")
    assert (document.output, document.fields["content"]) == ("app.models:Answer", "Changed {{n}}")
    assert parse(render(document), "x").output == "app.models:Answer"
    path.write_text(path.read_text().replace("Changed {{n}}", "Again {{n}} {{new}}"))
    run("push", directory, "--yes")
    assert "output: app.models:Answer" in path.read_text()
    client.prompts.delete(prompt_id)
