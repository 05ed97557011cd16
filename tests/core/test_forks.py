"""Functions that run when the process forks, and do not keep anything alive."""

from __future__ import annotations

import gc
import os
import sys
from weakref import ref

import pytest

from enprompta._common import forks


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_functions_run_around_a_fork_and_are_not_kept() -> None:
    """A function or a method runs as long as it exists."""

    class Part:
        def run(self) -> None:
            ran.append("method")

    ran: list[str] = []
    part, gone = Part(), Part()
    watch = ref(gone)

    def before() -> None:
        ran.append("before")

    forks.run_before_fork(before)
    forks.run_in_child(part.run)
    forks.run_in_child(gone.run)
    del gone
    gc.collect()
    assert watch() is None
    child = os.fork()
    if child == 0:
        os._exit(len(ran))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert ran == ["before"]
