"""Exit statuses of commands that serve until a signal stops them: 130 after Ctrl-C, 0 after SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from enprompta._common.streams import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType


@contextmanager
def exits_on_sigterm() -> Generator[None]:
    """Raise `SystemExit(0)` on SIGTERM; Ctrl-C keeps its handler."""
    with _handling(_exit, signal.SIGTERM):
        yield


@contextmanager
def exits_at_once() -> Generator[None]:
    """End the process on Ctrl-C and SIGTERM without cleaning up, because a thread of it cannot be interrupted."""
    with _handling(_exit_at_once, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object], *numbers: int) -> Generator[None]:
    with ExitStack() as previous:
        for number in numbers:
            previous.callback(signal.signal, number, signal.signal(number, handler))
        yield


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _exit_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED if number == signal.SIGINT else 0)
