"""Load the names of a package on first use, so that importing the package costs next to nothing.

Modules can then import the package at their top, and pay for a name of it only when they use it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    Call it where type checkers do not look: with a `__getattr__`, they accept any name.

    Args:
        package: The package's `__name__`.
        homes: The names in each module, separated by blanks; those of `.`, the package itself, are modules.
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def load(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        is_module = home == "."
        value = import_module(f".{name}", package) if is_module else getattr(import_module(home, package), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: list(getattr(sys.modules[package], "__all__", home_of))
