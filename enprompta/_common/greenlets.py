"""Locks that let greenlets run while they wait, even where gevent has patched only a part of Python.

With gevent's `patch_all(thread=False)` or `patch_socket()`, greenlets switch in the middle of a call, but a lock of
`threading` stops all of them. If one of them has to release that lock, they stop for good.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

_imports: dict[str, threading.Lock] = {}


def _is_gevent_used() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_anything_patched()


def new_lock() -> threading.Lock:
    """Return a lock of `threading`, or of gevent if that has patched anything; call it when the lock is needed."""
    return import_module("gevent.thread").allocate_lock() if _is_gevent_used() else threading.Lock()


def load(name: str) -> ModuleType:
    """Import a module whose import may let other greenlets run, such as by running a command.

    Python's lock is one per thread, so another greenlet would get the module half imported.
    """
    with _imports.setdefault(name, new_lock()):
        return import_module(name)
