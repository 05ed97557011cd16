"""Values from elsewhere become Python source that is data, whatever they hold."""

from __future__ import annotations

import ast
import builtins
import keyword
import math
import os
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enprompta.cli.prompts_as_code.document import Document
from enprompta.cli.prompts_as_code.files import PromptFile
from enprompta.cli.prompts_as_code.generate import module
from enprompta.cli.prompts_as_code.python_source import MAX_NAME, Names, docstring, literal

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = "__import__('os').system('echo pwned')"
HOSTILE = [
    f'"+str({PAYLOAD}),#', f"'+str({PAYLOAD}),#", f'\\"+str({PAYLOAD}),#', f'\\\\"+str({PAYLOAD}),#',
    f'"""+{PAYLOAD}#', f'\n"""\n{PAYLOAD}\n"""', f'"\n{PAYLOAD}', f'\\"""\n{PAYLOAD}#', f'\\\n"""{PAYLOAD}',
    f"]\n{PAYLOAD}", f"\r{PAYLOAD}", f"\x0c{PAYLOAD}", f"\u2028{PAYLOAD}", f"\x85{PAYLOAD}", f"\x00{PAYLOAD}",
    f"# coding: utf-7\n{PAYLOAD}", f"{{{PAYLOAD}}}", f"{{{{{PAYLOAD}}}}}", "\u202e", "\u2066\u2069", "\ud800",
    "\udc80\n", '"', '""', '"""', '""""', '"\n', "'", "''\"", "\\", "\\\\", "\\\n", "x \n ", " ", "\u3164",
    'Reply {"a": 1}', 'Reply {\\"a\\": 1}', '{"a": "\\u0041\\n"}', "\\N{DIGIT ONE}",
    "x" * 100_000, '"' * 10_000, "\\" * 9_999, "\n" * 9_999,
]  # fmt: skip
texts = (
    st.sampled_from(HOSTILE)
    | st.text(st.characters(), max_size=30)
    | st.text(st.sampled_from("\"'\\\n\r{}#x \ud800\u2028"), max_size=12)
)
scalars = texts | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
NAMES = [
    *keyword.kwlist, *keyword.softkwlist, *dir(builtins), "__class__", "__all__", "__name__", "PromptCall", "Literal",
    "annotations", "self", "\ufb01", "fi", "\xb5", "\u03bc", "K", "\u212a", "x\xb2", "x2", "\xbd", "\u2460", "\u0bf0",
    "a\u0308", "\xe4", "\u0308", "\u19da", "\u2118", "\xb7", "\xaa", "1", "_1", "-", "", " ", "\x00", "x\ny",
    "x:y=1)", "a" * 500, "a" * 501, "\ufdfa" * 50, "\ud800", "\U0001d41d\U0001d41e\U0001d41f", "\uff44\uff45\uff46",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(texts)
def test_a_text_is_its_literal(text: str) -> None:
    """For any text, evaluating its literal returns it, and the source can be written to a file and compiled."""
    source = literal(text)
    assert ast.literal_eval(source) == text
    assert source.isprintable() or source.replace("\n", "").isprintable()
    compile(source.encode(), "literal", "eval")


@settings(max_examples=200, deadline=None)
@given(values)
@example([1e400, -1e400, -0.0, 10**5000, -(10**5000), True, 1, 1.0, {"a": []}])
def test_any_json_is_its_literal(value: Any) -> None:
    """Values of every JSON type come back with their type; numbers beyond any float and any digit limit too."""
    back = ast.literal_eval(literal(value))
    assert back == value
    assert type(back) is type(value)
    assert literal(back) == literal(value)


def test_not_a_number_has_no_name() -> None:
    """NaN is written without the name `nan`, which a parameter could shadow."""
    assert math.isnan(eval(literal(math.nan), {"__builtins__": {}}))
    assert math.copysign(1, ast.literal_eval(literal(-0.0))) == -1


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), (1,), 1j])
def test_what_is_not_json_has_no_literal(value: object) -> None:
    """A value of another type is an error, not its repr, which may be code."""
    with pytest.raises(TypeError, match="has no literal"):
        literal(value)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_a_docstring_cannot_be_left(lines: list[str]) -> None:
    """A docstring of any lines is the only statement of its function."""
    tree = ast.parse(f"def f():\n{docstring(lines)}\n".encode())
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert len(tree.body) == len(function.body) == 1
    assert lines[0] in str(ast.get_docstring(function, clean=False))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(NAMES) | texts, max_size=20), st.booleans())
@example(NAMES * 3, False)
@example(["x", "x_2", "x", "x_2", "x", "x!"], True)
def test_names_are_safe_and_differ(wanted: list[str], may_hide: bool) -> None:  # noqa: FBT001 (hypothesis gives it)
    """Names made of any texts are identifiers in the compiler's form, no keywords, not private, and all different."""
    names = Names({"PromptCall"}, "value", may_hide_builtins=may_hide)
    made = [names.add(text) for text in wanted]
    assert len(set(made)) == len(made)
    for name in made:
        assert name.isidentifier()
        assert unicodedata.normalize("NFKC", name) == name
        assert not keyword.iskeyword(name)
        assert not name.startswith("_")
        assert name != "PromptCall"
        assert may_hide or not hasattr(builtins, name)
        assert len(name) <= MAX_NAME + 20


