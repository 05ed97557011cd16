"""`enprompta codegen`: prompts as typed functions."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enprompta import AsyncEnprompta, ConfigurationError, TemplateError
from enprompta.cli.prompts_as_code.document import Document, parse
from enprompta.cli.prompts_as_code.files import PromptFile
from enprompta.cli.prompts_as_code.generate import module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from typer.testing import Result

    from enprompta import Enprompta
    from enprompta.emulator import Emulator

    Run = Callable[..., Result]

FILE = """---
title: Welcome "mail"
description: |
  Greets a new customer.

  Twice.
variables:
  - name: name
    type: text
    required: true
    description: Whom to greet
  - name: tone
    type: select
    options: [warm, formal]
    default: warm
  - name: max-words
    type: number
    default: 100
  - name: class
    type: boolean
    required: false
---
Hello {{name}},\r
be {{tone}} "in" \"\"\"{{max-words}}\"\"\" {{class}} {{extra}}\t \\x
"""
USE = """
from enprompta import AsyncEnprompta, Enprompta
from enprompta.models import Execution
from typing_extensions import assert_type
from prompts import plain, welcome_mail

good = welcome_mail(name="Ada", extra="x")
welcome_mail(name="Ada", extra="x", tone="formal", max_words=3, class_=True)
assert_type(good.render(), str)
def use(client: Enprompta) -> None:
    assert_type(good.execute(client, temperature=0.5), Execution)
async def use_async(client: AsyncEnprompta) -> None:
    assert_type(await good.aexecute(client, model="m"), Execution)
plain().render()
welcome_mail(extra="x")  # WRONG missing
welcome_mail(name="Ada", extra="x", tone="cold")  # WRONG option
welcome_mail(name=1, extra="x")  # WRONG type
welcome_mail(name="Ada", extra="x", max_words="3")  # WRONG type
welcome_mail(name="Ada", extra="x", other="y")  # WRONG unknown
welcome_mail("Ada", extra="x")  # WRONG positional
good.execute(None)  # WRONG client
"""
texts = st.text(st.characters(exclude_categories=["Cs"], codec="utf-8"), max_size=20) | st.sampled_from(
    [
        '"',
        '"""',
        "\\",
        "\\n",
        "'",
        "a\n",
        "\r",
        " \n ",
        "x ",
        "\x00",
        "\u202e",
        "class",
        "self",
        "str",
        "PromptCall",
        "1a",
    ]
)
declarations = st.fixed_dictionaries(
    {"name": texts, "type": st.sampled_from(["text", "number", "boolean", "select", "date"])},
    optional={
        "required": st.booleans(),
        "default": texts | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
        "description": texts,
        "options": st.lists(texts | st.integers() | st.booleans() | st.floats(0, 1), max_size=3),
    },
)


