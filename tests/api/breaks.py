"""Find breaking changes between two descriptions of the public interface, and those that the changelog admits.

griffe finds what is gone, and what calls no longer fit. Types are compared here, by their parts: what is taken may come
to include more, and what is given may come to include less; the reverse breaks callers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Node = griffe.Object | griffe.Alias


def breaks(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Name what breaks, as `Class.method` or `function`, each with what happens to it.

    Args:
        old: The text of a stub by the name of its module.
        new: The same of what comes after it.
    """
    found: dict[str, str] = {}
    for module, text in old.items():
        if module not in new:
            found[module] = "is gone"
            continue
        before, after = _read(module, text), _read(module, new[module])
        for breakage in griffe.find_breaking_changes(before, after):
            found[_name(breakage.obj)] = f"{breakage.kind.value}: {_shown(breakage)}"
        for name, what in _types(before, after):
            found.setdefault(name, what)
    return found


def _read(module: str, text: str) -> griffe.Module:
    name, home = module.rpartition(".")[2], griffe.ModulesCollection()
    found = griffe.visit(name, filepath=Path(f"{module}.pyi"), code=text, modules_collection=home)
    home.set_member(name, found)  # where a class finds those that it inherits from
    return found


def _name(one: Node) -> str:
    return one.path.partition(".")[2]


def _shown(breakage: griffe.Breakage) -> str:
    old = getattr(breakage.old_value, "name", breakage.old_value)
    new = getattr(breakage.new_value, "name", breakage.new_value)
    return f"{old} before, {new} now"


def _types(old: Node, new: Node) -> Iterator[tuple[str, str]]:
    for name, before in old.members.items():
        after = new.members.get(name)
        if before.is_alias and after is None:
            yield _name(before), "is gone"
        if after is None or before.is_alias or after.is_alias or before.kind is not after.kind:
            continue  # griffe says it
        if isinstance(before, griffe.Class):
            yield from _types(before, after)
        elif isinstance(before, griffe.Function) and isinstance(after, griffe.Function):
            yield from _calls(before, after)
        elif isinstance(before, griffe.Attribute) and isinstance(after, griffe.Attribute):
            if more := _parts(after.annotation) - _parts(before.annotation):
                yield _name(before), f"may be {' or '.join(sorted(more))} now"
            if isinstance(old, griffe.Module) and name != "__all__" and str(before.value) != str(after.value):
                yield _name(before), f"{before.value} before, {after.value} now"


def _calls(before: griffe.Function, after: griffe.Function) -> Iterator[tuple[str, str]]:
    if ("async" in before.labels) is not ("async" in after.labels):
        yield _name(before), "is awaited in one of them only"
    if more := _parts(after.returns) - _parts(before.returns):
        yield _name(before), f"may give {' or '.join(sorted(more))} now"
    for one in before.parameters:
        taken = next((other for other in after.parameters if other.name == one.name), None)
        if taken is None:  # griffe takes it that `**options` swallows any name; ours are the keys of a typed dictionary
            yield _name(before), f"no longer takes {one.name}"
        elif "object" not in (takes := _parts(taken.annotation)) and (less := _parts(one.annotation) - takes):
            yield _name(before), f"no longer takes {' or '.join(sorted(less))} as {one.name}"


def _parts(annotation: griffe.Expr | str | None) -> set[str]:
    """Split a union into its parts; nothing written is nothing promised."""
    if annotation is None:
        return set()
    if isinstance(annotation, griffe.ExprBinOp) and annotation.operator == "|":
        return _parts(annotation.left) | _parts(annotation.right)
    return {str(annotation)}


def is_released(changelog: str) -> bool:
    """True if the changelog's first section is of a released version: it has a date."""
    return re.search(r"\d{4}-\d{2}-\d{2}", _first_heading(changelog)) is not None


def owned_up_to(changelog: str) -> set[str]:
    """List the names, in backticks, under "Changed" and "Removed" of the version that is not out yet."""
    if is_released(changelog):
        return set()
    section = re.split(r"^## ", changelog, maxsplit=2, flags=re.MULTILINE)[1]
    parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)
    texts = [text for title, text in zip(parts[1::2], parts[2::2], strict=True) if title in {"Changed", "Removed"}]
    return {name for text in texts for name in re.findall(r"`([\w.]+)`", text)}


def _first_heading(changelog: str) -> str:
    return next(line for line in changelog.splitlines() if line.startswith("## "))


def not_owned_up_to(found: Mapping[str, str], changelog: str) -> dict[str, str]:
    """Leave out the breaks that the changelog names; what it says of a resource goes for the async one too."""
    named = owned_up_to(changelog)
    return {name: what for name, what in found.items() if not {name, name.removeprefix("Async")} & named}
