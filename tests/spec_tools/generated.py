"""A program for a client that openapi-python-client generated: it runs every recorded call through that client.

    python generated.py DIRECTORY PACKAGE URL KEY <calls.json

It runs in the generator's own environment. It prints, as JSON, the modules that the client has for operations, and
the problems found.
"""

from __future__ import annotations

import datetime as dt
import enum
import importlib
import inspect
import json
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any


def snake(name: str) -> str:
    """Return a wire name as the generator spells it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").lower()


def typed(value: Any, hint: Any) -> Any:
    """Convert a recorded value to the first type of a generated annotation that takes it."""
    for kind in typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,):
        try:
            if hasattr(kind, "from_dict"):
                return kind.from_dict(value)
            if kind in {dt.date, dt.datetime}:
                return kind.fromisoformat(value)
            if kind is bool:
                return {"true": True, "false": False}[value]
            if kind in {str, int} or issubclass(kind, enum.Enum):
                return kind(value)
        except (KeyError, TypeError, ValueError):
            continue
    raise TypeError(f"{value!r} is no {hint}")


def problem_of(module: Any, client: Any, call: dict[str, Any]) -> str | None:
    """Make a call and return what is wrong with its answer, if anything."""
    hints = typing.get_type_hints(module.sync_detailed)
    names = inspect.signature(module.sync_detailed).parameters.keys() - {"client"}
    given = {snake(name): value for name, value in call["parameters"].items()}
    if call["body"] is not None:
        given["body"] = call["body"]
    if not given.keys() <= names:
        return f"the generated function does not take {sorted(given.keys() - names)}"
    answer = module.sync_detailed(client=client, **{name: typed(value, hints[name]) for name, value in given.items()})
    if not 200 <= answer.status_code < 300:
        return f"answered {answer.status_code}: {answer.content[:300]!r}"
    if answer.status_code == 204:
        return None
    if answer.parsed is None or type(answer.parsed).__name__.startswith("Error"):
        return f"was read as {answer.parsed!r}"
    # A time in UTC is written in another way, and so are its milliseconds.
    written = json.loads(re.sub(r'(\.\d{3})000Z"', r'\1Z"', json.dumps(answer.parsed.to_dict()).replace("+00:00", "Z")))
    received = json.loads(answer.content.replace(b'.000Z"', b'Z"'))
    return None if written == received else f"was read as {written}, not as {received}"


def main() -> None:
    """Run all calls that stdin has, in their order."""
    directory, package, url, key = sys.argv[1:]
    sys.path.insert(0, directory)
    client = importlib.import_module(f"{package}.client").AuthenticatedClient(base_url=url, token=key)
    modules = {
        path.stem: importlib.import_module(f"{package}.api.{path.parent.name}.{path.stem}")
        for path in Path(directory, package, "api").glob("*/*.py")
        if path.stem != "__init__"
    }
    problems: list[str] = []
    with client:
        for call in json.load(sys.stdin):
            module = modules.get(call["operation"].replace(".", "_"))
            problem = "is missing" if module is None else problem_of(module, client, call)
            if problem is not None:
                problems.append(f"{call['operation']} {problem}")
    json.dump({"modules": sorted(modules), "problems": problems}, sys.stdout)


main()