def test_many_names_that_collide_take_no_time() -> None:
    """Twenty thousand names that come to one cost one step each."""
    names = Names((), "value", may_hide_builtins=True)
    assert [names.add("a" + "!" * (number % 7)) for number in range(20_000)][-1] == "a_20000"


declarations = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES) | texts},
    optional={
        "type": st.sampled_from(["text", "number", "boolean", "select", "date", PAYLOAD, None]),
        "required": st.booleans() | st.none(),
        "default": values | st.sampled_from([math.nan, math.inf]),
        "description": texts,
        "options": st.lists(scalars, max_size=4),
        PAYLOAD: values,
    },
)
documents = st.builds(
    lambda title, description, content, variables, prompt_id, version: Document(
        {"title": title, "description": description, "content": content, "variables": variables}, prompt_id, version
    ),
    texts, texts | st.none(), texts | st.sampled_from(["{{a-b}} {{a_b}} {{class}} {{__class__}}", "{{str}}"]),
    st.lists(declarations, max_size=4), texts | st.none(), st.integers() | st.none(),
)  # fmt: skip
CONSTANTS = (ast.Constant, ast.List, ast.Dict, ast.UnaryOp, ast.USub, ast.BinOp, ast.Sub, ast.Load)


def check_definitions_only(source: str) -> None:
    """Check that a module has only imports of known modules, `__all__`, and functions that return a call."""
    tree = ast.parse(source.encode())
    head, *rest = tree.body
    assert isinstance(head, ast.Expr)
    for node in rest:
        if isinstance(node, ast.ImportFrom):
            assert node.module in {"__future__", "typing", "enprompta.codegen"}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            assert [target.id for target in targets if isinstance(target, ast.Name)] == ["__all__"]
            assert node.value is not None
            assert isinstance(ast.literal_eval(node.value), list)
        else:
            assert isinstance(node, ast.FunctionDef), ast.dump(node)
            check_function(node)


def check_function(node: ast.FunctionDef) -> None:
    """Check that a function runs nothing when it is defined, and makes one `PromptCall` when it is called."""
    assert not node.decorator_list
    docs, returned = node.body
    assert isinstance(docs, ast.Expr)
    assert isinstance(docs.value, ast.Constant)
    assert isinstance(returned, ast.Return)
    assert isinstance(returned.value, ast.Call)
    assert isinstance(returned.value.func, ast.Name)
    assert returned.value.func.id == "PromptCall"
    parameters = {argument.arg for argument in node.args.kwonlyargs}
    for default in node.args.kw_defaults:
        assert default is None or all(isinstance(each, CONSTANTS) for each in ast.walk(default))
    for argument in node.args.kwonlyargs:
        assert argument.annotation is not None
        names = {each.id for each in ast.walk(argument.annotation) if isinstance(each, ast.Name)}
        assert names <= {"str", "float", "bool", "Literal"}
    for given_ in returned.value.keywords:
        for each in ast.walk(given_.value):
            assert isinstance(each, CONSTANTS) or (isinstance(each, ast.Name) and each.id in parameters)


@settings(max_examples=600 if os.environ.get("ENPROMPTA_LONG_TESTS") else 100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES) | texts, documents), max_size=3))
def test_a_module_is_definitions(prompts: list[tuple[str, Document]]) -> None:
    """Whatever prompts hold, their module is imports, `__all__` and functions; each returns its text to the letter."""
    files = [PromptFile(None, f"{name}.prompt.md", document) for name, document in prompts]  # type: ignore[arg-type]
    source = module(files)
    check_definitions_only(source)
    scope: dict[str, Any] = {}
    exec(compile(source.encode(), "prompts", "exec"), scope)
    functions = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)]
    for function, (_, document) in zip(functions, prompts, strict=True):
        needed = [
            argument.arg
            for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
            if default is None
        ]
        call = scope[function.name](**dict.fromkeys(needed, "x"))
        assert call.content == document.fields["content"]
        assert (call.prompt_id, call.version) == (document.id, document.version)


IMPORT = """
import sys
import enprompta.codegen, typing
seen = []
ALLOWED = {"import", "compile", "exec", "open", "os.listdir", "os.scandir", "marshal.loads", "object.__getattr__"}
sys.addaudithook(lambda event, args: None if event in ALLOWED else seen.append(event))
sys.path.insert(0, sys.argv[1])
import prompts
assert not seen, seen
print(len(prompts.__all__))
"""


def test_importing_a_module_of_hostile_prompts_does_nothing(tmp_path: Path) -> None:
    """Under an audit hook, importing such a module starts no process, opens no socket and calls nothing."""
    files = [
        PromptFile(
            tmp_path,
            f"{text[:40]}.prompt.md",
            Document(
                {
                    "title": text,
                    "description": text,
                    "content": f"{text}{{{{v}}}}",
                    "variables": [
                        {"name": text, "type": "text", "default": text, "description": text},
                        {"name": "s", "type": "select", "options": [text, "b"], "default": text},
                        {"name": "n", "type": "number", "default": 1e400},
                        {"name": "m", "type": "number", "default": math.nan},
                    ],
                },
                text,
                1,
            ),
        )
        for text in HOSTILE
    ]
    (tmp_path / "prompts.py").write_bytes(module(files).encode())
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{len(HOSTILE)}\n", "", 0)
