"""Writes down the public interface: `python -m tests.api.stubs` renews the snapshot that changes are compared with.

The snapshot is one stub file a public module, `tests/api/snapshot/*.pyi`: signatures and types, no code and no words.
What a class inherits from a private one stands in the class itself, for users do not see where it comes from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).parent / "snapshot"

# A name that several modules export is described in the first of them, and the others point there.
PUBLIC = (
    "enprompta.errors",
    "enprompta.models",
    "enprompta.pagination",
    "enprompta",
    "enprompta.batch",
    "enprompta.cache",
    "enprompta.codegen",
    "enprompta.emulator",
    "enprompta.exchanges",
    "enprompta.hooks",
    "enprompta.limiters",
    "enprompta.mcp",
    "enprompta.otel",
    "enprompta.outputs",
    "enprompta.rollouts",
    "enprompta.templating",
    "enprompta.testing",
    "enprompta.tracing",
    "enprompta.webhooks",
    "enprompta.workbench",
)
RESOURCES = "enprompta.resources"
"""Not imported by users, who reach its classes as `client.prompts`; the raw ones have the same methods."""

_UNSEEN = {"__reduce__", "__copy__", "__deepcopy__", "__repr__", "__dir__", "__del__", "__slots__"} | {
    "is_async",
    "is_raw",
}
"""Methods for pickling, copying and display, and those that resources provide for the machinery below them."""


def describe() -> dict[str, str]:
    """Describe each public module as it is in this checkout: its name, and the text of its stub."""
    package = griffe.load("enprompta", search_paths=[str(ROOT)], allow_inspection=False)
    modules = {name: package if name == "enprompta" else package[name.removeprefix("enprompta.")] for name in PUBLIC}
    homes: dict[str, str] = {}
    for name, module in modules.items():
        for one in module.exports or ():
            homes.setdefault(_final(module[str(one)]).path, name)
    lines = {name: list(_module(module, name, homes)) for name, module in modules.items()}
    lines[RESOURCES] = list(_resources(package["resources"], homes))
    return {name: "".join(f"{line}\n" for line in found) for name, found in lines.items()}


def _module(module: griffe.Object | griffe.Alias, name: str, homes: Mapping[str, str]) -> Iterator[str]:
    exports = [str(one) for one in module.exports or ()]
    yield f"__all__ = {exports!r}"
    for one in exports:
        found = _final(module[one])
        if homes[found.path] == name:
            yield from _object(found, one, "", homes)
        else:
            yield f"from {homes[found.path]} import {one} as {one}"


def _resources(resources: griffe.Object | griffe.Alias, homes: Mapping[str, str]) -> Iterator[str]:
    for _, module in sorted(resources.modules.items()):
        for name, cls in module.classes.items():
            met = not cls.is_alias and any(base.name in {"SyncResource", "AsyncResource"} for base in cls.mro())
            if met and not name.startswith("_"):
                yield from _class(cls, name, "", homes)


def _final(one: griffe.Object | griffe.Alias) -> griffe.Object:
    return one.final_target if isinstance(one, griffe.Alias) else one


def _object(one: griffe.Object, name: str, indent: str, homes: Mapping[str, str]) -> Iterator[str]:
    if isinstance(one, griffe.Class):
        yield from _class(one, name, indent, homes)
    elif isinstance(one, griffe.Function):
        yield from _function(one, name, indent)
    elif isinstance(one, griffe.Attribute):
        yield from _attribute(one, name, indent)


def _class(cls: griffe.Class, name: str, indent: str, homes: Mapping[str, str]) -> Iterator[str]:
    private = {base.name for base in cls.mro() if base.path not in homes}
    bases = [str(base) for base in cls.bases if str(base).partition("[")[0] not in private]
    yield f"{indent}class {name}({', '.join(bases)}):" if bases else f"{indent}class {name}:"
    lines = [line for one, member in _members(cls, homes) for line in _object(member, one, indent + "    ", homes)]
    yield from lines or [f"{indent}    pass"]


def _members(cls: griffe.Class, homes: Mapping[str, str]) -> Iterator[tuple[str, griffe.Object]]:
    for name, member in sorted(cls.all_members.items()):
        found = _final(member)
        is_dunder = name.startswith("__") and name.endswith("__")
        is_seen = is_dunder or not name.startswith("_")
        parent = found.parent
        stands_there = parent is not None and parent.path != cls.path and parent.path in homes
        if is_seen and name not in _UNSEEN and not stands_there:
            yield name, found


def _function(function: griffe.Function, name: str, indent: str) -> Iterator[str]:
    for overload in function.overloads or ():
        yield f"{indent}@overload"
        yield _signature(overload, name, indent)
    for label in ("staticmethod", "classmethod"):
        if label in function.labels:
            yield f"{indent}@{label}"
    yield _signature(function, name, indent)


def _signature(function: griffe.Function, name: str, indent: str) -> str:
    kinds = griffe.ParameterKind
    parts: list[str] = []
    before: griffe.ParameterKind | None = None
    for one in function.parameters:
        if before is kinds.positional_only and one.kind is not kinds.positional_only:
            parts.append("/")
        if one.kind is kinds.keyword_only and before not in {kinds.keyword_only, kinds.var_positional}:
            parts.append("*")
        stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(one.kind, "")
        typed = f": {one.annotation}" if one.annotation is not None else ""
        default = f" = {one.default}" if one.default is not None and not stars else ""
        parts.append(f"{stars}{one.name}{typed}{default}")
        before = one.kind
    if before is kinds.positional_only:
        parts.append("/")
    start = "async def" if "async" in function.labels else "def"
    gives = f" -> {function.returns}" if function.returns is not None else ""
    return f"{indent}{start} {name}({', '.join(parts)}){gives}: ..."


def _attribute(attribute: griffe.Attribute, name: str, indent: str) -> Iterator[str]:
    typed = f": {attribute.annotation}" if attribute.annotation is not None else ""
    value = attribute.value if not indent or attribute.annotation is None else None
    shown = "" if value is None or name == "__version__" else f" = {value}"
    if typed or shown:
        yield f"{indent}{name}{typed}{shown}"


def write() -> None:
    """Renew the snapshot."""
    SNAPSHOT.mkdir(exist_ok=True)
    for old in SNAPSHOT.glob("*.pyi"):
        old.unlink()
    for name, text in describe().items():
        (SNAPSHOT / f"{name}.pyi").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
