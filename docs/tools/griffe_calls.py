"""Shows public names in the API reference, and methods as callers see them.

A resource describes each endpoint as a function that returns a `Call[Prompt]`, which a descriptor makes a method that
returns a `Prompt`. The reference is built from the source, so this extension resolves what the descriptors return.
"""

from __future__ import annotations

from typing import Any

import griffe

_DESCRIPTORS = {"operation", "executing", "listing", "flow"}
_WRAPPERS = {"Call", "Flow"}


class Calls(griffe.Extension):
    """Take the result out of `Call[…]` and `Flow[…]`, and leave the descriptor out of the signature."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:  # noqa: ANN401 (what griffe passes beside)
        """Rewrite one function that a descriptor makes a method of."""
        described = [one for one in func.decorators if one.callable_path.rpartition(".")[2] in _DESCRIPTORS]
        if not described:
            return
        func.decorators = [one for one in func.decorators if one not in described]
        returns = func.returns
        if isinstance(returns, griffe.ExprSubscript) and returns.canonical_name in _WRAPPERS:
            func.returns = returns.slice


class PublicNames(griffe.Extension):
    """Leave out the functions and constants of a module that its `__all__` does not list."""

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:  # noqa: ANN401 (what griffe passes beside)
        """Remove them from one module."""
        for name, member in list(mod.members.items()):
            if mod.exports and name not in mod.exports and isinstance(member, griffe.Function | griffe.Attribute):
                mod.del_member(name)
