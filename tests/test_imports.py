"""Which part of the package may know of which, and what each may take from outside."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import enprompta

PACKAGE = Path(enprompta.__file__).parent

# The parts in their order: a part may import only parts of an earlier row, whatever kind of import it is.
ORDER: tuple[tuple[str, ...], ...] = (
    ("_lazy", "_version"),
    ("errors",),
    ("_common",),
    ("rollouts",),
    ("hooks", "tables", "templating"),
    ("exchanges", "limiters", "models"),
    ("outputs",),
    ("_core", "otel", "webhooks"),
    ("_http", "batch", "cache", "pagination"),
    ("resources",),
    ("_client",),
    ("__init__",),
    ("codegen", "emulator", "tracing"),
    ("mcp", "testing"),
    ("workbench",),
    ("cli",),
)
ROW = {part: number for number, row in enumerate(ORDER) for part in row}

# What comes with the four dependencies of the core: httpx brings httpcore, anyio and certifi, pydantic pydantic_core.
CORE = {"anyio", "certifi", "httpcore", "httpx", "pydantic", "pydantic_core", "tenacity", "typing_extensions"}

# What a part may take from outside beyond them: each is of the extra that the part is documented with.
EXTRAS: dict[str, set[str]] = {
    "_client": {"httpx2"},  # in annotations only
    "_http": {"aiohttp", "yarl"},
    "batch": {"dask", "rich"},
    "cli": {"rich", "typer", "yaml"},
    "emulator": {"fastapi", "llama_cpp", "opentelemetry", "starlette", "uvicorn", "yaml"},
    "models": {"anthropic", "openai"},  # in annotations only
    "mcp": {"mcp", "mcp_types", "starlette", "uvicorn"},
    "otel": {"opentelemetry"},
    "pagination": {"pandas", "polars"},
    "tables": {"pandas", "polars"},
    "testing": {"pytest"},
    "tracing": {"opentelemetry"},
    "webhooks": {"redis"},
    "workbench": {"fastapi", "nicegui", "starlette", "uvicorn"},
}


class Import(NamedTuple):
    """One name that a module imports."""

    name: str
    when: str
    """`load`: with the module; `call`: inside a function; `types`: for type checkers alone."""


def modules() -> list[Path]:
    """Find every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    """Name a module by its path in the package."""
    return str(path.relative_to(PACKAGE))