def load(text: str, path: Path) -> ModuleType:
    """Import a generated module."""
    path.write_bytes(text.encode())
    spec = importlib.util.spec_from_file_location("prompts", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def prompts(directory: Path, run: Run) -> Path:
    """A directory with two prompts, and its module."""
    directory.mkdir()
    (directory / "welcome-mail.prompt.md").write_bytes(FILE.encode())
    (directory / "plain.prompt.md").write_text("---\ntitle: Plain\n---\nHi 'you' \"there\"\n")
    path = directory.parent / "prompts.py"
    assert "written: 2 functions" in run("codegen", directory, "-o", path, ENPROMPTA_API_KEY="").output
    return path


def test_functions_render_their_prompts(prompts: Path) -> None:
    """Defaults apply, names become Python names, and the text equals the prompt's bytes."""
    made = load(prompts.read_text(), prompts)
    call = made.welcome_mail(name="Ada", extra="x")
    assert call.render() == 'Hello Ada,\r\nbe warm "in" """100"""  x\t \\x'
    formal = made.welcome_mail(name="Ada", extra="x", tone="formal", max_words=2.5, class_=True)
    assert formal.render() == 'Hello Ada,\r\nbe formal "in" """2.5""" true x\t \\x'
    assert made.plain().render() == "Hi 'you' \"there\""
    assert made.welcome_mail.__doc__ == (
        'Welcome "mail"\n\n    Greets a new customer.\n\n    Twice.\n\n    Args:\n        name: Whom to greet\n    '
        if sys.version_info < (3, 13)
        else 'Welcome "mail"\n\nGreets a new customer.\n\nTwice.\n\nArgs:\n    name: Whom to greet\n'
    )
    with pytest.raises(TemplateError, match="Must be one of"):
        made.welcome_mail(name="Ada", extra="x", tone="cold").render()
    with pytest.raises(TypeError):
        made.welcome_mail(name="Ada")
    with pytest.raises(ConfigurationError, match="enprompta push"):
        made.plain().execute(None)


def test_functions_execute_their_prompts(
    prompts: Path, run: Run, directory: Path, client: Enprompta, service: Emulator
) -> None:
    """After a push, functions know their prompts' ids; both clients execute them."""
    run("push", directory, "--yes")
    assert "is out of date" in run("codegen", directory, "-o", prompts, "--check", status=1).output
    run("codegen", directory, "-o", prompts)
    made = load(prompts.read_text(), prompts)
    call = made.welcome_mail(name="Ada", extra="x")
    assert call.execute(client, temperature=0.1).output == call.render()

    async def execute() -> Any:
        async with AsyncEnprompta(api_key=service.keys.enterprise, base_url=service.url) as asynchronous:
            return await call.aexecute(asynchronous)

    assert asyncio.run(execute()).output == call.render()


def test_check(prompts: Path, run: Run, directory: Path) -> None:
    """`--check` writes nothing: 0 if the module is up to date, 1 after a prompt has changed."""
    before = prompts.stat().st_mtime_ns
    assert "is up to date" in run("codegen", directory, "-o", prompts, "--check").output
    run("codegen", directory, "-o", prompts)
    (directory / "third.prompt.md").write_text("---\ntitle: Third\n---\n")
    run("codegen", directory, "-o", prompts, "--check", status=1)
    assert prompts.stat().st_mtime_ns == before
    run("codegen", directory / "none", "-o", prompts, "--check", status=1)


@pytest.mark.parametrize("lint", [["format", "--check"], ["check"]])
def test_ruff_has_nothing_to_say(prompts: Path, lint: list[str]) -> None:
    """The generated module passes the linter and is formatted."""
    ruff = [sys.executable, "-m", "ruff", *lint, "--isolated", "--no-cache"]
    assert subprocess.run([*ruff, prompts], capture_output=True, check=False).returncode == 0
    if lint[0] == "format":
        plain = prompts.with_name("plain.py")
        plain.write_bytes(prompts.read_bytes().replace(b"# fmt: off\n", b""))
        done = subprocess.run([*ruff[:-3], "--diff", *ruff[-2:], plain], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.step("types")
@pytest.mark.parametrize("checker", ["pyright", "mypy"])
def test_a_missing_variable_fails_in_the_type_checker(prompts: Path, checker: str) -> None:
    """Strict pyright and mypy accept correct calls and reject wrong ones."""
    pytest.importorskip(checker)
    use = prompts.with_name("use.py")
    use.write_text(USE)
    wrong = {number for number, line in enumerate(USE.splitlines(), 1) if "WRONG" in line}
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    if checker == "pyright":
        (prompts.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict", "include": ["."]}')
        command = ["pyright", "--pythonpath", sys.executable]
    else:
        command = ["mypy", "--strict", "--follow-imports=silent", "use.py", "prompts.py"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=prompts.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if "error" in line and ".py:" in line]
    assert {int(line.split("use.py:")[1].split(":")[0]) for line in errors if "use.py:" in line} == wrong, done.stdout
    assert not [line for line in errors if "prompts.py:" in line]


@settings(max_examples=100, deadline=None)
@given(texts, texts, texts, st.lists(declarations, max_size=4, unique_by=lambda one: one["name"]), texts)
def test_any_prompt_makes_a_module(
    title: str, description: str, content: str, variables: list[dict[str, Any]], name: str
) -> None:
    """For any prompt, the module is valid Python, keeps the text exactly, and is stable."""
    fields = {"title": title, "description": description, "content": content, "variables": variables}
    document = Document(fields, "pmt_1", 1)
    files = [PromptFile(None, f"{name}{number}.prompt.md", document) for number in (0, 0)]  # type: ignore[arg-type]
    text = module(files)
    assert text == module(files)
    assert "\r" not in text
    tree = ast.parse(text)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len({function.name for function in functions}) == 2
    scope: dict[str, Any] = {}
    exec(compile(tree, "prompts", "exec"), scope)
    function = functions[0]
    needed = [
        argument.arg
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if default is None
    ]
    call = scope[function.name](**dict.fromkeys(needed, "x"))
    assert call.content == content
    assert set(call.variables) >= {one["name"] for one in variables}


def test_a_module_of_nothing() -> None:
    """An empty directory makes an empty module."""
    assert module([]).endswith("\n\n__all__: list[str] = []\n")
    assert parse("---\ntitle: T\n---\n", "x").version is None


def test_one_choice_and_empty_lines(tmp_path: Path) -> None:
    """A single choice is on one line; empty lines around a description are dropped."""
    declared = "variables: [{name: tone, type: select, options: [warm]}]"
    text = f'---\ntitle: Mail\ndescription: "\\n\\nGreets.\\n\\n"\n{declared}\n---\n{{{{tone}}}}\n'
    made = module([PromptFile(tmp_path / "mail.prompt.md", "mail.prompt.md", parse(text, "mail.prompt.md"))])
    assert '    tone: Literal["warm"],\n' in made
    assert '    """Mail\n\n    Greets.\n    """\n' in made


def test_defaults_are_in_the_signature_if_their_type_fits(tmp_path: Path) -> None:
    """A default of another type is not in the signature; the parameter is optional."""
    declared = "".join(
        f"  - {{name: {name}, type: {kind}, default: {default}}}\n"
        for name, kind, default in [("a", "text", "you"), ("b", "boolean", "true"), ("c", "boolean", "'yes'")]
    )
    text = f"---\ntitle: Mail\nvariables:\n{declared}---\n{{{{a}}}}{{{{b}}}}{{{{c}}}}\n"
    made = module([PromptFile(tmp_path / "mail.prompt.md", "mail.prompt.md", parse(text, "mail.prompt.md"))])
    assert '    a: str = "you",\n    b: bool = True,\n    c: bool | None = None,\n' in made


def test_names_that_collide_and_letters_that_cannot_be_seen(tmp_path: Path) -> None:
    """Files with the same name get separate functions; invisible characters are escaped."""
    document = parse("---\ntitle: Right \u202e to left\n---\nHi\n", "x")
    names = ["a-b.prompt.md", "a_b.prompt.md", "a b.prompt.md"]
    made = module([PromptFile(tmp_path / name, name, document) for name in names])
    assert re.findall(r"^def (\w+)", made, re.MULTILINE) == ["a_b", "a_b_2", "a_b_3"]
    assert '"""Right \\u202e to left"""' in made
