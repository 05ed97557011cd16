"""The clocks of the package: real time for every wait, and the application's time for every date.

Test tools such as freezegun replace `time.monotonic` wherever a module holds it. A wait that is measured on a stopped
clock never ends, so the package keeps a `monotonic` that such tools do not reach. Dates are compared with the dates of
the application, so `wall_clock` follows a clock that a test has frozen.
"""

from __future__ import annotations

import time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _second_instance() -> Any:  # noqa: ANN401 (a module)
    """Create the built-in module `time` a second time, also when this one is imported under a frozen clock.

    Its functions are separate objects, so tools that look for the original ones by identity do not find them.
    """
    spec: Any = BuiltinImporter.find_spec("time")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _second_instance()
monotonic: Callable[[], float] = _time.monotonic
"""Seconds of the real monotonic clock; the same reading as `time.monotonic` outside of frozen tests."""
real_time: Callable[[], float] = _time.time
"""Unix seconds of this machine, for what other processes and files know too; freezegun does not stop it."""


def wall_clock() -> float:
    """Return Unix seconds as the application reads them, frozen or shifted clocks included."""
    return time.time()


def is_replaced() -> bool:
    """True if a test tool has replaced `time.monotonic`, so that timers of event loops may never fire."""
    return not isinstance(time.monotonic, BuiltinFunctionType)