def part_of(path: Path) -> str:
    """Name the part of the package that a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports_of(path: Path) -> list[Import]:
    """List what a module imports, and when."""
    return list(imports_in(ast.parse(path.read_text(encoding="utf-8")), "load", path))


def imports_in(node: ast.AST, when: str, path: Path) -> list[Import]:
    """List what is imported below a node of the tree."""
    found: list[Import] = []
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path} imports relatively; absolute imports can be followed by eye"
        found += [Import(f"{node.module}.{alias.name}", when) for alias in node.names]
    elif isinstance(node, ast.Import):
        found += [Import(alias.name, when) for alias in node.names]
    elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        for child in node.body:
            found += imports_in(child, "types", path)
        for child in node.orelse:
            found += imports_in(child, when, path)
        return found
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and when == "load":
        when = "call"
    for child in ast.iter_child_nodes(node):
        found += imports_in(child, when, path)
    return found


def part_named(name: str) -> str | None:
    """Name the part that an imported name is of; None for a name from outside."""
    package, _, rest = name.partition(".")
    if package != "enprompta":
        return None
    first = rest.partition(".")[0]
    if first and ((PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file()):
        return first
    # A name that the package imports on first use is of the part that type checkers find it in.
    homes = {
        one.name.rpartition(".")[2]: one.name for one in imports_of(PACKAGE / "__init__.py") if one.when == "types"
    }
    return part_named(homes[first]) if first in homes else "__init__"


def parts_imported(part: str, whens: set[str]) -> set[str]:
    """Return the other parts that a part imports at the given times."""
    found: set[str] = set()
    for path in modules():
        if part_of(path) == part:
            found |= {part_named(one.name) or part for one in imports_of(path) if one.when in whens}
    return found - {part}


def parts() -> list[str]:
    """Name all parts of the package."""
    return sorted({part_of(path) for path in modules()})


EVERY_KIND = {"load", "call", "types"}


def test_imports_run_one_way() -> None:
    """Each part imports parts of earlier rows only, while it loads, inside functions and in annotations alike."""
    assert set(ROW) == set(parts()), "ORDER has a row for each part of the package, and for no other"
    backward = {
        (part, other) for part in parts() for other in parts_imported(part, EVERY_KIND) if ROW[other] >= ROW[part]
    }
    assert backward == set()


def test_no_two_modules_need_each_other() -> None:
    """Modules form no ring, by any kind of import: each can be read with those it imports, and no more."""
    needs = {
        dotted(path): {module_named(one.name) for one in imports_of(path)} - {None, dotted(path)} for path in modules()
    }
    assert rings(needs) == set()


def rings(needs: dict[str, set[str | None]]) -> set[str]:
    """Find the modules that can reach themselves."""
    reached = {name: set(others) for name, others in needs.items()}
    for middle in needs:
        for others in reached.values():
            if middle in others:
                others.update(reached[middle])
    return {name.removeprefix("enprompta.") for name, others in reached.items() if name in others}


def test_the_emulator_shares_no_path_with_the_client() -> None:
    """A wrong path must not be wrong on both sides, so the emulator never sees a `Call` or a resource."""
    seen = parts_imported("emulator", EVERY_KIND)
    assert not seen & {"_core", "_http", "resources", "pagination", "_client"}


def test_the_library_does_not_know_the_emulator() -> None:
    """The client never imports the emulator, which is for tests, the Workbench and the command line."""
    users = {part for part in parts() if "emulator" in parts_imported(part, EVERY_KIND)}
    assert users == {"testing", "cli", "workbench"}


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_nothing_foreign_is_imported(path: Path) -> None:
    """A module imports the core dependencies and those of its extra, besides the standard library and its types."""
    known = {"enprompta", "_typeshed", *sys.stdlib_module_names}
    outside = {one.name.partition(".")[0] for one in imports_of(path)} - known
    assert outside <= CORE | EXTRAS.get(part_of(path), set())


@pytest.mark.parametrize("part", sorted(EXTRAS))
def test_an_extra_that_is_not_needed_is_taken_off(part: str) -> None:
    """The list of what comes from outside is no longer than what is used."""
    used = {one.name.partition(".")[0] for path in modules() if part_of(path) == part for one in imports_of(path)}
    assert used >= EXTRAS[part]


def module_named(name: str) -> str | None:
    """Name the module that an import loads: of `a.b.c`, `a.b.c` where that is one, else `a.b`."""
    while name.partition(".")[0] == "enprompta":
        path = PACKAGE.joinpath(*name.split(".")[1:])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return name
        name = name.rpartition(".")[0]
    return None


def dotted(path: Path) -> str:
    """Name a module as Python does."""
    return ".".join(("enprompta", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


LAZY = sorted({path.parent for path in modules() if path.name == "__init__.py" and "lazy(" in path.read_text()})


@pytest.mark.parametrize("folder", LAZY, ids=relative)
def test_a_name_loaded_on_first_use_is_no_module(folder: Path) -> None:
    """Importing the module of that name would replace the name: `load` returns what the type checker sees."""
    package = importlib.import_module(dotted(folder / "__init__.py"))
    stubs = {one.name for one in imports_of(folder / "__init__.py") if one.when == "types" and part_named(one.name)}
    assert stubs
    assert set(dir(package)) >= set(getattr(package, "__all__", {"exposures"} if folder.name == "resources" else ()))
    for full in stubs:
        home, _, name = full.rpartition(".")
        is_module = module_named(full) == full
        assert getattr(package, name) is (sys.modules[full] if is_module else getattr(sys.modules[home], name))
        assert is_module or not (folder / f"{name}.py").exists()
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
        _ = package.nothing


# Each part in a copy of a process in which what it takes from outside is loaded, and nothing of the package is.
EACH_FIRST = """
import importlib, os, sys
import anyio, fastapi, httpx, opentelemetry, pydantic, pytest, redis, rich, tenacity, typer, uvicorn, yaml
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        importlib.import_module(name)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} cannot be imported first")
"""


@pytest.mark.slow
def test_any_part_can_be_imported_first() -> None:
    """Whatever part a program imports first, nothing is met half made."""
    names = [f"enprompta.{part}" for part in parts() if part != "__init__"]
    command = [sys.executable, "-c", EACH_FIRST, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
