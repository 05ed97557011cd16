"""A file-backed emulator in a separate process that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_PROGRAM = """
import json, sys, threading
from enprompta.emulator import Emulator

with Emulator(**json.loads(sys.argv[1])) as emulator:
    print(emulator.url, flush=True)
    sys.stdin.read()
"""


class Served:
    """A running emulator; left by an exception or not, it ends with the block.

    Args:
        db: Its file.
        settings: What else `Emulator` is to be given; must be JSON.
    """

    def __init__(self, db: Path, **settings: Any) -> None:
        arguments = json.dumps({"db": str(db), "rate_limits": False, **settings})
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the emulator did not start"

    def kill(self) -> None:
        """End it as the kernel would: with SIGKILL, between any two of its instructions."""
        self._process.kill()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(30)
        self._end()

    def _end(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
