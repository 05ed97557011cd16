"""Run functions when the process forks.

The interpreter keeps what `os.register_at_fork` is given until the very end, and with a function everything that its
module refers to, which lengthens the end of a program by several milliseconds. So functions are held weakly here.
"""

from __future__ import annotations

import os
from types import MethodType
from typing import TYPE_CHECKING
from weakref import WeakMethod, ref

if TYPE_CHECKING:
    from collections.abc import Callable

    Reference = ref[Callable[[], object]] | WeakMethod[Callable[[], object]]

_before: list[Reference] = []
_in_child: list[Reference] = []


def run_before_fork(function: Callable[[], object]) -> None:
    """Run a function of a module, or a method, before each fork."""
    _before.append(_reference(function))


def run_in_child(function: Callable[[], object]) -> None:
    """Run a function of a module, or a method, in each child process after the fork."""
    _in_child.append(_reference(function))


def _reference(function: Callable[[], object]) -> Reference:
    return WeakMethod(function) if isinstance(function, MethodType) else ref(function)


def _run(references: list[Reference]) -> None:
    for reference in list(references):
        if (function := reference()) is not None:
            function()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=lambda: _run(_before), after_in_child=lambda: _run(_in_child))
