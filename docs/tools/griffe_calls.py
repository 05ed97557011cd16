"""Shows methods in the API reference as callers see them.

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
