"""The clocks of the package: real time for every wait, and the application's time for every date.

Test tools such as freezegun replace `time.monotonic` in all modules. A wait measured on a frozen clock never ends, so
the package keeps a `monotonic` that such tools cannot replace. Dates are compared with dates of the application, so
`wall_clock` follows a frozen clock.
"""

from __future__ import annotations

import time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def _second_instance() -> ModuleType:
    """Create a second instance of the built-in module `time`, even if it is first imported under a frozen clock.

    Its functions are separate objects, so tools that search for the original functions by identity do not find them.
    """
    spec: Any = BuiltinImporter.find_spec("time")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _second_instance()
monotonic: Callable[[], float] = _time.monotonic
"""Seconds of the real monotonic clock; equal to `time.monotonic` unless a test has frozen it."""
real_time: Callable[[], float] = _time.time
"""Unix seconds of this machine, for times shared with files and other processes; never frozen."""


def wall_clock() -> float:
    """Return Unix seconds as the application sees them, on a frozen or shifted clock too."""
    return time.time()


def is_replaced() -> bool:
    """True if a test tool has replaced `time.monotonic`, so that timers of event loops may never fire."""
    return not isinstance(time.monotonic, BuiltinFunctionType)
