"""The Workbench: see, try and debug everything in a browser, on your account or on the emulator.

    enprompta workbench

A program reports its own view of its calls (attempts, waits, retries) with a hook, or with the environment variable
`ENPROMPTA_WORKBENCH`, which needs no change of the program:

    client = Enprompta(hooks=[hook("http://127.0.0.1:8788/report/…")])
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError
from enprompta.exchanges import WORKBENCH_VARIABLE, ProgramHook

if TYPE_CHECKING:
    from enprompta.hooks import Hooks

__all__ = ["hook"]


def hook(url: str | None = None) -> Hooks:
    """Return a hook that reports a client's calls to a Workbench: `Enprompta(hooks=[hook()])`.

    It never delays or fails a call, and drops what it cannot send. Clients add it by themselves if the environment
    variable `ENPROMPTA_WORKBENCH` is set.

    Args:
        url: Address that `enprompta workbench` prints for programs; None reads `ENPROMPTA_WORKBENCH`.

    Raises:
        ConfigurationError: There is no address, or it is not one of this machine.
    """
    address = url or os.environ.get(WORKBENCH_VARIABLE, "").strip()
    if not address:
        raise ConfigurationError(
            f"The Workbench's address is missing: pass hook(url), or set {WORKBENCH_VARIABLE} to the address that "
            "`enprompta workbench` prints for programs"
        )
    return ProgramHook(address)
