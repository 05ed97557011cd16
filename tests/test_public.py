"""The public names of the package, and the cost of importing it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import enprompta
from tests.faults.server import FaultServer

PACKAGE = Path(enprompta.__file__).parent
PUBLIC = ["enprompta", "enprompta.errors", "enprompta.models", "enprompta.pagination"]


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_sorted_and_importable(name: str) -> None:
    """`__all__` lists each public name once, in the order that ruff keeps, and each of them is there."""
    module = importlib.import_module(name)
    names: list[str] = module.__all__

    def order(one: str) -> tuple[int, str]:
        bare = one.strip("_")
        return (0 if one.isupper() else 1 if bare[:1].isupper() else 2, one)

    assert names == sorted(names, key=order)
    assert len(set(names)) == len(names)
    for one in names:
        assert getattr(module, one) is not None


def test_every_error_is_public() -> None:
    """Whatever a call may raise can be named from the top of the package."""
    assert set(enprompta.errors.__all__) <= set(enprompta.__all__)


def test_models_are_listed_before_they_are_loaded() -> None:
    """`dir()` lists the models although they are loaded when asked for; a wrong name is an ordinary mistake."""
    from enprompta import models

    assert dir(models) == sorted(models.__all__)
    with pytest.raises(AttributeError, match=r"module 'enprompta.models' has no attribute 'Promt'"):
        _ = models.Promt


def test_the_version_is_one() -> None:
    """The package and its metadata agree."""
    from importlib.metadata import version

    assert enprompta.__version__ == version("enprompta")


def documented(thing: Any, name: str, seen: set[int]) -> list[str]:
    """List what a thing and its own public members lack in docstrings."""
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    lacking = [] if (inspect.getdoc(thing) or "").strip() else [name]
    if inspect.isclass(thing) and thing.__module__.startswith("enprompta"):
        for member, value in vars(thing).items():
            is_code = inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod))
            if is_code and not member.startswith("_"):
                lacking += documented(getattr(thing, member), f"{name}.{member}", seen)
    return lacking


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name: str) -> None:
    """Every class, function, method and property that a user meets says what it is."""
    module = importlib.import_module(name)
    assert module.__doc__
    lacking: list[str] = []
    for one in module.__all__:
        thing = getattr(module, one)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            lacking += documented(thing, f"{name}.{one}", set())
    assert lacking == []


def test_every_method_of_every_resource_is_documented() -> None:
    """Each call says what it does and what it raises."""
    resources = importlib.import_module("enprompta.resources")
    for info in pkgutil.iter_modules(resources.__path__, "enprompta.resources."):
        module = importlib.import_module(info.name)
        for cls in vars(module).values():
            if inspect.isclass(cls) and cls.__module__ == info.name:
                methods = [one for name, one in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")]
                for method in methods:
                    assert "Raises:" in (method.__doc__ or ""), method.__qualname__


def loaded_by(program: str) -> set[str]:
    """Return the modules that a program has loaded when it ends, in a separate process."""
    code = f"import sys\n{program}\nimport json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_little() -> None:
    """No server, no database, no resource, no model, hence no pydantic; no tenacity, no asyncio."""
    loaded = loaded_by("from enprompta import *")
    heavy = {
        "fastapi",
        "starlette",
        "uvicorn",
        "redis",
        "sqlite3",
        "tenacity",
        "typer",
        "jsonschema",
        "yaml",
        "aiohttp",
    }
    assert not loaded & {*heavy, "pydantic", "asyncio"}
    parts = {name.split(".")[1] for name in loaded if name.startswith("enprompta.")}
    assert not parts & {"emulator", "resources", "webhooks", "templating", "cache", "batch", "testing", "cli", "models"}


def test_importing_the_package_alone_loads_no_client() -> None:
    """Pytest's plugin and the command line are loaded where no call is ever made: httpx comes with the clients."""
    loaded = loaded_by("import enprompta; enprompta.NotFoundError; dir(enprompta)")
    assert not loaded & {"httpx", "pydantic", "anyio"}
    assert "enprompta.pagination" in loaded_by("import enprompta; enprompta.pagination")


def test_importing_the_package_loads_no_event_loop() -> None:
    """Connections and the event loops they run on are loaded with the first client, as httpx itself does."""
    loaded = loaded_by("from enprompta import *") - loaded_by("import httpx; from pydantic import BaseModel")
    assert not loaded & {"httpcore", "anyio", "trio", "sniffio"}


def test_a_resource_is_loaded_when_it_is_used() -> None:
    """One resource does not load the others, and making a client loads none."""
    made = 'import enprompta; client = enprompta.Enprompta(api_key="ep_x")'
    assert not any(name.startswith("enprompta.resources") for name in loaded_by(made))
    used = {name for name in loaded_by(f"{made}; client.prompts") if name.startswith("enprompta.resources.")}
    assert used == {"enprompta.resources.prompts", "enprompta.resources.live_prompts"}


def test_a_first_answer_loads_what_it_needs() -> None:
    """A request without a body and an answer without an error load no encoder, no lenient reader and no record."""
    call = (
        'import enprompta\nwith enprompta.Enprompta(api_key="ep_x", base_url="{}") as client: client.prompts.get("p")'
    )
    with FaultServer() as server:
        server.play()
        loaded = loaded_by(call.format(server.base_url))
    assert "enprompta._core.decode" in loaded
    spared = {
        "_client.async_client", "_common.json_reading", "_core.body", "_core.lenient", "errors.records",
        "limiters.interface", "limiters.server_wait", "tables",
    }  # fmt: skip
    assert not loaded & {f"enprompta.{name}" for name in spared}


def test_the_package_is_typed() -> None:
    """`py.typed` makes type checkers use the annotations (PEP 561)."""
    assert (PACKAGE / "py.typed").is_file()
