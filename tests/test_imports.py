"""Which part of the package may know of which, and what each may take from outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import enprompta

PACKAGE = Path(enprompta.__file__).parent

# What each part stands on when it runs. A new part has to say here what it needs, and one that needs less than it may
# has to say so too: the table is the picture of the package, not a list of permissions.
STANDS_ON: dict[str, set[str]] = {
    "__init__": {"_version", "errors"},  # the rest of its names is loaded when it is asked for
    "_version": set(),
    "errors": set(),
    "_masking": set(),
    "_clock": set(),
    "_data": set(),
    "_event_loop": {"_clock"},
    "tables": {"errors"},
    "templating": {"errors"},
    "limiters": {"_clock", "_data", "_event_loop", "errors"},
    "models": {"errors", "tables", "templating"},
    "_core": {"errors", "models", "tables"},
    "pagination": {"errors", "_core", "tables"},
    "_http": {
        "_clock",
        "_event_loop",
        "_masking",
        "errors",
        "hooks",
        "limiters",
    },  # it tells the hooks what happens, and asks the limiter who may send
    "hooks": {"errors", "_http"},  # what a hook raises is logged, and the headers it adds are checked
    "otel": {"_version", "hooks"},
    "webhooks": {"_clock", "_event_loop", "errors", "models"},
    "resources": {"_clock", "errors", "models", "_core", "pagination", "cache", "batch"},  # for `execute_many` too
    "cache": {"_clock", "_event_loop", "errors", "models", "_core", "_http"},
    "batch": {"errors", "models", "_client", "_core", "_http", "limiters", "resources", "templating"}
    | {"_clock", "_event_loop"},
    "_base_client": {"errors", "models", "_version", "_core", "_http", "hooks", "limiters", "cache"},
    "_client": {"_base_client", "_core", "_http", "pagination", "cache"},
    "emulator": {"_clock", "_data", "_event_loop", "_masking", "_version", "errors", "templating", "webhooks"},
    "testing": {"_clock", "emulator", "webhooks", "_client"},
    "codegen": {"errors", "templating"},
    "cli": {"_client", "_base_client", "_version", "_core", "batch", "emulator", "errors", "templating", "testing"}
    | {"webhooks"},
}

# What a part names in annotations alone, beyond what it stands on.
NAMES: dict[str, set[str]] = {
    "_masking": {"errors"},
    "__init__": {"_client", "_core", "pagination"},
    "pagination": {"models"},
    "_client": {"models", "resources"},
    "testing": {"hooks", "models"},
    "codegen": {"_client", "models"},
    "cli": {"models"},
}

# What comes with the four dependencies of the core: httpx brings httpcore and anyio, pydantic brings pydantic_core.
CORE = {"anyio", "httpcore", "httpx", "pydantic", "pydantic_core", "tenacity", "typing_extensions"}

# What a part may take from outside beyond them: each is of the extra that the part is documented with.
EXTRAS: dict[str, set[str]] = {
    "_client": {"httpx2"},  # named in annotations, for who has it
    "_http": {"aiohttp", "yarl"},
    "batch": {"dask", "rich"},
    "cli": {"rich", "typer", "yaml"},
    "emulator": {"fastapi", "llama_cpp", "starlette", "uvicorn", "yaml"},
    "otel": {"opentelemetry"},
    "pagination": {"pandas", "polars"},
    "tables": {"pandas", "polars"},
    "testing": {"pytest"},
    "webhooks": {"redis"},
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
    if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file():
        return first
    home: str = enprompta._HOMES[first]  # a name of the package itself, which tells where it is kept
    return part_named(home)


def parts_imported(part: str, whens: set[str]) -> set[str]:
    """Tell which other parts are imported by a part, at the given times."""
    found: set[str] = set()
    for path in modules():
        if part_of(path) == part:
            found |= {part_named(one.name) or part for one in imports_of(path) if one.when in whens}
    return found - {part}


def parts() -> list[str]:
    """Name all parts of the package."""
    return sorted({part_of(path) for path in modules()})


@pytest.mark.parametrize("part", parts())
def test_imports_run_one_way(part: str) -> None:
    """errors, models ← _core ← pagination ← resources ← _client; _http ← _client; nobody knows the emulator."""
    assert part in STANDS_ON, f"{part} is new: say in STANDS_ON what it imports"
    assert parts_imported(part, {"load", "call"}) == STANDS_ON[part]


@pytest.mark.parametrize("part", parts())
def test_annotations_name_no_more_than_they_may(part: str) -> None:
    """What a part knows by its annotations is written down too, for who knows a name comes to depend on it."""
    named = parts_imported(part, {"types"}) - STANDS_ON[part]
    assert named == NAMES.get(part, set())


def test_the_tables_name_parts_that_are_there() -> None:
    """A part that is gone leaves no line behind."""
    assert set(STANDS_ON) == set(parts())
    assert set(NAMES) | set(EXTRAS) <= set(parts())


def test_the_emulator_shares_no_path_with_the_client() -> None:
    """A wrong path must not be wrong on both sides, so the emulator never sees a `Call` or a resource."""
    seen = parts_imported("emulator", {"load", "call", "types"})
    assert not seen & {"_core", "_http", "resources", "pagination", "_client", "_base_client"}


def test_the_library_does_not_know_the_emulator() -> None:
    """What calls the service loads no server: the emulator is for tests and for the command line."""
    whens = {"load", "call", "types"}
    assert {part for part in parts() if "emulator" in parts_imported(part, whens)} == {"testing", "cli"}


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_nothing_foreign_is_imported(path: Path) -> None:
    """A module takes from outside what the core depends on, and what the extra it belongs to brings."""
    outside = {one.name.partition(".")[0] for one in imports_of(path)} - {"enprompta"} - set(sys.stdlib_module_names)
    assert outside <= CORE | EXTRAS.get(part_of(path), set())


@pytest.mark.parametrize("part", sorted(EXTRAS))
def test_an_extra_that_is_not_needed_is_taken_off(part: str) -> None:
    """The list of what comes from outside is no longer than what is used."""
    used = {one.name.partition(".")[0] for path in modules() if part_of(path) == part for one in imports_of(path)}
    assert used >= EXTRAS[part]


def module_named(name: str) -> str | None:
    """Name the module that an import loads: of `a.b.c`, `a.b.c` where that is one, else `a.b`."""
    while name.startswith("enprompta."):
        path = PACKAGE.joinpath(*name.split(".")[1:])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return name
        name = name.rpartition(".")[0]
    return None


def dotted(path: Path) -> str:
    """Name a module as Python does."""
    return ".".join(("enprompta", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def test_no_two_modules_need_each_other_to_load() -> None:
    """Modules that load one another form no ring: each can be read with what it stands on, and no more."""
    needs = {
        dotted(path): {module_named(one.name) for one in imports_of(path) if one.when == "load"} - {None, dotted(path)}
        for path in modules()
    }
    while True:
        loadable = {name for name, needed in needs.items() if not needed & set(needs)}
        if not loadable:
            break
        for name in loadable:
            del needs[name]
    assert not needs, "these form rings, or stand on one"


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
